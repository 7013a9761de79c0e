"""The command `legged-cts`, which runs the scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from legged_cts import __main__ as command
from legged_cts import told
from legged_cts.training.distributed import Processes

SCRIPTS = sorted(Path(__file__).parents[1].joinpath("scripts").glob("*.py"))


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["legged-cts", *words])
    try:
        command.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def test_every_script_is_a_command_and_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == run(monkeypatch, "--help") == 0
    once = capsys.readouterr().out.splitlines()[: len(SCRIPTS) + 1]
    for script, line in zip(SCRIPTS, once[1:], strict=True):
        name, _, text = line.strip().partition(" ")
        assert name == script.stem.replace("_", "-") and len(text.strip()) > 10, line


@pytest.mark.parametrize(
    ("word", "hint"), [("trian", "did you mean 'train'?"), ("xyz", "the commands are: benchmark, check-trace,")]
)
def test_a_wrong_command_is_one_line(
    word: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, word) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"legged-cts: there is no command '{word}'; ") and hint in line


def test_the_list_of_commands_and_the_words_of_a_deployment_need_no_numpy() -> None:
    for words in (["--help"], ["robot_sim", "--help"], ["deploy", "--help"]):
        code = (
            f"import sys; sys.argv[1:] = {words}\n"
            "from legged_cts.__main__ import main\n"
            "try: main()\n"
            "except SystemExit as end: assert not end.code\n"
            "finally: assert not {'numpy', 'hydra', 'torch', 'mujoco'} & set(sys.modules)\n"
        )
        # `leave` ends a process at once.
        code = "import os; os._exit = sys.exit\n".join(("import sys\n", code))
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        assert said.stdout


def test_a_commands_words_and_status_are_its_scripts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check-trace", "polcy=x") == 2
    assert "did you mean 'policy'?" in capsys.readouterr().err


def test_a_command_that_needs_more_than_is_installed_says_what(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    assert run(monkeypatch, "train") == 2
    assert capsys.readouterr().err == "legged-cts train: needs 'hydra': pip install 'legged_cts[train]'\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_help_is_there_before_torch(script: Path) -> None:
    """Torch alone takes longer to import than a person waits for a page of help."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = [{str(script)!r}, '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'isaaclab'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr


def test_what_a_user_types_next_is_what_this_installation_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert told("new-robot") == "uv run scripts/new_robot.py"
    # A wheel has the scripts inside the package.
    package = tmp_path / "legged_cts"
    (package / "scripts").mkdir(parents=True)
    monkeypatch.setattr("legged_cts.__file__", str(package / "__init__.py"))
    assert told("new-robot") == "legged-cts new-robot"
    assert (
        Processes(world_size=2, local_world_size=2).told("train") == "torchrun --nproc-per-node=2 -m legged_cts train"
    )
