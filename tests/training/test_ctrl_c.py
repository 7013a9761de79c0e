"""Ctrl-C at any time is one line and status 130, in every script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legged_cts.training.interrupt import STOPPED, run_child

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
HOOK = """
import os, runpy, signal, sys
def on(event, arguments):
    if event == "import" and arguments[0].partition(".")[0] in ("numpy", "torch", "hydra", "mujoco", "rich", "yaml"):
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(on)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
BEFORE = "import os, signal, sys, time\nfrom legged_cts.training import ctrl_c\nme = os.getpid()\n"
CASES = {
    "while it works": "os.kill(me, signal.SIGINT)\ntime.sleep(9)",
    "with words of its own": "raise KeyboardInterrupt('interrupted')",
    "an echo during the cleanup": """
try:
    os.kill(me, signal.SIGINT)
    time.sleep(9)
finally:
    os.kill(me, signal.SIGINT)
    time.sleep(0.1)
    print('cleaned up')
""",
    "twice": """
ctrl_c.ECHO_S = 0.0
try:
    os.kill(me, signal.SIGINT)
    time.sleep(9)
finally:
    os.kill(me, signal.SIGINT)
    time.sleep(7200)
""",
    "where it comes out as another error": """
try:
    os.kill(me, signal.SIGINT)
    time.sleep(9)
except KeyboardInterrupt:
    raise ImportError('a compiled module failed')
""",
    "where nothing can be raised": """
class Dying:
    def __del__(self):
        os.kill(me, signal.SIGINT)
        time.sleep(0.1)
one = Dying()
del one
time.sleep(7200)
""",
}


WORDS = {
    "benchmark": ["update"],
    "check_trace": ["policy=x.onnx"],
    "deploy": ["robot=go2", "policy=x.onnx", "interface=lo"],
    "replay": ["record=x.rec", "policy=x.onnx"],
    "robot_sim": ["robot=go2"],
    "compare": ["tasks/compare/cts_ablation.yaml"],
    "evaluate": ["policy=go2_flat"],
    "export": ["checkpoint=x.pt"],
    "new_robot": ["mjcf=assets/robots/go2/go2.xml"],
    "train": ["robot=go2"],
}
"""Words of the scripts that read them before anything that takes time."""


def interrupted(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == STOPPED, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.split()
    assert lines[0] == "interrupted" and len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_that_still_imports_ends_with_one_line(script):
    words = WORDS.get(script.stem, ["checkpoint=x.pt", "policy=x.onnx"])
    command = [sys.executable, "-c", HOOK, str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=1800, check=False)
    interrupted(done)


@pytest.mark.parametrize("case", CASES)
def test_whatever_is_interrupted_ends_with_one_line(case):
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + CASES[case]], capture_output=True, text=True, timeout=1800, check=False
    )
    interrupted(done)
    assert ("cleaned up" in done.stdout) == ("cleanup" in case)


def test_other_errors_are_shown_as_ever():
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + "raise KeyError('x')"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "KeyError: 'x'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_child_is_asked_to_stop_and_waited_for(tmp_path, number):
    """As the evaluation after a training, or a job of a multirun that saves its work."""
    child = (
        "import signal, sys, time, pathlib\n"
        "saved = pathlib.Path(sys.argv[1], 'saved')\n"
        "signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.5), saved.touch(), exit(0)))\n"
        "pathlib.Path(sys.argv[1], 'ready').touch(); time.sleep(7200)"
    )
    parent = (
        "import sys; from legged_cts.training.interrupt import run_child; "
        "sys.exit(run_child([sys.executable, '-c', sys.argv[1], sys.argv[2]]))"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, child, str(tmp_path)])
    deadline = time.monotonic() + 1800
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    assert process.wait(timeout=1800) == STOPPED and (tmp_path / "saved").exists()


def test_a_child_that_nobody_stops_keeps_its_status():
    before = signal.getsignal(signal.SIGINT)
    assert run_child([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert signal.getsignal(signal.SIGINT) is before
