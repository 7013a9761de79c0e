"""How long one update takes, CTS against rsl_rl's PPO, and what the stored histories cost."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.exact_symmetry import make_exact
from legged_cts.models.latent_model import LATENT, LatentActor
from legged_cts.training.compose import compose_task, plain
from legged_cts.trust.names import resolve

PROPRIOCEPTION, HISTORY, PRIVILEGED, SCAN, ACTIONS = 45, 5, 113, 187, 12
"""Sizes of Go2's observations on rough ground."""
EPISODE = 200
"""Mean length of an episode [steps]."""
CONTENDERS = ("ppo", "ppo_encoder", "cts")


class PrivilegedActor(LatentActor):
    """Policy and E^t as one actor that computes its latent itself, so that plain PPO can train it end to end."""

    def get_latent(self, obs: TensorDict, masks: Any = None, hidden_state: Any = None) -> torch.Tensor:
        """Encode the privileged state and put the latent beside o_t."""
        latent = self.teacher_encoder(self.teacher_input(obs))
        groups = {group: obs[group] for group in self.obs_groups}
        return super().get_latent(
            TensorDict({**groups, LATENT: latent}, batch_size=obs.batch_size), masks, hidden_state
        )


class RandomEnv(VecEnv):
    """Normal observations with a true history, normal rewards, and episodes that end at random."""

    def __init__(self, num_envs: int, seed: int = 0, mirrored: bool = False) -> None:
        """Start all episodes; ``mirrored`` gives the environment a mirror."""
        self.num_envs = num_envs
        self.num_actions = ACTIONS
        self.max_episode_length = 1000
        self.device = "cpu"
        self.cfg = {}
        self.unwrapped = SimpleNamespace(mirror=_mirror() if mirrored else None)
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)
        self._random = torch.Generator().manual_seed(seed)
        self._history = self._normal(PROPRIOCEPTION).unsqueeze(1).repeat(1, HISTORY, 1)

    def get_observations(self) -> TensorDict:
        """Return proprioception [N, 45], history [N, 5, 45], privileged [N, 113] and height_scan [N, 187]."""
        groups = {
            "proprioception": self._history[:, -1],
            "history": self._history,
            "privileged": self._normal(PRIVILEGED),
            "height_scan": self._normal(SCAN),
        }
        return TensorDict(groups, batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict]:
        """Draw the next frames."""
        frame = self._normal(PROPRIOCEPTION).unsqueeze(1)
        done = torch.rand(self.num_envs, generator=self._random) < 1.0 / EPISODE
        moved = torch.cat([self._history[:, 1:], frame], dim=1)
        self._history = torch.where(done.view(-1, 1, 1), frame, moved)
        return self.get_observations(), self._normal(1).squeeze(1), done.long(), {"time_outs": done}

    def _normal(self, width: int) -> torch.Tensor:
        return torch.randn(self.num_envs, width, generator=self._random)


def measure(
    size: str, num_envs: int, repetitions: int, student: str = "mlp", symmetry: str = "none"
) -> dict[str, float]:
    """Time updates of all contenders, one after the other, again and again.

    Args:
        size: Option of ``tasks/size``.
        num_envs: Number of environments.
        repetitions: Updates per contender, after one to warm up.
        student: Option of ``tasks/student`` for CTS.
        symmetry: Option of ``tasks/symmetry`` for all of them.

    Returns:
        Median CPU seconds per update of each of ``CONTENDERS``: other programs hardly change them, and with one thread
        on a core of its own they are wall seconds. Bytes of the stored histories as ``frames``, and as ``stack`` those
        of the histories [T, K, H, n] of the same environments and ``stack_all`` of all environments.
    """
    algorithms = {name: _build(name, size, num_envs, student, symmetry) for name in CONTENDERS}
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(1 + repetitions):
        for name, (algorithm, env) in algorithms.items():
            _rollout(algorithm, env)
            start = time.process_time()
            algorithm.update()
            seconds[name].append(time.process_time() - start)
    history = algorithms["cts"][0].history  # type: ignore[attr-defined]
    row = history.steps * HISTORY * PROPRIOCEPTION * 4.0
    sizes = {"frames": float(history.nbytes), "stack": row * len(history.ids), "stack_all": row * num_envs}
    return {name: statistics.median(values[1:]) for name, values in seconds.items()} | sizes


