"""Puts trainings under stress: `python tests/training/stress.py kills|spikes|memory FOLDER [count=50] [minutes=30]`.

Every other word overrides the task of the real environment; `env=line` takes the tiny one. Prints one JSON line with
what happened; exit status 1 if anything was lost.

- kills: a training is killed by SIGKILL `count` times at random moments; every third life begins from a random
  checkpoint of the folder in place of the newest. A life is a process of its own. A second call with the same folder
  goes on with it; `seed=` gives it other moments. Takes no words of the task.
- spikes: `count` times NaN, infinity or 1e15 is put into a state, an observation or an action of a random world.
- memory: trains for `minutes` and writes FOLDER/memory.csv, the resident memory every 10 s.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests")]

from build import make_runner  # noqa: E402
from entries import metrics_rows  # noqa: E402
from line_env import LineEnv  # noqa: E402

from legged_cts.training.checkpoint import checkpoint_iteration, latest_checkpoint, load_checkpoint  # noqa: E402
from legged_cts.training.random_state import seed_everything  # noqa: E402
from legged_cts.training.runner import Runner  # noqa: E402

VALUES = (math.nan, math.inf, -math.inf, 1e15)
PLACES = ("states", "observations", "actions")
SMALL = ["device=cpu", "solver.threads=1", "logger=none", "max_iterations=1000000"]
SHORT = [
    *("environments=16", "runner.num_steps_per_env=3", "runner.save_interval=1", "evaluation.enabled=false"),
    *("size.policy=[32]", "size.critic=[32]", "size.encoder=[32]"),
]
Start = Callable[[Path, Path | None], subprocess.Popen[str]]


# --- killed again and again ---------------------------------------------------------------------------------------


def kills(start: Start, folder: Path, count: int, start_up_s: float, seed: int = 0) -> dict[str, Any]:
    """Kill a training ``count`` times and check after each that every file loads and nothing newer is passed over.

    Args:
        start: Starts a life in a folder, from a checkpoint or the folder's newest, that saves after every iteration.
        folder: The run's folder; one with checkpoints is gone on with.
        count: How many kills.
        start_up_s: About what a life takes to its first checkpoint [s].
        seed: Of the moments and the choices.
    """
    draw, told = random.Random(seed), Counter[str]()
    folder.mkdir(parents=True, exist_ok=True)
    for life in range(count):
        files = sorted(folder.glob("*.pt"))
        source = None if not files else draw.choice(files) if life % 3 == 2 else folder
        begin = 0 if source is None else checkpoint_iteration(latest_checkpoint(source))
        told["from_older"] += source is not None and begin < checkpoint_iteration(latest_checkpoint(folder))
        began, process = time.time_ns(), start(folder, source)
        # Most lives get somewhere; the others may be killed while they begin.
        if life % 4 != 3:
            _wait_for_save(folder, began, process)
            time.sleep(draw.uniform(0.0, 1.0))
        else:
            time.sleep(draw.uniform(0.0, start_up_s))
        assert process.poll() is None, f"life {life} ended by itself: {_last_words(process)}"
        process.kill()
        process.communicate()
        told["kills"] += 1
        told["saved"] += _saved_since(folder, began)
        told["drafts_left"] += len(list(folder.glob(".*.tmp")))
        for path in folder.rglob("*.pt"):
            load_checkpoint(path)
            told["files_loaded"] += 1
        if list(folder.glob("*.pt")):
            told["iterations"] += _check_newest(folder, begin) - begin
    newest = checkpoint_iteration(latest_checkpoint(folder))
    return {**told, "newest": newest, "moved_aside": len(list(folder.glob("abandoned_*")))}


def _check_newest(folder: Path, begin: int) -> int:
    """Check that a resume goes on from what was saved last, and return its iteration."""
    newest = checkpoint_iteration(latest_checkpoint(folder))
    last = max(folder.glob("model_*.pt"), key=lambda path: path.stat().st_mtime_ns, default=None)
    assert last is None or checkpoint_iteration(last) <= newest, f"{last} was saved last, a resume takes {newest}"
    assert newest >= begin, f"a life began at {begin}, and a resume would go back to {newest}"
    rows = [int(row["iteration"]) for row in metrics_rows(folder) if row["best_score"] is not None]
    # The row of an iteration is written before its checkpoint, which may be what the kill prevented.
    assert not rows or newest >= rows[-1] - 1 or newest == begin, f"{rows[-1]} rows, a resume takes {newest}"
    assert rows == list(range(1, len(rows) + 1))
    return newest


def _saved_since(folder: Path, moment_ns: int) -> bool:
    """Whether a numbered checkpoint was written after a moment."""
    for path in folder.glob("model_*.pt"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime_ns > moment_ns:
                return True
    return False


def _wait_for_save(folder: Path, moment_ns: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 1800.0
    while not _saved_since(folder, moment_ns):
        assert process.poll() is None and time.monotonic() < deadline, f"no checkpoint: {_last_words(process)}"
        time.sleep(0.01)


def _last_words(process: subprocess.Popen[str]) -> str:
    process.kill()
    return process.communicate()[1][-3000:]


def line_life(folder: Path, source: Path | None) -> subprocess.Popen[str]:
    """Train on the tiny environment."""
    return _process(Path(__file__).parent / "kill_worker.py", str(folder), str(10**6), str(source or folder))


def real_life(folder: Path, source: Path | None) -> subprocess.Popen[str]:
    """Train with ``scripts/train.py``."""
    words = [f"hydra.run.dir={folder}", *SMALL, *SHORT] if source is None else [f"resume={source}"]
    return _process(ROOT / "scripts" / "train.py", *words)


def _process(script: Path, *words: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(script), *words], text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


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
def real_runner(folder: Path, words: list[str]) -> Iterator[Runner]:
    """A runner on the real environment."""
    from legged_cts.algorithms.config import runner_cfg
    from legged_cts.envs.launch import make_env
    from legged_cts.train import resolve_task
    from legged_cts.training.compose import compose_task
    from legged_cts.training.env_info import env_info

    config = resolve_task(compose_task([*SMALL, *words]), [])
    seed_everything(config["seed"])
    train_cfg = runner_cfg(config["algorithm"], config["networks"], config["runner"])
    with make_env(config) as env:
        yield Runner(env, train_cfg, str(folder), "cpu", config=config, env_info=env_info(config, env))


def main(argv: list[str]) -> int:
    """Run what the first word names."""
    what, folder, words = argv[0], Path(argv[1]), dict(word.split("=", 1) for word in argv[2:])
    count, minutes = int(words.pop("count", 50)), float(words.pop("minutes", 30.0))
    line = words.pop("env", "") == "line"
    if what == "kills":
        life, start_up_s = (line_life, 5.0) if line else (real_life, 30.0)
        result = kills(life, folder, count, start_up_s, int(words.pop("seed", 0)))
    else:
        with ExitStack() as stack:
            if line:
                runner = line_runner(folder)
            else:
                runner = stack.enter_context(real_runner(folder, [f"{key}={value}" for key, value in words.items()]))
            result = spikes(runner, count) if what == "spikes" else memory(runner, minutes)
    print(json.dumps({what: result}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
