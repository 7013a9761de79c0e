"""The curriculum's judgement, by robots that move as they please under the task's own commands."""

import math

import pytest
import torch
import yaml

from legged_cts.envs.morphology import TASKS
from legged_cts.mdp.progress import EpisodeProgress

DT, LEVELS = 0.02, 10


def test_sums_are_those_of_a_walk_by_hand():
    progress = EpisodeProgress(2, half_size=4.0)
    origin = torch.tensor([[10.0, 0.0], [10.0, 0.0]])

    def step(x, y, yaw, command, ground):
        position = torch.tensor([[x, y], [10.0, 0.0]])
        commands, grounds = torch.tensor([command, [1.0, 0.0]]), torch.tensor([ground, 0.0])
        progress.update(commands, position, torch.full((2,), yaw), grounds, origin, 0.5)

    step(10.0, 0.0, 0.0, [9.0, 9.0], 1.0)  # where the episodes begin
    assert progress.asked.tolist() == [0.0, 0.0]
    # Told to go ahead while it faces +y, it goes 0.3 m that way and 0.4 m aside.
    step(9.6, 0.3, 0.5 * math.pi, [1.0, 0.0], 1.2)
    assert progress.asked.tolist() == [0.5, 0.5]
    assert progress.followed.tolist() == pytest.approx([0.3, 0.0], abs=1e-6)
    # Told to go left at 2 m/s, which is -x then, it goes back by 1 m.
    step(10.6, 0.3, 0.5 * math.pi, [0.0, 2.0], 0.7)
    assert progress.followed.tolist() == pytest.approx([-0.7, 0.0], abs=1e-6)
    assert progress.asked.tolist() == [1.5, 1.0]
    assert progress.climb.tolist() == pytest.approx([0.3, 0.0])
    # Out of its sub-terrain; what it climbs there does not count.
    step(14.1, 0.3, 0.0, [1.0, 0.0], 2.0)
    step(20.0, 0.3, 0.0, [1.0, 0.0], 9.0)
    assert progress.left.tolist() == [True, False] == progress.passed.tolist()
    assert progress.asked[0] == 2.5 and progress.followed[0] == pytest.approx(8.7)
    assert progress.climb[0] == pytest.approx(0.3)
    progress.reset(torch.tensor([0]))
    step(9.0, 0.0, 0.0, [1.0, 0.0], 5.0)
    assert not progress.left.any() and progress.asked.tolist() == [0.0, 2.5] and progress.climb[0] == 0.0


def test_moves_by_hand():
    #                     passed   followed  slow     fell     fell     aimless  stood as  slow, cut
    #                              inside    inside   inside   outside  outside  told      short
    left = torch.tensor([True,     False,    False,   False,   True,    True,    False,    False])  # fmt: skip
    asked = torch.tensor([9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 0.0, 9.0])
    followed = torch.tensor([5.0, 9.0, 4.0, 9.0, 9.0, 1.0, 0.0, 0.0])
    fell = torch.tensor([False, False, False, True, True, False, False, False])
    cut = torch.tensor([False] * 7 + [True])
    progress = EpisodeProgress(8, 4.0)
    progress.left, progress.asked, progress.followed = left, asked, followed
    up, down = progress.moves(fell, cut)
    assert up.tolist() == [True, False, False, False, True, False, False, False]
    assert down.tolist() == [False, False, True, True, False, True, False, False]


