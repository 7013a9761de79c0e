"""Exact symmetry of every method on the toy environment, whose mirror swaps both directions and changes their signs."""

import numpy as np
import pytest
import torch
from builders import rollout
from distilled_builders import METHODS, build, method_cfg, write_teacher
from tensordict import TensorDict
from toy_env import DriftEnv

from legged_cts.algorithms.config import runner_cfg
from legged_cts.envs.symmetry import EnvironmentMirror
from legged_cts.models import mirrored
from legged_cts.models.latent_model import LATENT
from legged_cts.models.mirrored import halves
from legged_cts.robots.symmetry import Mirror, joined

PAIR = Mirror(np.array([1, 0]), np.array([-1.0, -1.0]))
GROUPS = {"proprioception": PAIR, "history": PAIR, "privileged": joined([PAIR, PAIR])}
FILES = {"multi_teacher": ("first", "second"), "tiny_student": ("teacher",)}
"""Methods whose teachers come from checkpoints, with the names of those."""


def mirror_env(num_envs: int = 16) -> DriftEnv:
    env = DriftEnv(num_envs)
    env.unwrapped.mirror = EnvironmentMirror(GROUPS, PAIR, "cpu")
    return env


def exact_cfg(name: str, overrides: dict | None = None) -> dict:
    cfg = method_cfg(name, 4, overrides)
    cfg["algorithm"]["symmetry_cfg"] = {"exact": True}
    return cfg


def image(mirror: Mirror, x: torch.Tensor) -> torch.Tensor:
    return x.detach()[..., torch.tensor(list(mirror.index), dtype=torch.long)] * torch.tensor(list(mirror.sign)).float()


def assert_commutes(alg) -> None:
    alg.eval_mode()
    torch.manual_seed(5)
    shapes = {"proprioception": (32, 2), "history": (32, 3, 2), "privileged": (32, 4)}
    z = halves(alg._raw_actor.latent_dim)
    obs = {name: torch.randn(shape) for name, shape in shapes.items()} | {LATENT: torch.randn(32, len(z))}
    images = {name: image({**GROUPS, LATENT: z}[name], value) for name, value in obs.items()}
    own, other = TensorDict(obs, [32]), TensorDict(images, [32])
    student, encoder = alg.student_policy(), alg._raw_actor.teacher_encoder
    with torch.no_grad():
        torch.testing.assert_close(student(other), image(PAIR, student(own)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alg.critic(other), alg.critic(own), atol=1e-5, rtol=1e-5)
        for latents in (lambda x: student.latent(x["history"]), lambda x: encoder(x["privileged"])):
            torch.testing.assert_close(latents(other), image(z, latents(own)), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(student(other), student(own), atol=1e-2)
    std = alg._raw_actor.distribution.std_param
    assert std[0] == std[1]
    alg.train_mode()


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    return str(write_teacher(tmp_path_factory.mktemp("teacher")))


@pytest.mark.parametrize("name", ["cts", *METHODS])
def test_every_method_keeps_it(name, teacher_file):
    entry = {"source": "checkpoint", "checkpoint": teacher_file, "terrain": []}
    nodes = {"algorithm": {"teachers": {key: entry for key in FILES[name]}}} if name in FILES else {}
    alg, env = build(exact_cfg(name, nodes), env=mirror_env())
    if name == "multi_teacher":
        alg.teachers.route = torch.arange(16) % 2
    assert_commutes(alg)
    for _ in range(4):
        rollout(alg, env)
        assert alg.update()["skipped_updates"] == 0
    assert_commutes(alg)


def test_a_block_hides_both_sides_of_a_robot_or_none():
    alg, _ = build(exact_cfg("adaptive_exposure", {"networks": {"teacher_encoder": {"blocks": 2}}}), env=mirror_env())
    encoder = alg._raw_actor.teacher_encoder
    assert encoder.block.tolist() == [0, 0, 1, 1]
    encoder.block.copy_(torch.tensor([0, 1, 1, 0]))
    x = mirrored.Mirror.of(joined([PAIR, PAIR]))
    list(encoder.ties(x, halves(alg._raw_actor.latent_dim)))
    assert encoder.block.tolist() == [0, 0, 1, 1]
    for shown in ([True, False], [False, True]):
        encoder.seen.copy_(torch.tensor(shown))
        assert_commutes(alg)


def test_a_checkpoint_of_an_encoder_with_neighbouring_blocks_is_read():
    alg, _ = build(method_cfg("adaptive_exposure", 4, None))
    encoder = alg._raw_actor.teacher_encoder
    state = encoder.state_dict()
    assert state.pop("block").tolist() == [0, 1, 2, 3]
    encoder.load_state_dict(state)


def test_what_a_state_dependent_deviation_is_made_of_changes_places():
    kind = {"class_name": "HeteroscedasticGaussianDistribution", "init_std": 0.5, "std_type": "log"}
    cfg = exact_cfg("cts", {"networks": {"actor": {"distribution_cfg": kind}}})
    cfg["networks"]["actor"]["distribution_cfg"] = kind
    alg, env = build(cfg, env=mirror_env())
    rollout(alg, env)
    alg.update()
    own = env.get_observations()
    own[LATENT] = torch.randn(16, 32)
    mirrors = {**GROUPS, LATENT: halves(32)}
    other = TensorDict({name: image(mirrors[name], own[name]) for name in own.keys()}, [16])
    stds = []
    for obs in (own, other):
        alg.actor(obs, stochastic_output=True)
        stds.append(alg.actor.output_std.detach())
    torch.testing.assert_close(stds[1], stds[0].flip(-1))
    assert not torch.allclose(stds[1], stds[0])


class OwnEncoder(torch.nn.Module):
    """An encoder that does not say how it is mirrored."""

    def __init__(self, input_shape, latent_dim, unit_latent):
        super().__init__()
        self.linear = torch.nn.Linear(6, latent_dim)

    def forward(self, x):
        """Latents."""
        return self.linear(x.flatten(1))


class Partly(OwnEncoder):
    """One that leaves its weights out."""

    def ties(self, x, z):
        """The bias alone."""
        yield self.linear.bias, z, None


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (OwnEncoder, r"class_name OwnEncoder is not known"),
        (Partly, r"class_name Partly \(linear.weight\) is not known"),
    ],
)
def test_an_encoder_whose_mirror_is_unknown_is_named(encoder, message):
    cfg = exact_cfg("cts")
    cfg["networks"]["student_encoder"] = {"class_name": encoder}
    with pytest.raises(ValueError, match=f"within networks.student_encoder.{message}"):
        build(cfg, env=mirror_env())


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"exact": 1}, "algorithm.symmetry_cfg.exact must be true or false, got 1"),
        ({"exact": True, "use_data_augmentation": True}, "exact leaves nothing to learn from images"),
        (
            {"exact": True, "use_mirror_loss": True, "mirror_loss_coeff": 1.0},
            "exact leaves nothing to learn from images",
        ),
    ],
)
def test_bad_options_are_named(node, message):
    cfg = method_cfg("cts")
    cfg["algorithm"]["symmetry_cfg"] = node
    with pytest.raises(ValueError, match=message):
        runner_cfg(cfg["algorithm"], cfg["networks"], cfg["runner"])
