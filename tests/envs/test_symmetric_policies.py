"""Networks of ``symmetry=exact`` commute with the mirror of every robot, untrained, trained and in onnxruntime."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from envs_support import composed
from onnx_sessions import onnx_session
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.cts import CTS
from legged_cts.envs.builder import build_env_cfg
from legged_cts.envs.morphology import morphology_override
from legged_cts.envs.symmetry import EnvironmentMirror, group_mirrors
from legged_cts.models.latent_model import LATENT
from legged_cts.models.mirrored import halves
from legged_cts.robots.spec import load_robot
from legged_cts.robots.symmetry import joined, joint_mirror
from legged_cts.training.compose import plain

ROBOTS = ("go2", "go1", "tron1", "g1", "g1_12")
CASES = [*((robot, "mlp") for robot in ROBOTS), ("g1", "gru"), ("g1", "lstm"), ("g1", "moe")]
"""The mirror of every robot, and every kind of student on the one with the most joints, some of them in the plane."""
ENVS, STEPS, HISTORY = 8, 6, 5


class Noise(VecEnv):
    """Normal observations of a robot's sizes, off centre, with rewards and ends of episodes at random."""

    def __init__(self, groups, actions) -> None:
        self.num_envs, self.num_actions, self.max_episode_length = ENVS, len(actions), 100
        self.device, self.cfg = "cpu", {}
        self.unwrapped = SimpleNamespace(mirror=EnvironmentMirror(groups, actions, "cpu"))
        self.episode_length_buf = torch.zeros(ENVS, dtype=torch.long)
        self.sizes = {name: len(mirror) for name, mirror in groups.items()}
        self.history = torch.randn(ENVS, 1, self.sizes["history"]).repeat(1, HISTORY, 1)

    def get_observations(self):
        obs = {name: 1.0 + 2.0 * torch.randn(ENVS, size) for name, size in self.sizes.items()}
        return TensorDict(obs | {"history": self.history, "proprioception": self.history[:, -1]}, [ENVS])

    def step(self, actions):
        done = torch.rand(ENVS) < 0.1
        frame = 1.0 + 2.0 * torch.randn(ENVS, 1, self.sizes["history"])
        moved = torch.cat([self.history[:, 1:], frame], dim=1)
        self.history = torch.where(done.view(-1, 1, 1), frame, moved)
        return self.get_observations(), torch.randn(ENVS), done.long(), {"time_outs": torch.zeros(ENVS)}


@cache
def mirrors(robot: str):
    words = [f"robot={robot}", "terrain=rough", "env.scene.num_envs=2"]
    return group_mirrors(build_env_cfg(composed(*words, *morphology_override(words)))), joint_mirror(load_robot(robot))


def build(robot: str, student: str, symmetry: str = "exact") -> tuple[CTS, Noise]:
    torch.manual_seed(0)
    words = (f"robot={robot}", f"student={student}", f"symmetry={symmetry}", "terrain=rough")
    small = ("size.policy=[32,16]", "size.critic=[32,16]", "size.encoder=[32,16]", f"runner.num_steps_per_env={STEPS}")
    task = plain(composed(*words, *small, "algorithm.num_learning_epochs=2", "algorithm.reconstruction_epochs=2"))
    env = Noise(*mirrors(robot))
    cfg = runner_cfg(task["algorithm"], task["networks"], task["runner"])
    alg = CTS.construct_algorithm(env.get_observations(), env, cfg, "cpu")
    alg.train_mode()
    return alg, env


def train(alg: CTS, env: Noise, updates: int = 3) -> None:
    for _ in range(updates):
        with torch.inference_mode():
            obs = env.get_observations()
            for _ in range(STEPS):
                alg.process_env_step(*env.step(alg.act(obs)))
                obs = env.get_observations()
            alg.compute_returns(obs)
        assert alg.update()["skipped_updates"] == 0


