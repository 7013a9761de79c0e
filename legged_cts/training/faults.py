"""Worlds whose numbers are not finite: kept out of the learner, counted, and written down so that they can be replayed.

Numbers beyond :data:`LIMIT` count as not finite: a single 1e15 in an observation would end the running variance of the
normalisers for good, though it is finite.

A world is quarantined for as long as it takes the environment to reset it. What the learner stores of it meanwhile is
harmless: the observation is that of a sound world, and the transition ends an episode by time-out without a reward, so
that its advantage and the error of its value are next to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from legged_cts.algorithms.interface import RoleAware
from legged_cts.training.checkpoint import write_whole

FAULTS = "faults"
"""Folder of the dumps, within the run's."""
MAX_DUMPS = 20
"""Dumps per run; further faults are only counted."""
FAULT_VERSION = 1
LIMIT = 1.0e6
"""Largest magnitude of a sound observation, reward or action; forces reach 1e4 N."""
KINDS = ("simulation", "obs", "rewards", "actions")
"""What was beyond the limit. The simulation of a world has also failed where its state is absurdly large."""

_log = logging.getLogger(__name__)


class NetworkFault(FloatingPointError):
    """The policy's output is finite in no world: its networks are at fault."""


class EnvironmentFault(FloatingPointError):
    """No world is sound."""


