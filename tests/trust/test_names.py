"""Names that configurations may hold: a closed list, and what the command line trusts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from legged_cts.trust.names import CLASSES, TRUST, check_names, resolve, take_trust

TASKS = Path(__file__).parents[2] / "tasks"


@pytest.fixture(autouse=True)
def untrusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, "")


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "os.system",
        "subprocess:run",
        "system",
        "legged_cts.robots.usd:os.system",
        "legged_cts.trust.names:importlib.import_module",
        "legged_cts.trust.names.importlib.import_module",
        "legged_cts.algorithms.cts:torch.load",
        "rsl_rl.models:torch.load",
        "rsl_rl.modules.rnn:torch.load",
        "rsl_rl.utils:resolve_callable",
        ":CTS",
        "legged_cts.algorithms.cts.evil:CTS",
        "rsl_rl:PPO",
        "",
        7,
        None,
        ["PPO"],
    ],
)
def test_a_name_outside_the_list_is_refused_and_nothing_is_imported(name: object) -> None:
    with pytest.raises(ValueError, match="node.class_name"):
        resolve(name, "node.class_name")


def test_all_names_of_the_list_and_of_the_task_tree_are_there() -> None:
    for module, names in CLASSES.items():
        if module != "legged_cts.envs.symmetry":  # needs the simulator's packages
            assert all(callable(resolve(f"{module}:{name}")) for name in names)
    written = {name for file in TASKS.rglob("*.yaml") for name in re.findall(r"class_name: (\S+)", file.read_text())}
    assert len(written) >= 8 and all(callable(resolve(name)) for name in written)
    assert resolve("GaussianDistribution") is resolve("rsl_rl.modules.distribution:GaussianDistribution")


def test_a_module_of_ones_own_needs_a_word_on_the_command_line() -> None:
    with pytest.raises(ValueError, match=r"is none of the classes.*add trust=collections to the command line"):
        resolve("collections:Counter")
    assert take_trust(["script.py", "a=1", "trust=collections,my.module", "b=2"]) == ["script.py", "a=1", "b=2"]
    assert resolve("collections:Counter")("aab")["a"] == 2
    with pytest.raises(ValueError, match="none of the classes"):
        resolve("collections_too:Counter")
    with pytest.raises(ValueError, match="cannot be imported"):
        resolve("collections:Absent")


@pytest.mark.parametrize("word", ["trust=", "trust=a b", "trust=a:b", "trust=../evil", "trust=a,,b"])
def test_a_word_of_trust_that_names_no_module_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no module"):
        take_trust([word])


def test_names_anywhere_in_a_configuration_are_checked() -> None:
    check_names({"actor": {"class_name": "MLPModel", "distribution_cfg": {"class_name": "GaussianDistribution"}}})
    with pytest.raises(ValueError, match=r"^networks\.actor\.distribution_cfg\.class_name 'os:system'"):
        check_names({"networks": {"actor": {"distribution_cfg": {"class_name": "os:system"}}}})
    with pytest.raises(ValueError, match=r"^a\[1\]\.data_augmentation_func 'os:system'"):
        check_names({"a": [{}, {"data_augmentation_func": "os:system"}]})
    with pytest.raises(ValueError, match=r"^hydra\.x\._target_: "):
        check_names({"hydra": {"x": {"_target_": "os.mkdir"}}})
