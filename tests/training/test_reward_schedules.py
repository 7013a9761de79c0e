"""Reward weights that change later: said, kept through a resume, and not begun anew by a fine-tuning."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from legged_cts.training.app import resumed_config
from legged_cts.training.checkpoint import REQUIRED, save_checkpoint
from legged_cts.training.compose import apply_overrides, compose_task, plain
from legged_cts.training.display import LineDisplay
from legged_cts.training.schedules import RewardSchedules, go_on_from


def environment(weight: float = -0.002, after: int = 100, later: float = -0.01) -> SimpleNamespace:
    """As much of an environment as has one scheduled reward."""
    terms = {"action_rate": SimpleNamespace(weight=weight), "torques": SimpleNamespace(weight=-1.0)}
    params = {"term_name": "action_rate", "num_steps": after, "weight": later}
    return SimpleNamespace(
        common_step_counter=0,
        reward_manager=SimpleNamespace(get_term_cfg=terms.__getitem__),
        curriculum_manager=SimpleNamespace(_term_cfgs=[SimpleNamespace(params=params, func=None)]),
    )


def weight(env: SimpleNamespace) -> float:
    return env.reward_manager.get_term_cfg("action_rate").weight


def test_a_schedule_is_said_before_and_when_it_acts() -> None:
    env = environment()
    schedules = RewardSchedules(env)
    (plan,) = schedules.plans()
    assert "reward action_rate: weight -0.002 until control step 100, then -0.01" in plan
    assert schedules.changes() == []
    env.reward_manager.get_term_cfg("action_rate").weight = -0.01
    assert schedules.changes() == ["reward action_rate: weight -0.002 -> -0.01, as scheduled"]
    assert schedules.changes() == []
    env.common_step_counter = 101
    assert schedules.plans() == []
    stream = io.StringIO()
    display = LineDisplay(stream)
    display.start(3, 9)
    display.note(4, plan)
    assert stream.getvalue().startswith("[4/9] reward action_rate")


@pytest.mark.parametrize(("counter", "expected"), [(0, -0.002), (100, -0.002), (101, -0.01)])
def test_a_fine_tuning_does_not_begin_schedules_anew(counter: int, expected: float) -> None:
    env = environment()
    go_on_from(env, counter)
    assert (env.common_step_counter, weight(env)) == (counter, expected)


def test_a_weight_given_when_resuming_wins_over_the_saved_one() -> None:
    env = environment(later=-0.5)
    go_on_from(env, 200, {"action_rate": -0.01})
    assert weight(env) == -0.5
    env = environment(weight=-0.3)
    go_on_from(env, 50, {"action_rate": -0.002})
    assert weight(env) == -0.3
    # The environment changes it at a reset: until then the saved one of the two is kept, so that a resume is exact.
    env = environment()
    go_on_from(env, 101, {"action_rate": -0.002})
    assert weight(env) == -0.002


@pytest.mark.parametrize(
    ("words", "weight", "scheduled"),
    [
        ([], -0.002, True),
        (["env.rewards.action_rate.weight=-0.02"], -0.02, False),
        (["env.rewards.action_rate=-0.02"], -0.02, False),
        (["env.rewards.action_rate={weight:-0.02}"], -0.02, False),
        (["env.rewards.action_rate.weight=0"], 0, False),
        (["env.rewards.action_rate=0"], 0, False),
        (["env.rewards.action_rate.weight=-0.02", "env.rewards.action_rate.later.after=7"], -0.02, True),
        (["env.rewards.action_rate.later.after=7"], -0.002, True),
    ],
)
def test_a_weight_of_the_command_line_holds_for_the_whole_run_and_when_resuming(
    words: list[str], weight: float, scheduled: bool
) -> None:
    fresh, resumed = plain(compose_task(words)), plain(apply_overrides(plain(compose_task([])), words))
    for config in (fresh, resumed):
        term = config["env"]["rewards"]["action_rate"]
        assert term["weight"] == weight and bool(term.get("later")) == scheduled
    # What was given once is in the checkpoint, and holds in a run that goes on from it.
    again = plain(apply_overrides(fresh, ["max_iterations=5000"]))
    assert again["env"]["rewards"] == fresh["env"]["rewards"]


def test_a_bare_number_keeps_the_parameters_of_the_pack() -> None:
    terms = plain(compose_task(["env.rewards.track_lin_vel=2.5"]))["env"]["rewards"]
    assert terms["track_lin_vel"] == {"weight": 2.5, "params": {"sigma": 0.25}}


@pytest.mark.parametrize(
    "word", ["env.rewards.action_rate=null", "env.rewards.action_rate.weight=null", "~env.rewards.action_rate"]
)
def test_null_leaves_a_term_out(word: str) -> None:
    from legged_cts.envs.reward_params import weighted_terms
    from legged_cts.robots.spec import load_robot

    rewards = plain(compose_task([word]))["env"]["rewards"]
    names = [name for name, *_ in weighted_terms(rewards, load_robot("go2"), None)]
    assert "action_rate" not in names and "action_smoothness" in names


def test_the_resumed_configuration_has_the_new_weight(tmp_path) -> None:
    content = {"config": plain(compose_task([])), "env_info": {}, "iter": 3, "total_steps": 1}
    save_checkpoint(tmp_path / "model_3.pt", dict.fromkeys(REQUIRED, {}) | content)
    config = resumed_config(str(tmp_path), [f"resume={tmp_path}", "env.rewards.action_rate.weight=-0.5"])
    assert config["env"]["rewards"]["action_rate"] == {"weight": -0.5, "later": None}