class FaultGuard:
    """Stands between environment and learner.

    Args:
        env: The vectorised environment. Its worlds are reset by setting ``episode_length_buf`` to its maximum, so they
            must end by time-out.
        folder: The run's folder, None to dump nothing.
        check: Whether to look at observations and rewards; actions are always looked at.
        context: Plain values that go into every dump, such as the configuration.

    Attributes:
        counts: Worlds at fault since the start of the run, by :data:`KINDS`, and ``skipped_updates``.
        iteration: Number of finished iterations, for the names of dumps; set by the trainer.
    """

    def __init__(self, env: VecEnv, folder: Path | None, check: bool, context: Mapping[str, Any]) -> None:
        self._env = env
        self._folder = folder / FAULTS if folder else None
        self._check = check
        self._context = dict(context)
        self._cut: torch.Tensor | None = None
        self._dones: torch.Tensor | None = None
        self._seen_resets = 0
        self.counts: dict[str, int] = dict.fromkeys((*KINDS, "skipped_updates"), 0)
        self.iteration = 0

    def start(self) -> None:
        """Begin with environments as they are now."""
        self._cut = self._dones = None
        self._seen_resets = int(getattr(self._env.unwrapped, "nan_resets", 0))

    def metrics(self) -> dict[str, float]:
        """Counts since the start of the run."""
        names = {"simulation": "nan_resets"}
        return {f"faults/{names.get(name, name)}": float(count) for name, count in self.counts.items()}

    def act(self, alg: PPO, obs: TensorDict) -> tuple[TensorDict, torch.Tensor]:
        """Let the policy act; worlds in which its output is not finite get a zero action and are reset.

        Args:
            alg: The algorithm; it has remembered a sound step when this returns.
            obs: Observations [N, ...] on the learner's device.

        Returns:
            The observations that were stored, and actions [N, d] for the environment.

        Raises:
            NetworkFault: If the policy's output is finite in no world, or not even on the observation of a sound one.
        """
        actions = alg.act(obs)
        if _sound(actions):
            return obs, actions
        bad = _unsound_rows(actions)
        if bool(bad.all()):
            raise NetworkFault
        self._note("actions", bad, {"observation": obs, "output": actions, "action": torch.zeros_like(actions)})
        obs = _with_donor(obs, bad)
        if isinstance(alg, RoleAware):
            began = torch.zeros_like(bad) if self._dones is None else self._dones.to(bad.device) > 0
            obs, actions = alg.act_anew(obs, bad, began)
        else:
            actions = alg.act(obs)
        if not _sound(actions):
            raise NetworkFault
        self._quarantine(bad)
        return obs, actions.masked_fill(bad[:, None], 0.0)

    def after_step(
        self,
        alg: PPO,
        seen: TensorDict,
        actions: torch.Tensor,
        step: tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]],
    ) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Return what the environment's ``step`` returned, with faults taken out.

        Args:
            alg: The algorithm.
            seen: Observations [N, ...] that the policy acted on, for dumps.
            actions: Actions [N, d] that the environment was given.
            step: Observations [N, ...], rewards [N], dones [N] and extras.

        Raises:
            EnvironmentFault: If no world is sound.
        """
        obs, rewards, dones, extras = step
        cut, self._cut = self._cut, None
        if self._check:
            finite, resets = self._look(obs, rewards)
            before = {"observation": seen, "action": actions}
            if resets != self._seen_resets:
                exploded = self._env.unwrapped.exploded
                self._note("simulation", exploded, before, resets - self._seen_resets)
                self._seen_resets = resets
            if not finite:
                after = {**before, "observation_after": obs, "reward": rewards}
                unseen = torch.stack([_unsound_rows(obs[group]) for group in obs.keys()]).any(dim=0)
                unpaid = _unsound_rows(rewards)
                self._note("obs", unseen, after)
                self._note("rewards", unpaid, after)
                bad = unseen | unpaid
                if bool(bad.all()):
                    raise EnvironmentFault(
                        f"the observations or rewards of all worlds are not finite in iteration {self.iteration}; "
                        f"{self._where()}the environment is at fault, not the policy"
                    )
                if bool(bad.any()):
                    obs = _with_donor(obs, bad)
                    if isinstance(alg, RoleAware):
                        obs = alg.begin_episodes(obs, bad)
                    # The observation is another world's until the reset, so the transition after this one is cut too.
                    self._quarantine(bad)
                    cut = bad if cut is None else cut | bad
        if cut is not None:
            rewards, dones = rewards.masked_fill(cut, 0.0), dones.masked_fill(cut, 1)
            if "time_outs" in extras:
                extras = {**extras, "time_outs": extras["time_outs"].masked_fill(cut, True)}
        self._dones = dones
        return obs, rewards, dones, extras

    def _look(self, obs: TensorDict, rewards: torch.Tensor) -> tuple[bool, int]:
        """Whether all numbers are sound, and how many worlds blew up so far; waits for the device once."""
        largest: list[torch.Tensor] = [value.abs().max().float() for value in (*obs.values(), rewards)]  # type: ignore
        counter = getattr(self._env.unwrapped, "nan_resets", None)
        if isinstance(counter, torch.Tensor):
            largest.append(counter.float())
        *values, last = torch.stack(largest).tolist()
        if isinstance(counter, torch.Tensor):
            return all(value <= LIMIT for value in values), int(last)
        return all(value <= LIMIT for value in (*values, last)), self._seen_resets

    def _quarantine(self, worlds: torch.Tensor) -> None:
        worlds = worlds.to(self._env.device)
        self._cut = worlds if self._cut is None else self._cut | worlds
        self._env.episode_length_buf[worlds] = int(self._env.max_episode_length)

    def _note(self, kind: str, worlds: torch.Tensor, rows: Mapping[str, Any], count: int | None = None) -> None:
        indices = worlds.nonzero().flatten().tolist()
        self.counts[kind] += len(indices) if count is None else count
        for world in indices:
            path = self._dump(kind, world, rows)
            if path is None:
                break
            _log.warning("iteration %d: %s of world %d not finite, see %s", self.iteration, kind, world, path)

    def _dump(self, kind: str, world: int, rows: Mapping[str, Any]) -> Path | None:
        if self._folder is None:
            return None
        number = len(list(self._folder.glob("*.pt")))
        if number >= MAX_DUMPS:
            return None
        inner = self._env.unwrapped
        state: dict[str, Any] = inner.fault_state(world) if hasattr(inner, "fault_state") else {}
        content = {
            "version": FAULT_VERSION,
            "kind": kind,
            "world": world,
            "iteration": self.iteration,
            **self._context,
            **{name: _row(value, world) for name, value in rows.items()},
            "state": state,
        }
        try:
            return write_whole(self._folder / f"{self.iteration}_{number}.pt", content)
        except OSError as error:
            _log.warning("iteration %d: %s of world %d not finite; no dump: %s", self.iteration, kind, world, error)
            return None

    def _where(self) -> str:
        return f"see {self._folder}; " if self._folder else ""


def _sound(value: torch.Tensor) -> bool:
    """Whether all numbers are within the limit; a NaN is not."""
    return bool((value.abs() <= LIMIT).all())


def _unsound_rows(value: torch.Tensor) -> torch.Tensor:
    """Which rows [N] of a tensor [N, ...] hold a number that is not finite or beyond the limit."""
    return ~(value.abs() <= LIMIT).view(len(value), -1).all(dim=1)


def _with_donor(obs: TensorDict, bad: torch.Tensor) -> TensorDict:
    """Return observations in which bad worlds see what the first sound one sees."""
    donor = int((~bad).nonzero()[0])
    index = torch.arange(len(bad), device=bad.device).masked_fill(bad, donor)
    return TensorDict({name: value[index] for name, value in obs.items()}, batch_size=obs.batch_size)


def _row(value: Any, world: int) -> Any:
    if isinstance(value, TensorDict):
        return {name: _row(one, world) for name, one in value.items()}
    return value[world].detach().cpu().clone()
