"""Stages: judged by the student's success, said, kept by checkpoints, and held back by the command line."""

from __future__ import annotations

import copy
import functools
import re
from types import SimpleNamespace
from typing import Any

import pytest

from legged_cts.envs.gait import task_gait
from legged_cts.envs.reward_params import weighted_terms
from legged_cts.robots.spec import load_robot
from legged_cts.task.check import check_task
from legged_cts.task.stages import changes, stages_of, with_stage
from legged_cts.train import resumed_config
from legged_cts.training.checkpoint import REQUIRED, save_checkpoint
from legged_cts.training.compose import apply_overrides, compose_task, plain
from legged_cts.training.stages import SETTLING, Stages, apply

WORDS = [
    "+stages.a={when:{lin_error:0.3,falls:0.2},set:{env:{rewards:{action_rate:-0.5,track_lin_vel:{params:{sigma:0.1}}},commands:{lin_vel_x:[-2,2]}}}}",
    "+stages.b={when:{falls:0.1},set:{env:{pushes:{lin_vel:0.9,interval_s:[2,4]},reset:{velocity:[-1,1]}},algorithm:{learning_rate:1e-4,surrogate:pooled}}}",
]
GOOD = {"student/lin_error": 0.29, "student/falls": 0.05}


@functools.cache
def _composed(*words: str) -> dict[str, Any]:
    return plain(
        compose_task(
            ["stages.walks=null", "stages.steady=null", "stages.precise=null", "stages.fine=null", *WORDS, *words]
        )
    )


def composed(*words: str) -> dict[str, Any]:
    return copy.deepcopy(_composed(*words))


class Running:
    """As much of an environment and of an algorithm as stages change."""

    def __init__(self) -> None:
        self.terms = {
            "action_rate": SimpleNamespace(weight=-0.002, params={}),
            "track_lin_vel": SimpleNamespace(weight=1.0, params={"sigma": 0.25}),
        }
        self.ranges = SimpleNamespace(lin_vel_x=(-1.0, 1.0))
        self.push = SimpleNamespace(params={"lin_vel": 0.4, "ang_vel": 0.6}, interval_range_s=(4.0, 8.0))
        self.reset_base = SimpleNamespace(params={"velocity": (-0.3, 0.3)})
        self.reward_manager = SimpleNamespace(get_term_cfg=self.terms.__getitem__, active_terms=list(self.terms))
        command = SimpleNamespace(cfg=SimpleNamespace(ranges=self.ranges))
        self.command_manager = SimpleNamespace(get_term=lambda _: command)
        events = {"push": self.push, "reset_base": self.reset_base}
        self.event_manager = SimpleNamespace(active_terms={"interval": ["push"]}, get_term_cfg=events.__getitem__)
        self.optimizer = SimpleNamespace(param_groups=[{"lr": 1e-3}])
        self.learning_rate, self.surrogate = 1e-3, "sum_of_means"
        self.gradient = "auto"

    def set_student_encoder_gradient(self, gradient: str) -> None:
        self.gradient = gradient

    def seen(self) -> tuple:
        rates = (self.learning_rate, self.optimizer.param_groups[0]["lr"])
        return self.terms["action_rate"].weight, self.ranges.lin_vel_x, self.push.params["lin_vel"], rates


def started(*words: str) -> tuple[Stages, Running, dict[str, Any], dict[str, Any]]:
    running, config = Running(), composed(*words)
    info = {"command_ranges": {axis: config["env"]["commands"][axis] for axis in ("lin_vel_x", "lin_vel_y")}}
    return Stages(config, info, running, running), running, config, info


