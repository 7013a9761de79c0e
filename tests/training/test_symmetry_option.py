"""The words ``symmetry=augment``, ``loss``, ``exact`` and ``none``, composed and put on top of a checkpoint."""

import pytest

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.symmetry import AUGMENTATION
from legged_cts.training.compose import apply_overrides, compose_task, plain

USES = {"augment": (True, False), "loss": (False, True)}


@pytest.mark.parametrize("algorithm", ["cts", "ppo"])
@pytest.mark.parametrize("symmetry", USES)
def test_a_word_turns_symmetry_on(algorithm, symmetry):
    task = plain(compose_task([f"algorithm={algorithm}", f"symmetry={symmetry}"]))
    found = runner_cfg(task["algorithm"], task["networks"], task["runner"])["algorithm"]["symmetry_cfg"]
    assert (found["use_data_augmentation"], found["use_mirror_loss"]) == USES[symmetry]
    assert found["data_augmentation_func"] == AUGMENTATION


def built_from(task) -> tuple[bool, dict | None]:
    """Whether networks are to be exact, and what rsl_rl's symmetry gets."""
    cfg = runner_cfg(task["algorithm"], task["networks"], task["runner"])
    return cfg["exact_symmetry"], cfg["algorithm"].get("symmetry_cfg")


@pytest.mark.parametrize("algorithm", ["cts", "ppo", "dagger"])
def test_exact_goes_to_whoever_builds_the_networks(algorithm):
    assert built_from(plain(compose_task([f"algorithm={algorithm}"]))) == (True, None)
    assert built_from(plain(compose_task([f"algorithm={algorithm}", "symmetry=none"]))) == (False, None)


@pytest.mark.parametrize("algorithm", ["cts", "ppo"])
def test_none_is_what_a_method_is_without(algorithm):
    assert plain(compose_task([f"algorithm={algorithm}", "symmetry=none"]))["algorithm"]["symmetry_cfg"] is None


def test_a_single_key_is_enough():
    task = plain(compose_task(["symmetry=none", "algorithm.symmetry_cfg={use_data_augmentation: true}"]))
    assert task["algorithm"]["symmetry_cfg"] == {"use_data_augmentation": True}


def test_a_checkpoint_can_change_its_mind():
    task = plain(compose_task(["symmetry=augment"]))
    assert plain(apply_overrides(task, ["symmetry=none"]))["algorithm"]["symmetry_cfg"] is None
    loss = plain(apply_overrides(task, ["symmetry=loss"]))["algorithm"]["symmetry_cfg"]
    assert loss["use_mirror_loss"] is True and loss["use_data_augmentation"] is False
    exact = plain(apply_overrides(task, ["symmetry=exact"]))
    assert built_from(exact) == (True, None)
    again = built_from(plain(apply_overrides(exact, ["symmetry=augment"])))
    assert again[0] is False and again[1]["use_data_augmentation"] is True
    assert built_from(plain(apply_overrides(exact, ["symmetry=none"]))) == (False, None)
