"""Lines where there is no terminal, a table where there is one."""

import io
import math

from rich.console import Console

from legged_cts.training import display as module
from legged_cts.training.display import LineDisplay, LiveDisplay, make_display
from legged_cts.training.progress import Phases, StepProgress, step_progress
from legged_cts.training.tables import REWARD_ROWS, duration, number, reward_terms, rewards_table

METRICS = {
    "total_steps": 48000.0, "perf/env_steps_per_s": 6400.0, "perf/collect_s": 1.5, "perf/learn_s": 0.5,
    "student/return": 3.25, "student/lin_error": 0.14, "student/yaw_error": 0.2, "student/falls": 0.05,
    "student/terrain_level": 1.5, "teacher/return": 4.0, "teacher/lin_error": 0.1, "score": 0.7, "best_score": 0.75,
    "learning_rate": 0.001, "loss/kl": 0.01, "loss/reconstruction": 0.02, "action_std": 0.9,
}  # fmt: skip


def test_lines_are_few_compact_and_include_the_last(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    display = make_display(stream, every_s=10.0)
    assert isinstance(display, LineDisplay)
    display.start(0, 1000)
    for iteration in range(1, 31):
        now[0] += 1.0
        display.update(iteration, METRICS)
    display.stop()
    lines = stream.getvalue().splitlines()
    assert [line.split("/")[0] for line in lines] == ["[1", "[11", "[21", "[30"]
    assert lines[-1] == (
        "[30/1000] | eta 16m10s | 6,400 steps/s | student ret 3.25 lin 0.14 yaw 0.20 falls 0.05 level 1.50"
        " | teacher ret 4.00 lin 0.10 | best 0.75"
    )
    display.stop()
    assert len(stream.getvalue().splitlines()) == 4
    assert "\x1b" not in stream.getvalue()


def test_the_last_iteration_is_shown_at_once():
    stream = io.StringIO()
    display = LineDisplay(stream, every_s=1000.0)
    display.start(4, 6)
    display.update(5, {})
    display.update(6, {})
    assert len(stream.getvalue().splitlines()) == 2 and "[6/6]" in stream.getvalue()


def test_terminal_shows_both_roles_and_the_state():
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=120))
    display.start(0, 10)
    display.update(3, METRICS)
    display.stop()
    text = stream.getvalue()
    for part in ("iteration 3/10", "student", "teacher", "[m/s]", "0.140", "0.100", "terrain level", "reconstruction"):
        assert part in text
    assert "to go" in text and "6,400" in text


def test_the_terminal_says_what_the_machine_is_short_of():
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=120))
    display.start(0, 10)
    display.update(1, METRICS | {"machine/waiting": 0.02, "machine/memory_left": 0.6})
    display.stop()
    assert "short of" not in stream.getvalue()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=120))
    display.start(0, 10)
    display.update(1, METRICS | {"machine/waiting": 0.4, "machine/memory_left": 0.6})
    display.stop()
    assert "short of cores: a thread waits for one 40% of the time" in stream.getvalue()


def test_climbs_stand_in_the_line_and_by_kind_of_terrain_in_the_table():
    metrics = METRICS | {
        "student/climb": 0.25, "student/terrain_level/stairs_up": 2.5, "student/climb/stairs_up": 0.75,
        "student/passed/stairs_up": 0.625, "student/climb/level_0": 9.0,
    }  # fmt: skip
    lines, terminal = io.StringIO(), io.StringIO()
    for display in (LineDisplay(lines), LiveDisplay(Console(file=terminal, force_terminal=True, width=120))):
        display.start(0, 10)
        display.update(3, metrics)
        display.stop()
    assert "level 1.50 climb 0.25 m" in lines.getvalue()
    row = next(line for line in terminal.getvalue().splitlines() if "stairs_up" in line)
    assert "2.50" in row and "0.75" in row and "0.6" in row


REWARDS = {
    "student/reward": 0.02, "student/reward/track": 0.0125, "teacher/reward/track": 0.015,
    "student/reward/power": -0.02, "teacher/reward/power": -0.001, "student/reward/alive": 0.0,
    "student/reward/bad": float("nan"), "env/Episode_Reward/track": 0.5,
}  # fmt: skip