def images(alg: CTS, env: Noise):
    """Observations with latents and states, and the mirrors of each of them and of what networks return."""
    groups, actions = env.unwrapped.mirror.groups, env.unwrapped.mirror.joints
    z = halves(alg._raw_actor.latent_dim)
    encoder = alg.student_policy().encoder
    state = joined([halves(getattr(encoder, "hidden_size", 0))] * (2 if getattr(encoder, "is_lstm", False) else 1))
    generator = torch.Generator().manual_seed(1)
    shapes = {name: (64, len(mirror)) for name, mirror in groups.items()}
    shapes |= {"history": (64, HISTORY, len(groups["history"])), LATENT: (64, len(z)), "state": (64, len(state))}
    obs = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return obs, {**groups, LATENT: z, "state": state}, actions


def mirrored(mirror, x: torch.Tensor) -> torch.Tensor:
    return x.detach()[..., torch.tensor(list(mirror.index), dtype=torch.long)] * torch.tensor(list(mirror.sign)).float()


def outputs(alg: CTS, obs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    student, teacher, recurrent = alg.student_policy(), alg.teacher_policy(), alg.student_policy().is_recurrent
    policy = student(obs["proprioception"], obs["history"], *([obs["state"]] if recurrent else []))
    seen = torch.cat([obs[group] for group in alg._raw_actor.teacher_groups], dim=-1)
    return {
        "actions": policy[0] if recurrent else policy,
        "state": policy[1] if recurrent else obs["state"],
        "student": student.advance(obs["history"], obs["state"])[0] if recurrent else student.latent(obs["history"]),
        "teacher": teacher.latent(seen),
        "teacher_actions": teacher(obs["proprioception"], seen),
        "value": alg.critic(TensorDict({name: obs[name] for name in obs}, [64])),
        "proprioception": alg._raw_actor.obs_normalizer(obs["proprioception"]),
    }


def differences(alg: CTS, env: Noise) -> dict[str, float]:
    """How far each output for mirrored inputs is from the mirrored output, at most."""
    obs, kinds, actions = images(alg, env)
    kinds |= {"actions": actions, "teacher_actions": actions, "student": kinds[LATENT], "teacher": kinds[LATENT]}
    with torch.no_grad():
        own, other = outputs(alg, obs), outputs(alg, {name: mirrored(kinds[name], x) for name, x in obs.items()})
    expected = {name: mirrored(kinds[name], x) if name in kinds else x for name, x in own.items()}
    return {name: float((expected[name] - other[name]).abs().max()) for name in own if own[name].numel()}


def in_onnxruntime(alg: CTS, obs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    module = alg.student_policy().as_onnx().eval()
    session = onnx_session(module)
    found = session.run(module.output_names, {entry.name: obs[entry.name].numpy() for entry in session.get_inputs()})
    return dict(zip(module.output_names, found, strict=True))


@pytest.mark.parametrize(("robot", "student"), CASES)
def test_mirrored_inputs_give_mirrored_outputs(robot, student):
    alg, env = build(robot, student)
    alg.eval_mode()
    assert max(differences(alg, env).values()) < 1e-5
    alg.train_mode()
    before = torch.cat([p.detach().flatten() for p in alg.actor.parameters()])
    train(alg, env)
    alg.eval_mode()
    assert not torch.equal(before, torch.cat([p.detach().flatten() for p in alg.actor.parameters()]))
    found = differences(alg, env)
    assert max(found.values()) < 1e-5, found
    std = alg._raw_actor.distribution.std_param.detach()
    swapped = torch.tensor(env.unwrapped.mirror.joints.index)
    torch.testing.assert_close(std[swapped], std, atol=1e-6, rtol=0.0)  # a vectorised step rounds its last lanes apart
    assert std.std() > 1e-3
    obs, kinds, actions = images(alg, env)
    own, other = (in_onnxruntime(alg, x) for x in (obs, {name: mirrored(kinds[name], x) for name, x in obs.items()}))
    np.testing.assert_allclose(other["actions"], actions(own["actions"]), atol=1e-5)
    if "next_state" in own:
        np.testing.assert_allclose(other["next_state"], kinds["state"](own["next_state"]), atol=1e-5)


def test_without_it_they_do_not():
    alg, env = build("go2", "mlp", "none")
    alg.eval_mode()
    assert min(value for name, value in differences(alg, env).items() if name not in ("state", "proprioception")) > 0.01
    alg.train_mode()
    train(alg, env)
    alg.eval_mode()
    assert differences(alg, env)["proprioception"] > 0.01
