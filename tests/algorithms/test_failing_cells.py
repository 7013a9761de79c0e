"""A teacher that drives only where the student fails: counting, the join to the driver, and exact resumes."""

import copy
from types import SimpleNamespace

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import method_cfg, with_axes
from toy_env import FallingEnv

from legged_cts.algorithms.config import runner_cfg
from legged_cts.distillation.cells import MEMORY, FailingCells
from legged_cts.training.cells import cells_of, supply_cells
from legged_cts.training.display import NoDisplay
from legged_cts.training.runner import Runner

CELLS = torch.arange(32) % 2
COPY = {"teacher": {"source": "frozen"}}
DRIVER = {"unit": "episode", "share": 0.5, "failing_cells": True}


def bools(*numbers):
    return torch.tensor(numbers).bool()


def failing(driver=DRIVER, rates=(0.5, 0.0), seed=0, watched=True, episode=5):
    """32 environments in two cells, with the chance of a fall in each."""
    env = FallingEnv(torch.tensor(rates)[CELLS], episode, seed=11)  # its luck must not be the driver's coins
    alg, _ = with_axes(
        {"coef": 0.5, "driver": driver, "learn": {"rl": "student"}}, teachers=COPY, env=env, seed=seed
    )  # fmt: skip
    if watched and alg.cells is not None:
        alg.cells.watch(lambda: CELLS, 2)
    return alg, env


def train(alg, env, iterations=1):
    acted = []
    for _ in range(iterations):
        rollout(alg, env)
        acted.append(alg._acted.clone())
        alg.update()
    return torch.cat(acted)


# By hand


def test_a_running_mean_of_the_students_episodes():
    where = torch.tensor([0, 0, 1, 1])
    cells = FailingCells(4)
    cells.watch(lambda: where, 3)
    assert cells.shares(0.5, 0.1).tolist() == [0.0] * 4 and cells.summary(0.1) == {}
    # Cell 0: a time-out and a fall of the student. Cell 1: a fall of the teacher, and an episode that goes on.
    cells.advance(torch.tensor([1, 1, 1, 0]), bools(1, 0, 0, 0), bools(0, 0, 1, 0))
    assert cells.summary(0.6) == {"success": 0.5, "failing": 1.0}
    assert cells.shares(0.25, 0.6).tolist() == [0.25, 0.25, 0.0, 0.0]
    # One more fall: what was counted before fades a little.
    cells.advance(torch.tensor([1, 0, 0, 0]), bools(0, 0, 0, 0), bools(0, 0, 0, 0))
    kept = 1.0 - 1.0 / MEMORY
    mean = kept * 1.0 / (kept * 2.0 + 1.0)
    assert cells.summary(0.1) == pytest.approx({"success": mean, "failing": 0.0})
    cells.advance(torch.tensor([0, 0, 1, 0]), bools(0, 0, 0, 0), bools(0, 0, 0, 0))
    assert cells.summary(0.1) == pytest.approx({"success": mean / 2, "failing": 0.5})
    assert cells.shares(0.5, 0.1).tolist() == [0.0, 0.0, 0.5, 0.5]


def test_an_episode_counts_where_it_began():
    where = torch.tensor([0, 0])
    cells = FailingCells(2)
    cells.watch(lambda: where, 2)
    where.fill_(1)  # both fall and are moved; then the first one reaches its limit in the new cell
    cells.advance(bools(1, 1), bools(0, 0), bools(0, 0))
    cells.advance(bools(1, 0), bools(1, 0), bools(0, 0))
    assert cells.state_dict()["attempts"].tolist() == [2.0, 1.0]
    assert cells.state_dict()["successes"].tolist() == [0.0, 1.0]
    assert cells.shares(0.5, 0.1).tolist() == [0.0, 0.0]
    where.fill_(0)
    assert cells.shares(0.5, 0.1).tolist() == [0.0, 0.0]  # the running episodes are where they began
    cells.advance(bools(1, 0), bools(1, 0), bools(0, 0))
    assert cells.shares(0.5, 0.1).tolist() == [0.5, 0.0]


def test_one_success_in_ten_episodes_is_about_a_tenth():
    cells = FailingCells(1)
    cells.watch(lambda: torch.zeros(1, dtype=torch.long), 1)
    for i in range(200):
        cells.advance(bools(1), bools(i % 10 == 0), bools(0))
    assert cells.summary(0.5)["success"] == pytest.approx(0.1, abs=0.03)


def test_a_state_of_other_cells_or_environments_is_left_out():
    cells, other, more = FailingCells(2), FailingCells(2), FailingCells(3)
    for item, envs, count in ((cells, 2, 2), (other, 2, 3), (more, 3, 2)):
        item.watch(lambda envs=envs: torch.zeros(envs, dtype=torch.long), count)
    cells.advance(bools(1, 1), bools(1, 0), bools(0, 0))
    other.load_state_dict(cells.state_dict())
    assert not other.summary(0.5)
    more.load_state_dict(cells.state_dict())
    assert more.summary(0.6) == {"success": 0.5, "failing": 1.0} and len(more.shares(0.5, 0.6)) == 3


# In training


def test_the_teacher_drives_in_the_failing_cell_alone():
    alg, env = failing({**DRIVER, "success_below": 0.3})
    first = train(alg, env)
    assert not first[0].any()
    acted = train(alg, env, 8)
    assert not acted[:, CELLS == 1].any()
    assert acted[:, CELLS == 0].float().mean().item() == pytest.approx(0.5, abs=0.12)
    assert alg.diagnostics.scalars["cells/failing"] == 0.5
    assert alg.diagnostics.scalars["cells/success"] == pytest.approx((1.0 + 0.5**5) / 2, abs=0.05)


