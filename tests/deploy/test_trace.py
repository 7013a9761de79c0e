"""Golden traces of the shipped policies, here and on the oldest and the newest Python that the package installs on."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from deploy_policies import make_contract, write_linear_policy

from legged_cts.deploy.commands import TraceOptions
from legged_cts.deploy.trace import MAX_FILE, TOLERANCE, check_traces, write_trace
from legged_cts.deploy.words import run_words
from legged_cts.robots.spec import assets_dir

PROJECT = Path(__file__).parents[2]
OTHERS = {
    "3.10": ["numpy==2.0.0", "onnxruntime==1.22.0", "mujoco==3.12.0", "pyyaml==6.0"],  # the oldest that is declared
    "3.11": [],
    "3.13": [],
}


def test_every_shipped_policy_answers_as_its_trace_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_traces(TraceOptions()) < TOLERANCE
    policies = list((assets_dir() / "policies").glob("*/policy.onnx"))
    assert len(capsys.readouterr().out.splitlines()) == len(policies) > 0


def checked(policy: Path) -> int:
    return run_words("check_trace", "", TraceOptions, check_traces, [f"policy={policy}"])


def test_a_wrong_action_and_a_trace_of_another_policy_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = write_linear_policy(tmp_path / "policy.onnx", make_contract())
    trace = tmp_path / "trace.npz"
    write_trace(policy, trace)
    assert checked(policy) == 0
    content = dict(np.load(trace))
    content["actions"][150, 3] += 0.01
    np.savez(trace, **content)
    assert checked(policy) == 2
    assert "an action differs by 1.0e-02" in capsys.readouterr().err
    write_linear_policy(policy, make_contract(), now=np.full((45, 12), 0.01))
    assert checked(policy) == 2
    assert "the trace of another policy" in capsys.readouterr().err
    write_trace(policy, trace)
    sound = dict(np.load(trace))
    for change, message in (
        ({"actions": np.full_like(sound["actions"], np.nan)}, "numbers that are not finite"),
        ({"actions": np.where(np.arange(200)[:, None], np.nan, sound["actions"])}, "numbers that are not finite"),
        ({"actions": sound["actions"].astype(complex)}, "actions is no array of floating-point numbers"),
        ({"actions": sound["actions"].astype("<U8")}, "actions is no array of floating-point numbers"),
    ):
        np.savez(trace, **(sound | change))
        assert checked(policy) == 2
        assert message in capsys.readouterr().err
    for member in (b"nonsense", b"\x93NUMPY\x01\x00\x0a\x00{'descr': '"):
        with zipfile.ZipFile(trace, "w") as archive:
            for name in sound:
                archive.writestr(f"{name}.npy", member)
        assert checked(policy) == 2
        assert "no trace file" in capsys.readouterr().err
    trace.write_bytes(b"nonsense")
    assert checked(policy) == 2
    assert "no trace file" in capsys.readouterr().err
    np.savez_compressed(trace, **{**content, "actions": np.zeros(MAX_FILE)})
    assert checked(policy) == 2
    assert "it unpacks to more than" in capsys.readouterr().err


def interpreter(version: str) -> str | None:
    """A Python of this version that is installed here and starts."""
    pyenv = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
    for found in (*map(str, pyenv), shutil.which(f"python{version}")):
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


@pytest.mark.parametrize("version", OTHERS)
def test_the_wheel_installs_and_answers_alike_on_another_python(version: str, tmp_path: Path) -> None:
    uv, python = shutil.which("uv"), interpreter(version)
    if uv is None or python is None:
        pytest.skip(f"needs uv and a Python {version}")
    subprocess.run([uv, "build", "-q", "--wheel", "-o", tmp_path], cwd=PROJECT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    own = tmp_path / "venv/bin/python"
    subprocess.run([uv, "venv", "-q", "--python", python, tmp_path / "venv"], check=True)
    install = [uv, "pip", "install", "-q", "--no-config", "--python", own, wheel, *OTHERS[version]]
    installed = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True)
    if "error sending request" in installed.stderr:
        pytest.skip("needs a package index")
    assert installed.returncode == 0, installed.stderr
    run = [own.with_name("legged-cts"), "check-trace"]
    checked = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert len(checked.stdout.splitlines()) == len(list((assets_dir() / "policies").glob("*/policy.onnx")))
    write = [*run, f"policy={assets_dir()}/policies/go2_flat/policy.onnx"]
    walked = subprocess.run([*write, "trace=t.npz", "write=true"], cwd=tmp_path, capture_output=True, text=True)
    assert walked.returncode == 0, walked.stderr
    # Without an extra there is no wire, and the commands say what is missing.
    simulated = subprocess.run([run[0], "robot-sim", "robot=go2"], cwd=tmp_path, capture_output=True, text=True)
    assert simulated.returncode == 2 and "the package for unitree_go is missing" in simulated.stderr
