"""Policies and environments from Python: a shipped policy rolled out in its task, and the environments of Gymnasium."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import legged_cts
from legged_cts.envs.env import LeggedEnv

ROOT = Path(__file__).parents[2]


def test_the_package_and_its_policies_need_no_torch() -> None:
    code = (
        "import sys, legged_cts\n"
        "assert not {'numpy', 'torch', 'gymnasium'} & set(sys.modules)\n"
        "policy = legged_cts.load_policy('go2_flat')\n"
        "actions = policy.act([0.0] * policy.contract.observation_size)\n"
        "assert actions.shape == (12,) and 'torch' not in sys.modules\n"
        "import legged_cts.gym, gymnasium\n"
        "assert 'LeggedCTS-Tron1-Rough-v0' in gymnasium.registry\n"
        "assert not {'torch', 'hydra', 'isaaclab'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        (("go2", ["env.decimatoin=3"]), {}, r"env\.decimatoin is unknown; did you mean 'decimation'"),
        (("go2",), {"terrain": "ruogh"}, "terrain='ruogh' is unknown; did you mean 'rough'"),
        (("go2",), {"num_envs": 0}, r"env\.scene\.num_envs must be"),
        (("go3",), {}, "go3"),
        (("go2", ["env.rewards.x={func: my:f, weight: 1}"]), {}, r"env\.rewards\.x is unknown"),
    ],
)
def test_what_is_wrong_is_one_line_before_a_simulator_starts(words, more, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message) as caught:
        legged_cts.make_env(*words, **more)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(AttributeError, match="no attribute 'make_policy'"):
        _ = legged_cts.make_policy


def test_an_environment_of_gymnasium_steps_all_robots() -> None:
    env = gymnasium.make("legged_cts.gym:LeggedCTS-Go2-Flat-v0", num_envs=4, words=["device=cpu"])
    inner = env.unwrapped
    assert isinstance(inner, LeggedEnv) and inner.launched is not None
    obs, _ = env.reset(seed=3)
    assert obs["history"].shape == (4, 5, 47) and obs["proprioception"].shape == (4, 47)
    obs, reward, terminated, truncated, _ = env.step(torch.zeros(4, 12))
    assert reward.shape == (4,) and terminated.dtype == truncated.dtype == torch.bool
    torch.testing.assert_close(obs["history"][:, -1], obs["proprioception"])
    env.close()
    assert inner.launched is None


def test_the_example_walks_a_shipped_policy_in_its_own_task(capsys) -> None:
    roll_out = runpy.run_path(str(ROOT / "examples" / "roll_out.py"))["roll_out"]
    reward, falls = roll_out("go2_flat", environments=16, steps=100)
    # 100 steps are 2 s. A policy that walks earns at least half of what tracking can give, 1.5 per second.
    assert np.isfinite(reward) and reward > 0.5 * 1.5 * 0.02 and falls < 0.2


def test_the_notebook_runs_from_top_to_bottom(capsys) -> None:
    cells = json.loads((ROOT / "examples" / "first_steps.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs of one machine do not belong into the repository"
            exec(compile("".join(cell["source"]), "first_steps.ipynb", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("go2 ") and said[0].endswith("50 Hz")
    assert 0.0 < float(said[-1].split()[3]) < 0.2  # a policy that walks
