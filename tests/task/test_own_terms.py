"""Terms of the user's own: what the task tree takes, what it refuses, and where their modules are looked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from stranger_files import checkpoint_content, put, save_torch

from legged_cts.envs.fit import check_task_and_robot
from legged_cts.envs.privileged import resolve_privileged
from legged_cts.task.check import check_task
from legged_cts.task.stages import staged_rewards, with_stage
from legged_cts.task.words import check_early, check_overrides, plain_words
from legged_cts.training.checkpoint import load_checkpoint
from legged_cts.training.command_line import check, read
from legged_cts.training.compose import apply_overrides, compose_task, plain
from legged_cts.trust.names import FOLDERS, TRUST, own_function, take_trust

MODULE = """
from legged_cts.mdp.mirrors import mirrors_as
from legged_cts.robots.symmetry import scalar_mirror

def high(env, least, most=0.2): ...
def gust(env, env_ids, speed): ...
class Memory:
    def __call__(self, env, decay): ...
@mirrors_as(scalar_mirror)
def load(env): ...
def wind(env): ...
def humps(tile, height=(0.0, 0.1), count=3): return tile.flat() + tile.at(height)
def low(tile): return 0.0
number = 3
"""
REWARD = "env.rewards.mine={func: my_test_terms:high, weight: 0.5, params: {least: 0.1}}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's with a module, in which no command runs yet."""
    monkeypatch.setenv(TRUST, "")
    monkeypatch.setenv(FOLDERS, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_test_terms", raising=False)
    (tmp_path / "my_test_terms.py").write_text(MODULE)
    return tmp_path


@pytest.fixture
def trusting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    take_trust(["trust=my_test_terms"])


def composed(*words: str) -> dict[str, Any]:
    return plain(compose_task(words))


def own(group: str, **term: Any) -> dict[str, Any]:
    """The task with one term of the user's own, `mine`, in a group."""
    config = composed("terrain=rough") if group == "terrain.kinds" else composed()
    node = config
    for part in group.split("."):
        node = node[part]
    node["mine"] = {"func": "my_test_terms:high", **term} if group != "terrain.kinds" else term
    return config


@pytest.mark.usefixtures("trusting")
def test_every_group_takes_functions_of_the_users_own() -> None:
    name = "my_test_terms"
    words = [
        REWARD,
        f"env.observations.privileged.load={{func: {name}:load}}",
        f"env.terminations.high={{func: {name}:high, params: {{least: 0.5}}, time_out: true}}",
        f"env.events.gust={{func: {name}:gust, mode: interval, interval_s: [1, 2], params: {{speed: 1.0}}}}",
        f"env.rewards.memory={{func: {name}:Memory, weight: 1.0, params: {{decay: 0.9}}}}",
        "terrain=rough",
        f"terrain.kinds.humps={{kind: {name}:humps, proportion: 1, height: [0.0, 0.2]}}",
    ]
    check(read(words))
    config = composed(*words, "symmetry=augment")
    check_task_and_robot(config)
    # A checkpoint's configuration takes the same words, and changes of what it holds.
    stored = apply_overrides(composed(), [*plain_words(words[:4])])
    stored = plain(apply_overrides(plain(stored), plain_words(["env.rewards.mine=0.2", "env.events.gust=null"])))
    assert stored["env"]["rewards"]["mine"] == {**config["env"]["rewards"]["mine"], "weight": 0.2}
    assert stored["env"]["events"] == {"gust": None}
    check_task_and_robot(stored)
    resolve_privileged(stored)
    assert stored["env"]["observations"]["privileged"]["load"] == {"func": f"{name}:load"}


@pytest.mark.parametrize(
    ("group", "term", "message"),
    [
        ("env.rewards", {"params": {"least": 0}}, "env.rewards.mine.weight is missing"),
        ("env.rewards", {"weight": "much"}, "env.rewards.mine.weight must be"),
        ("env.rewards", {"weight": 1, "parms": {}}, "env.rewards.mine.parms is unknown; did you mean 'params'?"),
        ("env.rewards", {"weight": 1}, "env.rewards.mine.params.least is missing, which my_test_terms:high needs"),
        (
            "env.rewards",
            {"weight": 1, "params": {"least": 1, "mst": 2}},
            "env.rewards.mine.params.mst: my_test_terms:high has no such parameter; did you mean 'most'?",
        ),
        (
            "env.terminations",
            {"params": {"x": 1}},
            "env.terminations.mine.params.x: my_test_terms:high has no such parameter; it has least, most",
        ),
        ("env.terminations", {"time_out": "no"}, "env.terminations.mine.time_out must be true or false, got 'no'"),
        ("env.terminations", {"func": "my_test_terms.high"}, "must be module:function, as in my_terms:jump_height"),
        ("env.terminations", {"func": "my_test_terms:hihg"}, "cannot be imported: module"),
        ("env.terminations", {"func": "my_test_terms:number"}, "is neither a class nor a function"),
        ("env.terminations", {"func": "os:system"}, "'os:system' is a function of one's own: to run it add trust=os"),
        ("env.events", {"func": "my_test_terms:gust", "mode": "rest"}, "mode='rest' is unknown; did you mean 'reset'"),
        ("env.events", {"func": "my_test_terms:gust", "mode": "interval"}, "env.events.mine needs interval_s"),
        (
            "env.events",
            {"func": "my_test_terms:gust", "mode": "reset"},
            "env.events.mine.params.speed is missing",
        ),
        ("env.observations", {}, "a term of your own is privileged, .*: env.observations.privileged.mine="),
        ("env.observations.scales", {}, "a term of your own is privileged"),
        ("terrain.kinds", {"kind": "my_test_terms:humps", "proportion": 1, "count": [1, 2]}, "must be one number"),
        ("terrain.kinds", {"kind": "my_test_terms:humps", "proportion": 1, "hight": 1}, "did you mean 'height'"),
        ("terrain.kinds", {"kind": "os:system", "proportion": 1}, "to run it add trust=os"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("trusting")
def test_what_is_wrong_with_one_is_one_line(group: str, term: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_task_and_robot(own(group, **term))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("trusting")
def test_an_observation_needs_a_mirror_with_symmetry_alone() -> None:
    words = ["env.observations.privileged.wind={func: my_test_terms:wind}"]
    check_task_and_robot(composed(*words, "symmetry=none"))
    for symmetry in ("exact", "augment"):
        with pytest.raises(ValueError, match="the observation term 'wind' has no mirror; declare it with @mirrors_as"):
            check_task_and_robot(composed(*words, f"symmetry={symmetry}"))


@pytest.mark.usefixtures("trusting")
def test_a_stage_gives_a_reward_of_ones_own_its_weight() -> None:
    later = {"when": {"falls": 0.1}, "set": {"env": {"rewards": {"mine": 2.0}}}}
    config = own("env.rewards", weight=0.0, params={"least": 0.1}) | {"stages": {"later": later}}
    check_task_and_robot(config)
    assert staged_rewards(config) == {"mine"}
    assert with_stage(config, "later")["env"]["rewards"]["mine"]["weight"] == 2.0
    # What the command line gives holds for the whole run.
    stage = "+stages.later={when: {falls: 0.1}, set: {env: {rewards: {mine: 2.0}}}}"
    assert "mine" not in staged_rewards(composed(REWARD, stage)) and "mine" in staged_rewards(composed(stage))
    with pytest.raises(ValueError, match=r"stages\.later: env\.rewards\.mine is unknown"):
        check_task(composed(stage))


def test_without_trust_the_word_is_refused_before_anything_is_imported(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"env\.rewards\.mine is unknown.*one of your own: mine=\{func: .* and trust="):
        check_early(REWARD)
    with pytest.raises(ValueError, match="did you mean 'action_rate'"):
        check_overrides(["env.rewards.action_rte=1"])
    assert "my_test_terms" not in sys.modules


def test_a_checkpoint_that_names_a_function_imports_nothing_without_trust(folder: Path, monkeypatch) -> None:
    canary = folder / "canary"
    (folder / "my_test_terms.py").write_text(f"open({str(canary)!r}, 'w')\n{MODULE}")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    term = {"func": "my_test_terms:high", "weight": 1.0, "params": {"least": 0.0}}
    for group, value in (
        ("rewards", term),
        ("terminations", {"func": "my_test_terms:load"}),
        ("events", {"func": "my_test_terms:load", "mode": "reset"}),
        ("observations.privileged", {"func": "my_test_terms:load"}),
    ):
        content = put(checkpoint_content(), f"config.env.{group}.mine", value)
        config = load_checkpoint(save_torch(folder / "a.pt", content))["config"]
        with pytest.raises(ValueError, match=rf"env\.{group}\.mine\.func 'my_\w+:\w+' is .* add trust=my_test"):
            check_task_and_robot(config)
    config = composed("terrain=rough")
    config["terrain"]["kinds"]["mine"] = {"kind": "my_test_terms:humps", "proportion": 1}
    with pytest.raises(ValueError, match="add trust=my_test_terms"):
        check_task_and_robot(config)
    assert not canary.exists()
    take_trust(["trust=my_test_terms"])
    check_task_and_robot(
        load_checkpoint(save_torch(folder / "a.pt", put(content, "config.env.rewards.mine", term)))["config"]
    )
    assert canary.exists()


@pytest.mark.parametrize("words", [["--config-dir", "{}"], ["--config-dir={}"], ["hydra.searchpath=[file://{},x]"]])
def test_the_folders_of_the_command_line_are_where_a_module_is_looked_for(folder: Path, monkeypatch, words) -> None:
    monkeypatch.chdir("/")
    take_trust([word.format(folder) for word in words] + ["trust=my_test_terms,absent_module"])
    assert own_function("my_test_terms:high", "x").__name__ == "high"
    with pytest.raises(
        ValueError, match=rf"x 'absent_module:f' cannot be imported.*no file in /, {folder}.* and not installed"
    ):
        own_function("absent_module:f", "x")


@pytest.mark.usefixtures("trusting")
def test_a_kind_of_terrain_of_ones_own_is_laid_and_its_heights_are_checked() -> None:
    from legged_cts.terrain.grid import Entry, lay_ground

    entry = Entry.checked("humps", {"kind": "my_test_terms:humps", "proportion": 1, "height": [0.1, 0.3]})
    ground = lay_ground([entry, Entry("flat", {})], 2, border=1.0)
    assert ground.heights.max() == pytest.approx(0.3)
    with pytest.raises(ValueError, match=r"my_test_terms:low must return finite heights \[161, 161\]"):
        lay_ground([Entry("my_test_terms:low", {})], 1, border=1.0)


def test_a_file_may_be_trusted_by_its_path(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    assert take_trust([f"trust={folder}/my_test_terms.py,other", "a=1"]) == ["a=1"]
    assert own_function("my_test_terms:high", "x").__name__ == "high"
    with pytest.raises(ValueError, match="trust: there is no file nowhere/my_terms.py"):
        take_trust(["trust=nowhere/my_terms.py"])