def test_stages_act_in_order_once_the_student_is_as_good_for_long_enough() -> None:
    stages, running, config, info = started()
    before = running.seen()
    assert "next stage: a, when the student has lin_error <= 0.3, falls <= 0.2" in stages.plan()[0]
    assert stages.metrics() == {"stage": 0.0} and stages.settled(1)
    assert stages.look(GOOD, SETTLING - 1) == []
    far = {**GOOD, "student/lin_error": 0.5}
    assert stages.progress(far, 5) == (
        f"before 2 stages; next a: lin_error 0.500 > 0.3, falls 0.050 <= 0.2, not before {SETTLING - 5} more iterations"
    )
    assert stages.look({**GOOD, "student/falls": 0.21}, SETTLING) == []
    assert stages.look({**GOOD, "student/lin_error": float("nan")}, SETTLING) == []
    assert running.seen() == before
    said, following = stages.look(GOOD, SETTLING)
    assert stages.metrics() == {"stage": 1.0}
    assert stages.progress(GOOD, 2 * SETTLING) == "stage a, 1 of 2; next b: falls 0.050 <= 0.1"
    assert "stage a" in said and "env.commands.lin_vel_x=[-2, 2]" in said and "next stage: b" in following
    assert running.seen()[:2] == (-0.5, (-2.0, 2.0))
    assert running.terms["track_lin_vel"].params == {"sigma": 0.1} and running.terms["track_lin_vel"].weight == 1.0
    assert config["env"]["commands"]["lin_vel_x"] == [-2, 2] and info["command_ranges"]["lin_vel_x"] == [-2.0, 2.0]
    # The means must be of this stage alone before the next is judged.
    assert stages.look(GOOD, 2 * SETTLING - 1) == []
    assert [stages.settled(iteration) for iteration in (SETTLING, 2 * SETTLING - 1, 2 * SETTLING)] == [
        False,
        False,
        True,
    ]
    assert len(stages.look(GOOD, 2 * SETTLING)) == 1
    assert running.seen()[2:] == (0.9, (1e-4, 1e-4)) and running.surrogate == "pooled"
    assert running.push.interval_range_s == (2.0, 4.0) and running.reset_base.params["velocity"] == (-1.0, 1.0)
    assert stages.plan() == [] and stages.look(GOOD, 100) == []


def test_where_nobody_is_a_student_teachers_count() -> None:
    stages, *_ = started()
    teachers = {key.replace("student", "teacher"): value for key, value in GOOD.items()}
    assert stages.look({**teachers, "student/falls": float("nan")}, SETTLING)


def test_a_resumed_run_goes_on_in_its_stage() -> None:
    stages, _, config, _ = started()
    stages.look(GOOD, 30)
    again, running = Running(), copy.deepcopy(config)
    resumed = Stages(running, {}, again, again)
    resumed.load_state_dict(stages.state_dict())
    assert resumed.reached == ["a"]
    assert resumed.look(GOOD, 30 + SETTLING - 1) == [] and resumed.look(GOOD, 30 + SETTLING)


def test_a_fine_tuning_begins_in_the_stages_of_its_checkpoint() -> None:
    stages, running, config, _ = started()
    (said,) = stages.take_over({"reached": ["a", "of another run"], "since": 70})
    assert "stage a (reached by the checkpoint)" in said
    assert running.seen()[0] == -0.5 and config["env"]["rewards"]["action_rate"]["weight"] == -0.5
    assert stages.look(GOOD, SETTLING - 1) == [] and stages.look(GOOD, SETTLING)


@pytest.mark.parametrize(
    ("word", "key", "staged"),
    [
        ("env.rewards.action_rate=-0.3", "env.rewards.action_rate.weight", False),
        ("env.rewards.action_rate={weight:-0.3}", "env.rewards.action_rate.weight", False),
        ("env.rewards.action_rate=null", "env.rewards.action_rate.weight", False),
        ("env.rewards.track_lin_vel.params.sigma=0.2", "env.rewards.action_rate.weight", True),
        ("env.commands.lin_vel_x=[0,1]", "env.commands.lin_vel_x", False),
        ("env.commands={lin_vel_x:[0,1]}", "env.commands.lin_vel_x", False),
        ("env.commands.lin_vel_y=[0,1]", "env.commands.lin_vel_x", True),
    ],
)
def test_what_the_command_line_gives_holds_in_a_new_run_and_when_resuming(word: str, key: str, staged: bool) -> None:
    fresh, resumed = composed(word), plain(apply_overrides(composed(), [word]))
    for config in (fresh, resumed):
        assert (key in changes(config, "a")) == staged
    # What was given once is in the checkpoint, and holds in a run that goes on from it.
    again = plain(apply_overrides(fresh, ["max_iterations=5000"]))
    assert again["stages"] == fresh["stages"]


def test_rates_of_ppo_hold_too() -> None:
    assert "algorithm.learning_rate" not in changes(composed("ppo.learning_rate=3e-4"), "b")


