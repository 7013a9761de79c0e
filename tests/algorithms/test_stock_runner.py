"""CTS under rsl_rl's own runner."""

import pytest
import torch
from builders import mean_reward, task
from rsl_rl.runners import OnPolicyRunner
from toy_env import DriftEnv

from legged_cts.algorithms.config import runner_cfg


def make_runner(cfg: dict, log_dir: str | None = None, num_envs: int = 64) -> OnPolicyRunner:
    torch.manual_seed(0)
    return OnPolicyRunner(DriftEnv(num_envs), runner_cfg(**cfg), log_dir, "cpu")


def test_student_learns():
    """A blind policy without memory earns 1/3 at most, and the first frame of ten hides the drift: 0.93 is the best."""
    runner = make_runner(task(entropy_coef=0.0))
    before = mean_reward(runner.alg, "student")
    runner.learn(20)
    student, teacher = mean_reward(runner.alg, "student"), mean_reward(runner.alg, "teacher")
    assert before < 0.35
    assert student > 0.75
    assert teacher > 0.9


def test_log_save_load_and_inference(tmp_path):
    runner = make_runner(task(), str(tmp_path), num_envs=8)
    runner.learn(2)
    other = make_runner(task(), num_envs=8)
    other.load(str(tmp_path / "model_1.pt"))
    obs = runner.env.get_observations()
    policy = other.get_inference_policy("cpu")
    torch.testing.assert_close(policy(obs), runner.get_inference_policy("cpu")(obs))
    policy.reset(torch.ones(8))
    assert other.current_learning_iteration == 1


def test_export_by_the_runner(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    runner = make_runner(task(), num_envs=8)
    runner.learn(2)
    obs = runner.env.get_observations()
    expected = runner.get_inference_policy("cpu")(obs)
    runner.export_policy_to_jit(str(tmp_path))
    scripted = torch.jit.load(str(tmp_path / "policy.pt"))
    torch.testing.assert_close(scripted(obs["proprioception"], obs["history"]), expected)
    runner.export_policy_to_onnx(str(tmp_path))
    session = onnxruntime.InferenceSession(str(tmp_path / "policy.onnx"))
    inputs = {name: obs[name][:1].numpy() for name in ("proprioception", "history")}
    actions = torch.from_numpy(session.run(["actions"], inputs)[0])
    torch.testing.assert_close(actions, expected[:1].detach(), atol=1e-5, rtol=0)


def test_plain_ppo_file_trains():
    runner = make_runner(task("ppo"), num_envs=8)
    runner.learn(1)
    assert runner.alg.actor.obs_groups == ["proprioception"]


def test_a_history_of_wrong_shape_is_named():
    cfg = task()
    cfg["runner"]["obs_groups"]["student"] = ["privileged"]
    with pytest.raises(ValueError, match="obs_groups.student"):
        make_runner(cfg)
    cfg["runner"]["obs_groups"].update(student=["history"], actor=["proprioception", "privileged"])
    with pytest.raises(ValueError, match="has 2 features per frame"):
        make_runner(cfg)


def test_a_critic_that_cannot_take_the_latent_is_named():
    cfg = task()
    cfg["networks"]["critic"]["class_name"] = "rsl_rl.models:MLPModel"
    with pytest.raises(ValueError, match="critic_sees_latent"):
        make_runner(cfg)
    cfg["algorithm"]["critic_sees_latent"] = False
    make_runner(cfg).learn(1)
