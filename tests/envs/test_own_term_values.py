"""What functions of the user's own return is checked where they are called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from isaaclab.managers import ManagerTermBase, ObservationTermCfg

from legged_cts.envs.builder import Group, _named
from legged_cts.envs.own_terms import own_events, own_observations, own_reward, own_terminations
from legged_cts.envs.rewards import reward_terms
from legged_cts.mdp.mirrors import mirrors_as
from legged_cts.mdp.observations import observation_mirror
from legged_cts.robots.spec import load_robot
from legged_cts.robots.symmetry import foot_mirror
from legged_cts.trust.names import TRUST

ENV: Any = SimpleNamespace(num_envs=3)


@mirrors_as(foot_mirror)
def feet(env):
    return torch.arange(4.0).repeat(env.num_envs, 1)


def given(env, value):
    return value


class Memory(ManagerTermBase):
    def __call__(self, env):
        return torch.zeros(env.num_envs)


@pytest.fixture(autouse=True)
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST, __name__)


def term(name: str, **more: Any) -> dict[str, Any]:
    return {"func": f"{__name__}:{name}", **more}


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (torch.zeros(3, 1), r"torch.float32 \[3, 1\]"),
        (torch.zeros(()), r"torch.float32 \[\]"),
        (torch.zeros(3, dtype=torch.bool), r"torch.bool \[3\]"),
        (0.5, "float"),
    ],
)
def test_a_reward_is_one_number_for_each_environment(value: Any, got: str) -> None:
    node = term("given", weight=1.0, params={"value": None})
    function = own_reward("mine", node)
    assert function(ENV, value=torch.ones(3)).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=rf"^env\.rewards\.mine: given must return one number .* N = 3; .* {got}$"):
        function(ENV, value=value)


def test_a_termination_is_true_or_false_and_a_fall_unless_it_is_a_time_out() -> None:
    node = {"tilt": {"limit": 1.0}, "time_out": True, "a": term("given", params={"value": 1}), "b": None}
    node["c"] = term("given", params={"value": 1}, time_out=True)
    terms: Any = own_terminations(node)
    assert {name: cfg.time_out for name, cfg in terms.items()} == {"a": False, "c": True}
    assert terms["a"].func(ENV, value=torch.ones(3, dtype=torch.bool)).all()
    with pytest.raises(ValueError, match=r"env\.terminations\.a: given must return true or false"):
        terms["a"].func(ENV, value=torch.ones(3))


def test_an_observation_has_columns_and_keeps_its_mirror() -> None:
    terms: Any = own_observations({"push": True, "feet": term("feet"), "given": term("given", params={"value": 1})})
    assert terms["feet"].func(ENV).shape == (3, 4)
    go2 = load_robot("go2")
    assert observation_mirror(terms["feet"], go2, None)(torch.arange(4.0).numpy()).tolist() == [1, 0, 3, 2]
    with pytest.raises(ValueError, match=r"env\.observations\.privileged\.given: .*columns? .*\[N, k\]"):
        terms["given"].func(ENV, value=torch.zeros(3))
    with pytest.raises(ValueError, match="'given' has no mirror"):
        observation_mirror(terms["given"], go2, None)


def test_a_class_is_left_to_the_manager_and_events_keep_their_times() -> None:
    assert own_reward("memory", term("Memory", weight=1.0)) is Memory
    events: Any = own_events({"gust": term("given", mode="interval", interval_s=[1, 2])})
    assert (events["gust"].mode, events["gust"].interval_range_s) == ("interval", (1.0, 2.0))


def test_a_reward_without_a_weight_is_there_if_a_stage_gives_it_one() -> None:
    go2 = load_robot("go2")
    node = {"alive": {"weight": 1.0}, "mine": term("given", weight=0.0, params={"value": None})}
    assert list(reward_terms(node, go2, None)) == ["alive"]
    found = reward_terms(node, go2, None, staged={"mine"})
    assert (found["mine"].weight, found["mine"].params) == (0.0, {"value": None})


def test_a_name_that_the_group_itself_has_is_refused() -> None:
    with pytest.raises(ValueError, match="'history_length' cannot name a term of your own"):
        _named(Group(), history_length=ObservationTermCfg(func=feet))