def compare_updates(
    sizes: Iterable[str], envs: Iterable[int], repetitions: int, student: str = "mlp", symmetry: str = "none"
) -> None:
    """Measure and print a table as the figures come; the arguments are those of ``measure``."""
    print(f"{torch.get_num_threads()} threads on {os.cpu_count()} cores")
    print(f"CPU seconds per update, medians of {repetitions}, interleaved")
    print(
        "ppo: rsl_rl's, blind policy, privileged critic; ppo_encoder: rsl_rl's, with CTS's policy and E^t trained end"
    )
    print(f"to end on all samples; cts: E^s is {student}; hidden widths, observations and mini-batches are the same")
    print(f"symmetry: {symmetry}")
    head = (
        f"{'size':6}{'envs':>6}{'ppo [s]':>9}{'ppo_encoder [s]':>17}{'cts [s]':>9}{'cts/ppo':>9}{'cts/ppo_encoder':>17}"
    )
    print(
        head + f"{'frames':>10}{'stack':>10}{'all':>10}  [MB] histories of students as frames, stacked, stacked of all"
    )
    for size in sizes:
        for num_envs in envs:
            row = measure(size, num_envs, repetitions, student, symmetry)
            line = f"{size:6}{num_envs:6d}{row['ppo']:9.3f}{row['ppo_encoder']:17.3f}{row['cts']:9.3f}"
            line += f"{row['cts'] / row['ppo']:9.2f}{row['cts'] / row['ppo_encoder']:17.2f}"
            print(line + "".join(f"{row[key] / 1e6:10.2f}" for key in ("frames", "stack", "stack_all")), flush=True)


def _build(name: str, size: str, num_envs: int, student: str, symmetry: str) -> tuple[PPO, RandomEnv]:
    """Build a contender from the task tree on an environment of its own."""
    cts = name == "cts"
    choice = [f"algorithm={'cts' if cts else 'ppo'}", f"size={size}", f"symmetry={symmetry}"]
    choice += [*([f"student={student}"] if cts else [])]
    task = plain(compose_task(choice))
    cfg = runner_cfg(task["algorithm"], task["networks"], task["runner"])
    if name == "ppo_encoder":
        latents = plain(compose_task(["algorithm=cts", f"size={size}"]))
        encoded = latents["networks"]
        cfg["actor"] = {**encoded["actor"], "teacher_encoder": encoded["teacher_encoder"]}
        cfg["actor"]["class_name"] = PrivilegedActor
        cfg["obs_groups"]["teacher"] = list(latents["runner"]["obs_groups"]["teacher"])
    cfg |= {"multi_gpu": None, "torch_compile_mode": None}
    torch.manual_seed(0)
    env = RandomEnv(num_envs, mirrored=symmetry != "none")
    with contextlib.redirect_stdout(io.StringIO()):  # rsl_rl prints every network
        built = resolve(cfg["algorithm"]["class_name"]).construct_algorithm(env.get_observations(), env, cfg, "cpu")
    if cfg["exact_symmetry"] and not cts:
        make_exact(built, env)
    built.train_mode()
    return built, env


def _mirror() -> Any:
    """A mirror of the sizes of Go2's; which entries change places does not matter to the time it takes."""
    import numpy as np

    from legged_cts.envs.symmetry import EnvironmentMirror
    from legged_cts.robots.symmetry import Mirror

    sizes = {"proprioception": PROPRIOCEPTION, "history": PROPRIOCEPTION, "privileged": PRIVILEGED, "height_scan": SCAN}
    mirrors = {name: Mirror(np.arange(size)[::-1], np.ones(size)) for name, size in sizes.items()}
    return EnvironmentMirror(mirrors, Mirror(np.arange(ACTIONS)[::-1], np.ones(ACTIONS)), "cpu")


def _rollout(algorithm: PPO, env: RandomEnv) -> None:
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(algorithm.storage.num_transitions_per_env):
            obs, rewards, dones, extras = env.step(algorithm.act(obs))
            algorithm.process_env_step(obs, rewards, dones, extras)
        algorithm.compute_returns(obs)
