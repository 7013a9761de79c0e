"""Puts trainings under stress: `python tests/training/stress.py kills|spikes|memory FOLDER [count=50] [minutes=30]`.

Every other word overrides the task of the real environment; `env=line` takes the tiny one. Prints one JSON line with
what happened; exit status 1 if anything was lost.

- kills: a training is killed by SIGKILL `count` times at random moments; every third life begins from a random
  checkpoint of the folder in place of the newest. Lives are forks of one process, so that the simulator starts once.
- spikes: `count` times NaN, infinity or 1e15 is put into a state, an observation or an action of a random world.
- memory: trains for `minutes` and writes FOLDER/memory.csv, the resident memory every 10 s.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from build import make_runner  # noqa: E402
from entries import metrics_rows  # noqa: E402
from line_env import LineEnv  # noqa: E402

from legged_cts.training.checkpoint import checkpoint_iteration, latest_checkpoint, load_checkpoint  # noqa: E402
from legged_cts.training.random_state import seed_everything  # noqa: E402
from legged_cts.training.runner import Runner  # noqa: E402

VALUES = (math.nan, math.inf, -math.inf, 1e15)
PLACES = ("states", "observations", "actions")
SMALL = ["device=cpu", "solver.threads=1", "logger=none", "max_iterations=1000000"]
Build = Callable[[Path], Runner]


# --- killed again and again ---------------------------------------------------------------------------------------


def kills(build: Build, folder: Path, count: int, older: bool = True, seed: int = 0) -> dict[str, Any]:
    """Kill a training ``count`` times and check after each that every file loads and nothing newer is passed over.

    Args:
        build: Makes a runner that writes into a folder, with ``save_interval=1``.
        folder: The run's folder.
        count: How many kills.
        older: Whether every third life begins from a random checkpoint of the folder.
        seed: Of the moments and the choices.
    """
    draw, told = random.Random(seed), Counter[str]()
    folder.mkdir(parents=True, exist_ok=True)
    for life in range(count):
        source = next(iter(sorted(folder.glob("*.pt"))), None) and latest_checkpoint(folder)
        if older and life % 3 == 2 and source is not None:
            source = draw.choice(sorted(folder.glob("*.pt")))
            told["from_older"] += checkpoint_iteration(source) < checkpoint_iteration(latest_checkpoint(folder))
        begin = 0 if source is None else load_checkpoint(source)["iter"]
        began, process = time.time_ns(), _fork(lambda source=source: _live(build, folder, source))
        # Most lives get somewhere; the others may be killed while they begin.
        if life % 4 != 3:
            _wait_for(lambda began=began: _saved_since(folder, began), process)
        time.sleep(draw.uniform(0.0, 1.0))
        assert os.waitpid(process, os.WNOHANG) == (0, 0), f"life {life} ended by itself"
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        told["kills"] += 1
        told["drafts_left"] += len(list(folder.glob(".*.tmp")))
        for path in folder.rglob("*.pt"):
            load_checkpoint(path)
            told["files_loaded"] += 1
        if not list(folder.glob("*.pt")):
            continue
        newest = load_checkpoint(latest_checkpoint(folder))["iter"]
        rows = [int(row["iteration"]) for row in metrics_rows(folder) if row["best_score"] is not None]
        told["lost_iterations"] += max(rows[-1:] + [newest]) - newest
        assert newest >= begin, f"life {life} began at {begin}, and a resume would go back to {newest}"
        # The row of an iteration is written before its checkpoint, which may be what the kill prevented.
        assert not rows or newest >= rows[-1] - 1 or newest == begin, (
            f"life {life}: {rows[-1]} rows, resume at {newest}"
        )
        assert rows == list(range(1, len(rows) + 1))
        told["iterations"] += newest - begin
    return {**told, "newest": newest, "moved_aside": len(list(folder.glob("abandoned_*")))}


def _live(build: Build, folder: Path, source: Path | None) -> None:
    torch.set_num_threads(1)
    seed_everything(os.getpid())
    runner = build(folder)
    if source is not None:
        runner.load(str(source))
    runner.learn(10**6, init_at_random_ep_len=source is None)


def _fork(work: Callable[[], None]) -> int:
    process = os.fork()
    if process:
        return process
    try:
        work()
    finally:
        os._exit(1)


def _saved_since(folder: Path, moment_ns: int) -> bool:
    """Whether a numbered checkpoint was written after a moment."""
    for path in folder.glob("model_*.pt"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime_ns > moment_ns:
                return True
    return False


def _wait_for(condition: Callable[[], bool], process: int) -> None:
    deadline = time.monotonic() + 1800.0
    while not condition():
        assert os.waitpid(process, os.WNOHANG) == (0, 0) and time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.005)


# --- numbers that are no numbers ----------------------------------------------------------------------------------


def spikes(runner: Runner, count: int, seed: int = 0) -> dict[str, Any]:
    """Put ``count`` spikes into one world each, three steps apart, and train until all have been met.

    Returns:
        What was put where, what the trainer counted, and whether what it learned is finite.
    """
    draw, put = random.Random(seed), Counter[str]()
    before = _parameters(runner)
    with _spiking(runner, count, draw, put):
        while sum(put.values()) < count or put["waiting"]:
            runner.learn(1)
    runner.learn(3)
    after = _parameters(runner)
    assert runner.log_dir is not None
    saved = [tensor for path in runner.log_dir.glob("*.pt") for tensor in _tensors(load_checkpoint(path))]
    finite = all(bool(tensor.isfinite().all()) for tensor in saved if tensor.is_floating_point())
    largest = max(
        float(tensor.abs().max()) for name, tensor in after.items() if "normalizer" in name and "count" not in name
    )
    metrics = metrics_rows(runner.log_dir)[-1]
    return {
        "put": dict(put),
        "counted": {name: value for name, value in runner._guard.counts.items()},
        "checkpoints_finite": finite,
        "tensors_checked": len(saved),
        "largest_normaliser_entry": largest,
        "moved": sum(float((after[name] - before[name]).abs().sum()) for name in after if "weight" in name),
        "iterations": runner.current_learning_iteration,
        "losses": {name: metrics[name] for name in metrics if name.startswith("loss/")},
    }


@contextmanager
def _spiking(runner: Runner, count: int, draw: random.Random, put: Counter[str]) -> Iterator[None]:
    env, alg = runner.env, runner.alg
    step, act = env.step, alg.act
    calls, plan = Counter[str](), {3 * (n + 1): (n % 3, VALUES[n // 3 % len(VALUES)]) for n in range(count)}

    def world() -> int:
        # Another than the last ones, which are still being reset.
        calls["world"] = (calls["world"] + draw.randrange(1, env.num_envs // 2)) % env.num_envs
        return calls["world"]

    def spiked_act(obs: Any) -> torch.Tensor:
        actions = act(obs)
        calls["act"] += 1
        place, value = plan.get(calls["act"], (None, 0.0))
        if place == 2:
            actions[world()] = value
            put[PLACES[2]] += 1
        return actions

    def spiked_step(actions: torch.Tensor) -> Any:
        place, value = plan.get(calls["act"], (None, 0.0))
        if place == 0:
            break_state(env, world(), value)
            put[PLACES[0]] += 1
        result = step(actions)
        if place == 1:
            group = draw.choice(sorted(result[0].keys()))
            result[0][group][world(), ..., 0] = value
            put[PLACES[1]] += 1
        return result

    alg.act, env.step = spiked_act, spiked_step
    try:
        yield
    finally:
        alg.act, env.step = act, step


def break_state(env: Any, world: int, value: float) -> None:
    """Put a value into the state of a world: the position on the line, or the speed of a joint."""
    if isinstance(env, LineEnv):
        env.x[world] = value
        return
    robot, ids = env.unwrapped.scene["robot"], torch.tensor([world])
    velocity = robot.data.joint_vel.torch[ids].clone()
    velocity[0, 3] = value
    robot.write_joint_velocity_to_sim_index(velocity=velocity, env_ids=ids)


def _parameters(runner: Runner) -> dict[str, torch.Tensor]:
    state = {name: part for name, part in runner.alg.save().items() if name.endswith("_state_dict")}
    return {
        f"{part}.{name}": value.detach().clone()
        for part, values in state.items()
        if "optimizer" not in part
        for name, value in values.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _tensors(value)


# --- memory -------------------------------------------------------------------------------------------------------


def memory(runner: Runner, minutes: float, every_s: float = 10.0) -> dict[str, Any]:
    """Train for some minutes and fit a line to the resident memory of the last two thirds of the time."""
    assert runner.log_dir is not None
    runner.log_dir.mkdir(parents=True, exist_ok=True)
    began, samples = time.monotonic(), [(0.0, resident_mb())]
    update = runner.display.update

    def sampled(iteration: int, metrics: Any) -> None:
        update(iteration, metrics)
        now = time.monotonic() - began
        if now - samples[-1][0] >= every_s:
            samples.append((now, resident_mb()))
            with (runner.log_dir / "memory.csv").open("a") as file:
                file.write(f"{now:.1f},{samples[-1][1]:.2f},{iteration}\n")

    runner.display.update = sampled
    first = runner.current_learning_iteration
    runner.learn(10**6, init_at_random_ep_len=True, max_minutes=minutes)
    samples.append((time.monotonic() - began, resident_mb()))
    late = [sample for sample in samples if sample[0] > minutes * 20.0]
    return {
        "minutes": (time.monotonic() - began) / 60.0,
        "iterations": runner.current_learning_iteration - first,
        "first_mb": samples[0][1],
        "after_a_third_mb": late[0][1],
        "last_mb": late[-1][1],
        "slope_mb_per_hour": 3600.0 * slope(late),
        "samples": len(late),
    }


def resident_mb() -> float:
    """Resident memory of this process [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def slope(samples: list[tuple[float, float]]) -> float:
    """Least-squares slope of (x, y)."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


# --- where it is tried --------------------------------------------------------------------------------------------


def line_runner(folder: Path) -> Runner:
    """A runner on the tiny environment that saves after every iteration."""
    return make_runner(folder, save_interval=1, best_interval=1, keep=3)


@contextmanager
def real_runner(words: list[str], save_interval: int) -> Iterator[Build]:
    """A runner on the real environment, which is started once."""
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.launch import make_env
    from legged_cts.training.app import resolve_task
    from legged_cts.training.compose import compose_task
    from legged_cts.training.env_info import env_info

    config = resolve_task(compose_task([*SMALL, *words, f"runner.save_interval={save_interval}"]), [])
    seed_everything(config["seed"])
    train_cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    with make_env(config) as env:
        info = env_info(config, env)
        options = {"best_interval": 1} if save_interval == 1 else {}
        yield lambda folder: Runner(env, train_cfg, str(folder), "cpu", config=config, env_info=info, **options)


def main(argv: list[str]) -> int:
    """Run what the first word names."""
    what, folder, words = argv[0], Path(argv[1]), dict(word.split("=", 1) for word in argv[2:])
    count, minutes = int(words.pop("count", 50)), float(words.pop("minutes", 30.0))
    line, older = words.pop("env", "") == "line", words.pop("older", "true") == "true"

    def run(build: Build) -> dict[str, Any]:
        if what == "kills":
            return kills(build, folder, count, older)
        return spikes(build(folder), count) if what == "spikes" else memory(build(folder), minutes)

    if line:
        result = run(line_runner)
    else:
        with real_runner([f"{key}={value}" for key, value in words.items()], 1 if what == "kills" else 50) as build:
            result = run(build)
    print(json.dumps({what: result}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