def test_a_pack_is_for_all_algorithms() -> None:
    words = ["+stages.c={when:{falls:0.1},set:{algorithm:{teacher_fraction:0.1,surrogate:pooled,entropy_coef:0.0}}}",
             "+stages.c.set.algorithm.student_encoder_gradient=surrogate"]  # fmt: skip
    for_all, decided = {"entropy_coef", "surrogate"}, {"teacher_fraction", "student_encoder_gradient"}
    for algorithm, has in (("cts", for_all | decided), ("kdrl", for_all), ("ppo", {"entropy_coef"})):
        config = composed(f"algorithm={algorithm}", *words)
        assert set(changes(config, "c")) == {f"algorithm.{option}" for option in has}
        check_task(with_stage(config, "c"))


def test_what_trains_the_student_encoder_changes_with_a_stage() -> None:
    running = Running()
    apply(running, running, "algorithm.student_encoder_gradient", "surrogate")
    assert running.gradient == "surrogate"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"when": {"falls": 0.1}, "set": {"env": {"decimation": 3}}}, "stages.x.set.env.decimation cannot change"),
        ({"when": {"fals": 0.1}, "set": {}}, "stages.x.when.fals is unknown; did you mean 'falls'?"),
        ({"when": {}, "set": {}}, "needs lin_error"),
        ({"when": {"falls": 2}, "set": {}}, "stages.x.when.falls must be"),
        (
            {"when": {"falls": 0.1}, "set": {"env": {"commands": {"lin_vel_x": [3, 2]}}}},
            "stages.x: env.commands.lin_vel_x must be a range",
        ),
        (
            {"when": {"falls": 0.1}, "set": {"env": {"rewards": {"hops": 1}}}},
            "stages.x: env.rewards.hops is unknown",
        ),
        ({"when": {"falls": 0.1}, "set": 7}, "stages.x.set must be a part of the task tree"),
        (7, "stages.x must be a group with the keys when, set"),
    ],
)
def test_a_wrong_stage_is_refused_in_one_line(stage: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        check_task({**composed(), "stages": {"x": stage}})
    assert "\n" not in str(caught.value)


def test_stages_can_be_left_out() -> None:
    assert stages_of(plain(compose_task(["stages=null"]))) == {}
    assert list(stages_of(plain(compose_task(["stages.walks=null"])))) == ["steady", "precise", "fine"]


def test_the_resumed_configuration_has_the_new_weight(tmp_path) -> None:
    content = {"config": composed(), "env_info": {}, "iter": 3, "total_steps": 1}
    save_checkpoint(tmp_path / "model_3.pt", dict.fromkeys(REQUIRED, {}) | content)
    config = resumed_config(str(tmp_path), [f"resume={tmp_path}", "env.rewards.action_rate.weight=-0.7"])
    assert config["env"]["rewards"]["action_rate"]["weight"] == -0.7
    assert "env.rewards.action_rate.weight" not in changes(config, "a")


def test_a_bare_number_keeps_the_parameters_of_the_pack() -> None:
    terms = plain(compose_task(["env.rewards.track_lin_vel=2.5"]))["env"]["rewards"]
    assert terms["track_lin_vel"] == {"weight": 2.5, "params": {"sigma": 0.25}}


@pytest.mark.parametrize(
    "word", ["env.rewards.action_rate=null", "env.rewards.action_rate.weight=null", "~env.rewards.action_rate"]
)
def test_null_leaves_a_term_out(word: str) -> None:
    env, spec = plain(compose_task([word]))["env"], load_robot("go2")
    names = [name for name, *_ in weighted_terms(env["rewards"], spec, task_gait(env, spec), {"action_rate"})]
    assert "action_rate" not in names and "action_smoothness" in names


@pytest.mark.parametrize("native", [True, False])
def test_the_length_of_ticks_is_told_to_the_engine_that_knows_it(native: bool) -> None:
    told: list[float | None] = []
    manager = SimpleNamespace(set_longest_tick=told.append) if native else SimpleNamespace()
    env = SimpleNamespace(sim=SimpleNamespace(physics_manager=manager))
    apply(env, None, "solver.longest_tick", None)
    assert told == ([None] if native else [])
