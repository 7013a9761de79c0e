"""Reward weights that change after so many control steps: where they stand, and what to say when they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RewardSchedules:
    """The rewards of an environment whose weight a term of its curriculum changes.

    Args:
        env: The environment, without its wrapper; one without such a curriculum has none.
    """

    def __init__(self, env: Any) -> None:
        """Note what the weights are now."""
        self._env = env
        manager = getattr(env, "curriculum_manager", None)
        terms = getattr(manager, "_term_cfgs", ())
        found = [term.params for term in terms if "term_name" in (term.params or {})]
        self._later: dict[str, tuple[int, float]] = {p["term_name"]: (p["num_steps"], p["weight"]) for p in found}
        self._start = self.weights()
        self._seen = dict(self._start)

    def weights(self) -> dict[str, float]:
        """Return the weights as they are."""
        return {name: self._term(name).weight for name in self._later}

    def place(self, counter: int, saved: Mapping[str, float] | None = None) -> None:
        """Set the weights to what they are after ``counter`` control steps.

        The environment does so at its next reset only.

        Args:
            counter: Control steps of the training, those of a run before it included.
            saved: The weights at that moment, as a checkpoint has them. They are taken where they are one of the two
                that this configuration gives a reward: one that was given anew when resuming holds.
        """
        for name, (after, later) in self._later.items():
            now = later if counter > after else self._start[name]
            kept = (saved or {}).get(name)
            self._term(name).weight = kept if kept in (self._start[name], later) else now
        self._seen = self.weights()

    def plans(self) -> list[str]:
        """Return a line for each change that is still to come."""
        counter = self._env.common_step_counter if self._later else 0
        return [
            f"reward {name}: weight {self._term(name).weight:g} until control step {after}, then {later:g}; "
            f"env.rewards.{name}.weight=... keeps one for the whole run"
            for name, (after, later) in self._later.items()
            if counter <= after
        ]

    def changes(self) -> list[str]:
        """Return a line for each weight that changed since the last look."""
        now = self.weights()
        changed = [name for name, weight in now.items() if weight != self._seen[name]]
        lines = [f"reward {name}: weight {self._seen[name]:g} -> {now[name]:g}, as scheduled" for name in changed]
        self._seen = now
        return lines

    def _term(self, name: str) -> Any:
        return self._env.reward_manager.get_term_cfg(name)


def go_on_from(env: Any, counter: int, saved: Mapping[str, float] | None = None) -> None:
    """Let an environment that was just built count on from ``counter`` control steps, so that no schedule begins anew.

    Args:
        env: The environment, without its wrapper; one that counts no steps is left as it is.
        counter: Control steps of the training that the networks come from.
        saved: Reward weights at that moment, see :meth:`RewardSchedules.place`.
    """
    if not hasattr(env, "common_step_counter"):
        return
    env.common_step_counter = counter
    for term in env.curriculum_manager._term_cfgs:
        if hasattr(term.func, "_start_step"):
            term.func._start_step.fill_(counter)
    RewardSchedules(env).place(counter, saved)