def printed(renderable, width: int = 60) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()


def test_terms_of_the_reward_stand_by_their_size_and_small_ones_are_counted():
    assert reward_terms(REWARDS) == ["power", "track"]
    text = printed(rewards_table(REWARDS))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert rows == [["power", "-20.00", "-1.00"], ["track", "12.50", "15.00"]]
    many = {f"student/reward/term{i}": 1.0 / (i + 1) for i in range(REWARD_ROWS + 3)}
    assert "3 smaller ones" in printed(rewards_table(many)) and "teacher" not in printed(rewards_table(many))
    assert rewards_table(METRICS) is None


def test_a_wide_terminal_has_room_for_the_terms_of_the_reward():
    for width, shown in ((120, True), (80, False)):
        stream = io.StringIO()
        display = LiveDisplay(Console(file=stream, force_terminal=True, width=width))
        display.start(0, 10)
        display.update(3, METRICS | REWARDS)
        display.stop()
        assert ("power" in stream.getvalue()) == shown


def test_the_phase_and_the_stage_are_shown_while_it_trains_and_the_phase_is_gone_at_the_end():
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=120))
    display.start(0, 10)
    display.update(1, METRICS)
    display.phase("collect", 6, 24)
    display.stage("stage walks, 1 of 3")
    view = printed(display._view(), 120)
    assert "collect" in view and "stage walks, 1 of 3" in view
    display.stop()
    display.phase("save")  # the last checkpoint may be written after the display
    view = printed(display._view(), 120)
    assert "save" not in view and "stage walks" in view


def test_a_phase_is_as_far_as_its_steps_or_as_the_time_it_took_before(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    phases = Phases()
    phases.at("collect", 0, 4)
    assert phases.share() == 0.0 and math.isnan(phases.left())
    now[0] += 2.0
    phases.at("collect", 1, 4)
    assert phases.share() == 0.25 and phases.left() == 6.0
    now[0] += 6.0
    phases.at("learn")
    assert math.isnan(phases.share()) and math.isnan(phases.left())
    now[0] += 4.0
    phases.at("collect", 0, 4)
    assert phases.left() == 8.0  # as long as the last time
    now[0] += 8.0
    phases.at("learn")
    now[0] += 1.0
    assert phases.share() == 0.25 and phases.left() == 3.0
    now[0] += 9.0
    assert phases.share() == 1.0 and phases.left() == 0.0


def test_what_takes_many_steps_has_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    log = Console(file=io.StringIO(), width=80)
    with step_progress("evaluation", log) as progress:
        assert isinstance(progress, StepProgress)
        for done in range(1, 13):
            now[0] += 1.0
            progress(done, 20)
    assert log.file.getvalue() == "evaluation: 25 %, eta 15s\nevaluation: 50 %, eta 10s\n"
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    with step_progress("evaluation [1]", terminal) as progress:
        progress(10, 20)
    assert "evaluation [1]" in terminal.file.getvalue() and "50%" in terminal.file.getvalue()


def test_numbers_and_durations():
    assert [number(None), number(float("nan")), number(1234.5, 1)] == ["-", "-", "1,234.5"]
    assert [duration(s) for s in (5.4, 184.0, 3725.0, float("nan"))] == ["5s", "3m04s", "1h02m", "-"]


def test_warnings_are_shown_once_by_either_display():
    lines, terminal = io.StringIO(), io.StringIO()
    for display in (
        LineDisplay(lines, every_s=1000.0),
        LiveDisplay(Console(file=terminal, force_terminal=True, width=200)),
    ):
        display.start(0, 200)
        for iteration in range(1, 201):
            display.update(iteration, {**METRICS, "latent/dimension_student": 1.25})
        display.stop()
    warnings = [line for line in lines.getvalue().splitlines() if "warning" in line]
    assert warnings == [
        "[50/200] warning: the latent of the students has collapsed: effective dimension 1.2, below 2",
    ]
    assert terminal.getvalue().count("the latent of the students has collapsed") == 1