def walk(speed, robots=600, **changed):
    """Let robots walk one episode under the task's commands; ``speed`` maps commands [N, 3] to what they do."""
    torch.manual_seed(0)
    task = yaml.safe_load((TASKS / "env" / "velocity.yaml").read_text())
    node = task["commands"] | changed
    progress = EpisodeProgress(robots, half_size=4.0)
    ranges = torch.tensor([node["lin_vel_x"], node["lin_vel_y"], node["ang_vel_z"]])
    position = torch.empty(robots, 2).uniform_(*task["reset"]["position"])
    yaw = torch.empty(robots).uniform_(-math.pi, math.pi)
    steps = round(task["episode_length_s"] / DT)
    for step in range(steps):
        if step % round(node["resampling_s"] / DT) == 0:
            command = ranges[:, 0] + torch.rand(robots, 3) * (ranges[:, 1] - ranges[:, 0])
            target = torch.empty(robots).uniform_(-math.pi, math.pi)
            stands = torch.rand(robots) < node["zero_probability"]
        if node["heading"]:
            error = torch.remainder(target - yaw + math.pi, 2 * math.pi) - math.pi
            command[:, 2] = (node["heading_stiffness"] * error).clamp(*node["ang_vel_z"])
        command[stands] = 0.0
        progress.update(command, position, yaw, torch.zeros(robots), torch.zeros(robots, 2), DT)
        moved = speed(command)
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        position = position + DT * torch.stack(
            (cos * moved[:, 0] - sin * moved[:, 1], sin * moved[:, 0] + cos * moved[:, 1]), dim=1
        )
        yaw = yaw + DT * moved[:, 2]
    no = torch.zeros(robots, dtype=torch.bool)
    return progress.moves(no, no)


def long_run_level(up, down):
    """Mean level of one robot after many episodes drawn from those walked, the last level followed by a random one."""
    moves, level, levels = up.int() - down.int(), 0, []
    for index in torch.randint(len(moves), (3000,)).tolist():
        level = max(0, level + int(moves[index]))
        level = int(torch.randint(LEVELS, ())) if level >= LEVELS else level
        levels.append(level)
    return sum(levels[1000:]) / len(levels[1000:])


SWAY = {"phase": 0.0}


def swaying(command):
    """A robot that follows every command on average, and sways by 0.3 m/s at 2 Hz."""
    SWAY["phase"] += 2.0 * 2.0 * math.pi * DT
    sway = torch.tensor([0.3 * math.sin(SWAY["phase"]), 0.3 * math.cos(SWAY["phase"]), 0.0])
    return command + sway


@pytest.mark.parametrize("changed", [{}, {"heading": False}, {"resampling_s": 20.0}, {"lin_vel_x": [-0.2, 0.2]}])
def test_who_follows_every_command_is_never_demoted(changed):
    for robot in (lambda command: command, swaying):
        up, down = walk(robot, **changed)
        assert not down.any()
        if "lin_vel_x" not in changed:
            assert up.float().mean() > 0.4 and long_run_level(up, down) > 4.0


def test_who_follows_most_of_each_command_climbs():
    up, down = walk(lambda command: command * torch.tensor([0.6, 0.6, 1.0]))
    assert not down.any() and up.float().mean() > 0.2
    assert long_run_level(up, down) > 3.0


def test_who_follows_three_commands_of_five_is_not_kept_at_the_bottom():
    torch.manual_seed(1)
    obeys = torch.rand(600, 1) < 0.6

    def robot(command):
        nonlocal obeys
        # A new coin at every command: the first component changes then.
        if not hasattr(robot, "last") or not torch.equal(robot.last, command[:, 0]):
            obeys = torch.rand(len(command), 1) < 0.6
            robot.last = command[:, 0].clone()
        return command * obeys

    up, down = walk(robot)
    assert long_run_level(up, down) > 1.5


@pytest.mark.parametrize(
    "robot",
    [
        lambda command: torch.zeros_like(command),
        lambda command: -command,
        lambda command: torch.tensor([1.0, 0.0, 0.0]).expand_as(command),
    ],
    ids=["stands", "goes the other way", "always runs ahead"],
)
def test_who_does_not_follow_stays_at_the_bottom(robot):
    up, down = walk(robot)
    assert down.float().mean() > 0.6 and long_run_level(up, down) < 1.0
    if torch.equal(robot(torch.ones(1, 3)), torch.zeros(1, 3)):
        assert not up.any() and down.float().mean() > 0.99
