"""Trainings of networks that commute with the mirror: checkpoints, resume, new observations, PPO."""

import pytest
import torch
from build import make_runner
from line_env import LineEnv
from tensordict import TensorDict

from legged_cts.envs.symmetry import EnvironmentMirror
from legged_cts.robots.symmetry import signs
from legged_cts.training.average import PolicyAverage
from legged_cts.training.checkpoint import CheckpointError, load_checkpoint
from legged_cts.training.trained import trained_algorithm

PARTS = {"actor": True, "critic": True}
GROUPS = {"proprioception": signs(-1.0), "history": signs(-1.0), "privileged": signs(-1.0, -1.0)}


class MirrorLine(LineEnv):
    """The line, whose mirror changes all signs; and three more numbers that teachers may see."""

    mirror = EnvironmentMirror(GROUPS | {"scan": signs(1.0, -1.0, 1.0)}, signs(-1.0), "cpu")

    def get_observations(self) -> TensorDict:
        """Those of the line, and ``scan`` [N, 3]."""
        groups = super().get_observations()
        groups["scan"] = torch.cat([self.x.square(), self.x + self.drift, self.x * self.drift], dim=1)
        return groups


def exact(folder, **options):
    return make_runner(folder, env=MirrorLine, exact=True, **options)


def is_odd(runner) -> bool:
    """Whether the deterministic policy commutes with the mirror."""
    groups = runner.env.get_observations()
    images = TensorDict({name: -value for name, value in groups.items()}, groups.batch_size)
    runner.alg.eval_mode()
    policy = runner.alg.get_policy()
    with torch.inference_mode():
        own, other = policy(groups), policy(images)
    runner.alg.train_mode()
    return torch.allclose(other, -own, atol=1e-6) and bool(own.abs().max() > 1e-3)


@pytest.mark.parametrize("algorithm", ["cts", "ppo"])
def test_a_training_keeps_it(tmp_path, algorithm):
    runner = exact(tmp_path, algorithm=algorithm)
    assert is_odd(runner)
    runner.learn(4)
    assert is_odd(runner) and runner.alg.exact_symmetry.holds()
    assert not is_odd(make_runner(None, env=MirrorLine, algorithm=algorithm))


def test_a_resumed_training_equals_an_uninterrupted_one_bit_by_bit(tmp_path):
    whole = exact(tmp_path / "whole")
    whole.learn(4)
    exact(tmp_path / "half").learn(2)
    second = exact(tmp_path / "half", seed=5)
    second.load(str(tmp_path / "half" / "model_2.pt"))
    second.learn(2)
    for name in ("actor_state_dict", "critic_state_dict", "student_encoder_state_dict"):
        for key, value in whole.alg.save()[name].items():
            assert torch.equal(value, second.alg.save()[name][key]), key
    assert is_odd(second)


@pytest.mark.parametrize("parts", [None, PARTS])
def test_networks_that_do_not_commute_are_refused(tmp_path, parts):
    make_runner(tmp_path, env=MirrorLine).learn(1)
    with pytest.raises(
        CheckpointError, match=r"networks in .*model_1.pt do not commute with the mirror.*symmetry=none"
    ):
        exact(None).load(str(tmp_path / "model_1.pt"), parts)


def test_networks_that_commute_are_ordinary_ones_for_other_trainings(tmp_path):
    exact(tmp_path).learn(2)
    plain = make_runner(None, env=MirrorLine)
    plain.load(str(tmp_path / "model_2.pt"), PARTS)
    assert is_odd(plain)
    plain.learn(2)
    assert not is_odd(plain)


def test_more_observations_can_be_taken_in(tmp_path):
    exact(tmp_path / "flat").learn(3)
    sets = {"actor": ["proprioception"], "critic": ["privileged", "scan"], "teacher": ["privileged", "scan"]}
    rough = exact(None, seed=1, runner={"obs_groups": {**sets, "student": ["history"]}})
    rough.load(str(tmp_path / "flat" / "model_3.pt"), PARTS)
    assert is_odd(rough)
    rough.learn(2)
    assert is_odd(rough) and rough.alg.exact_symmetry.holds()


def test_the_deployed_mean_of_the_weights_commutes_and_needs_no_mirror(tmp_path):
    runner, average = exact(tmp_path, runner={"average_iterations": 3}), PolicyAverage(3)
    runner.learn(1)
    for seed in range(3 * 10):  # it begins to average after ten iterations
        average.add(exact(None, seed=seed).alg.save())
    content = load_checkpoint(tmp_path / "model_1.pt") | average.save()
    content["env_info"] = {"proprioception": 1, "history_length": 2, "privileged": 2, "actions": 1}
    policy = trained_algorithm(content).student_policy()
    assert not torch.equal(policy.mlp[0].weight, runner.alg.actor.mlp[0].weight)
    x, history = torch.randn(9, 1), torch.randn(9, 2, 1)
    torch.testing.assert_close(policy(-x, -history), -policy(x, history))


@pytest.mark.parametrize(
    ("network", "node", "message"),
    [
        ("actor", {"class_name": "RNNModel"}, "within networks.actor.class_name RNNModel is not known"),
        (
            "actor",
            {"distribution_cfg": {"class_name": "BetaDistribution"}},
            "within networks.actor.distribution_cfg.class_name BetaDistribution is not known",
        ),
    ],
)
def test_networks_whose_mirror_is_unknown_are_named(network, node, message):
    with pytest.raises(ValueError, match=message):
        exact(None, algorithm="ppo", networks={network: node})


def test_a_group_without_a_mirror_is_named():
    class Other(MirrorLine):
        mirror = EnvironmentMirror({"proprioception": signs(-1.0)}, signs(-1.0), "cpu")

    with pytest.raises(ValueError, match="observation group 'privileged' has no mirror; there are proprioception"):
        make_runner(None, env=Other, exact=True)
