"""The shipped configuration files and the check of their keys."""

import pytest
from builders import TASKS, task

from legged_cts.algorithms.config import runner_cfg


def test_cts_is_assembled():
    cfg = runner_cfg(**task())
    assert cfg["algorithm"]["class_name"] == "legged_cts.algorithms.cts:CTS"
    assert cfg["actor"]["teacher_encoder"]["hidden_dims"] == [64, 32]
    assert cfg["actor"]["student_encoder"]["activation"] == "elu"
    assert cfg["num_steps_per_env"] == 10
    assert cfg["obs_groups"]["student"] == ["history"]


def test_ppo_has_no_encoders():
    cfg = runner_cfg(**task("ppo"))
    assert set(cfg["actor"]) == {"class_name", "hidden_dims", "activation", "obs_normalization", "distribution_cfg"}


def test_arguments_are_not_changed():
    source = task()
    cfg = runner_cfg(**source)
    cfg["actor"]["teacher_encoder"]["hidden_dims"].append(1)
    cfg["obs_groups"]["actor"].append("more")
    assert source == task()


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ("algorithm", "teacher_fractoin"),
        ("algorithm", "student_encoder"),  # supplied by the construction
        ("networks", "decoder"),
        ("networks.actor", "latent"),
        ("networks.critic", "latent_dim"),  # follows the actor's
        ("networks.student_encoder", "obs_normalization"),  # shares that of o_t
        ("networks.teacher_encoder", "depth"),
        ("runner", "steps"),
    ],
)
def test_unknown_keys_are_named(node, key):
    cfg = task()
    target = cfg
    for name in node.split("."):
        target = target[name]
    target[key] = 1
    with pytest.raises(ValueError, match=rf"unknown key {node}\.{key}; allowed are: "):
        runner_cfg(**cfg)


def test_encoders_are_unknown_to_ppo():
    cfg = task("ppo")
    cfg["networks"]["teacher_encoder"] = {}
    with pytest.raises(ValueError, match="networks.teacher_encoder; allowed are: actor, critic"):
        runner_cfg(**cfg)


@pytest.mark.parametrize("path", ["algorithm.class_name", "networks.critic", "runner.obs_groups"])
def test_missing_keys_are_named(path):
    cfg = task()
    node, key = path.split(".")
    del cfg[node][key]
    with pytest.raises(ValueError, match=rf"missing key {path}"):
        runner_cfg(**cfg)


def test_bad_values_are_named():
    cfg = task()
    cfg["runner"]["num_steps_per_env"] = 0
    with pytest.raises(ValueError, match="runner.num_steps_per_env"):
        runner_cfg(**cfg)
    cfg = task()
    cfg["networks"]["student_encoder"]["class_name"] = "legged_cts.models.encoders:Absent"
    with pytest.raises(ValueError, match="networks.student_encoder.class_name"):
        runner_cfg(**cfg)


@pytest.mark.parametrize("name", ["cts", "ppo"])
def test_files_are_global_packages(name):
    assert (TASKS / "algorithm" / f"{name}.yaml").read_text().startswith("# @package _global_\n")