def test_the_teacher_leaves_when_the_student_succeeds():
    alg, env = failing({**DRIVER, "success_below": 0.3})
    assert train(alg, env, 4)[-10:].any()
    env.rates = torch.zeros(32)
    train(alg, env, 3)
    assert alg.diagnostics.scalars["cells/failing"] == 0.0
    train(alg, env)  # episodes that the teacher has begun
    assert not train(alg, env).any()


def test_where_nothing_fails_it_is_the_student_alone_bit_by_bit():
    runs = []
    for driver in (DRIVER, {"unit": "episode", "share": 0.0}):
        alg, env = failing(driver, rates=(0.0, 0.0))
        assert not train(alg, env, 3).any()
        runs.append((snapshot(alg), torch.rand(2), alg.optimizer.state_dict()["state"]))
    (mine, noise, moments), (theirs, same, others) = runs
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs) and torch.equal(noise, same)
    assert all(torch.equal(moments[key]["exp_avg"], others[key]["exp_avg"]) for key in others)


def test_a_phase_may_give_the_share_to_all():
    cells = {"schedule": "phases", "values": [True, False], "until": [2]}
    alg, env = failing({**DRIVER, "failing_cells": cells}, rates=(0.0, 0.0))
    assert not train(alg, env, 2).any()
    assert train(alg, env, 3)[:, CELLS == 1].any()


def test_a_resumed_run_goes_on_as_if_nothing_had_happened():
    driver = {**DRIVER, "success_below": 0.3}
    alg, env = failing(driver)
    train(alg, env, 3)
    state, world = copy.deepcopy(alg.save()), copy.deepcopy(env)
    other, _ = failing(driver, seed=3)
    assert other.load(state, None, True)
    ends = []
    for algorithm, environment in ((alg, env), (other, world)):
        torch.manual_seed(7)
        ends.append((train(algorithm, environment, 3), snapshot(algorithm), algorithm.cells.state_dict()))
    (acted, mine, sums), (again, theirs, others) = ends
    assert acted.any() and torch.equal(acted, again)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert all(torch.equal(sums[name], others[name]) for name in sums)


def test_the_runner_says_it_and_resumes_it(tmp_path):
    axes = {"coef": 0.5, "driver": {**DRIVER, "success_below": 0.3}, "learn": {"rl": "student"}}
    node = {"class_name": "legged_cts.algorithms.distilled:Distillation", "teacher_fraction": None}
    cfg = method_cfg("cts", 4, {"algorithm": {**node, "distillation": axes, "teachers": COPY}})

    def runner(seed):
        torch.manual_seed(seed)
        env = FallingEnv(torch.full((8,), 0.5), 5, seed=11)
        env.unwrapped = SimpleNamespace(command=torch.tensor([0.2, 1.2]).repeat(4).unsqueeze(1).expand(8, 3))
        return Runner(env, runner_cfg(cfg["algorithm"], cfg["networks"], cfg["runner"]), display=NoDisplay())

    first, other = runner(0), runner(1)
    first.learn(2)
    sums = first.alg.cells.state_dict()
    # Speeds of 0.28 and 1.7 m/s.
    assert (sums["attempts"] > 0).tolist() == [True, False, False, True, False, False]
    first.save(str(tmp_path / "model.pt"))
    other.load(str(tmp_path / "model.pt"))
    assert all(torch.equal(value, sums[name]) for name, value in other.alg.cells.state_dict().items())


def test_someone_has_to_say_which_cells_there_are():
    alg, env = failing(watched=False)
    with pytest.raises(ValueError, match=r"driver\.failing_cells: nobody said which cells there are"):
        alg.begin_iteration()
    plain, _ = failing(0.5)
    supply_cells(plain, env)  # nothing to do
    assert plain.cells is None and "cells" not in plain.save()


# From the environment


def world(**parts):
    return SimpleNamespace(num_envs=6, unwrapped=SimpleNamespace(**parts))


def test_a_cell_is_a_kind_of_terrain_at_a_level():
    """Three levels, four columns: one of slopes, three of stairs."""
    generator = SimpleNamespace(
        sub_terrains={"slopes": SimpleNamespace(proportion=0.25), "stairs": SimpleNamespace(proportion=0.75)},
        num_cols=4,
    )
    terrain = SimpleNamespace(
        terrain_origins=torch.zeros(3, 4, 3), terrain_levels=torch.tensor([0, 0, 2, 2, 2, 0]),
        terrain_types=torch.tensor([0, 1, 2, 3, 0, 1]),
        cfg=SimpleNamespace(terrain_type="generator", terrain_generator=generator),
    )  # fmt: skip
    read, count = cells_of(world(scene=SimpleNamespace(terrain=terrain), command=torch.zeros(6, 3)))
    assert count == 6 and read().tolist() == [0, 3, 5, 5, 2, 3]
    terrain.terrain_levels[0] = 1  # promoted
    assert read().tolist() == [1, 3, 5, 5, 2, 3]


def test_on_a_plane_a_cell_is_a_speed_and_without_commands_there_is_one():
    command = torch.tensor([[0.0, 0.0, 2.0], [0.3, 0.4, 0.0], [-0.9, 0.0, 0.0], [1.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    flat = SimpleNamespace(terrain=SimpleNamespace(terrain_origins=None))
    read, count = cells_of(world(scene=flat, command=command))
    assert count == 6 and read().tolist() == [0, 1, 1, 2, 5]
    read, count = cells_of(world())
    assert count == 1 and read().tolist() == [0] * 6
