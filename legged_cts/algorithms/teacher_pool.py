"""The teachers of a training, and how several of them become one target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDict

from legged_cts.algorithms.teachers import Teacher, TeacherOptions
from legged_cts.distillation.config import Target
from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.distillation.pools import anchored, log_pool, moment_pool, most_plausible, route
from legged_cts.models.policies import LatentPolicy

REFERENCE = "reference"
"""Key in ``algorithm.teachers`` of the policy that ``target.lam`` leads away from."""


class TeacherPool:
    """Teachers by name; by default one, ``teacher``, which is the policy under training."""

    def __init__(
        self,
        nodes: Mapping[str, Mapping[str, Any]] | None,
        own: Mapping[str, LatentPolicy],
        widths: Mapping[str, int],
        device: str | torch.device,
    ) -> None:
        """Make room for copies.

        Args:
            nodes: ``algorithm.teachers``, see ``TeacherOptions``; None: the default.
            own: The policies under training by role, before they were ever run.
            widths: Names and widths of the observation groups that are stored.
            device: Device of the copies.

        Raises:
            ValueError: If an entry is wrong.
        """
        self._device = device
        self._teachers: dict[str, Teacher] = {}
        for name, node in (nodes or {"teacher": {}}).items():
            entry = TeacherOptions.from_dict(name, node)
            self._teachers[name] = Teacher(name, entry, own[entry.role], widths).to(device)
        self.route: torch.Tensor | None = None
        """Teacher of each environment [N], an index of ``target.teachers``, for ``target.route: env``."""

    def __getitem__(self, name: str) -> Teacher:
        """Return the teacher of that name."""
        return self._teachers[name]

    def __contains__(self, name: str) -> bool:
        """Whether there is a teacher of that name."""
        return name in self._teachers

    def values(self) -> Iterable[Teacher]:
        """Return all teachers, the reference among them."""
        return self._teachers.values()

    def is_live(self, names: Iterable[str]) -> bool:
        """Whether one of these teachers is the policy under training."""
        return any(self._teachers[name].is_live for name in names)

    def begin(self, iteration: int) -> None:
        """Start an iteration: copy or average weights."""
        for teacher in self._teachers.values():
            teacher.begin(iteration)

    def route_by_terrain(self, names: Sequence[str], kinds: Sequence[str], index: torch.Tensor) -> None:
        """Give every environment the teacher that lists its kind of terrain.

        Args:
            names: Teachers to choose from.
            kinds: Names of the kinds of terrain.
            index: Kind of each environment [N].

        Raises:
            ValueError: If a kind has no teacher.
        """
        owner = {terrain: i for i, name in enumerate(names) for terrain in self._teachers[name].options.terrain}
        missing = [kind for kind in kinds if kind not in owner]
        if missing:
            raise ValueError(
                f"algorithm.teachers: no teacher has the terrain '{missing[0]}' in its list `terrain`; kinds are:"
                f" {', '.join(kinds)}"
            )
        self.route = torch.tensor([owner[kind] for kind in kinds])[index.cpu()].to(self._device)

    def mixture(
        self, obs: TensorDict, student: DiagonalGaussian, target: Target, by_moments: bool, index: torch.Tensor | None
    ) -> DiagonalGaussian:
        """Join the distributions of the target's teachers, without extrapolation.

        Args:
            obs: Stored observations [B].
            student: The student's distributions [B], to which ``route: plausible`` compares.
            target: Which teachers, and how they are joined.
            by_moments: Pool by moments; else by log-densities.
            index: Place [B] of each sample in a rollout, whose environments follow each other; None: in order, from the
                first on.

        Raises:
            ValueError: If environments have no teacher.
        """
        dists = [self._teachers[name].distribution(obs) for name in target.teachers]
        if target.route == "env":
            if self.route is None:
                raise ValueError(
                    "distillation.target.route = env needs algorithm.teachers.<name>.terrain for every teacher"
                )
            index = torch.arange(len(student.mean), device=self.route.device) if index is None else index
            joined = route(dists, self.route[index % len(self.route)])
        elif target.route == "plausible":
            joined = route(dists, most_plausible(student, dists))
        elif len(dists) > 1:
            shares = target.weights or (1.0 / len(dists),) * len(dists)
            joined = (moment_pool if by_moments else log_pool)(dists, shares)
        else:
            joined = dists[0]
        if target.anchor is not None:
            joined = anchored(joined, self._teachers[target.anchor].distribution(obs), target.anchor_coef)
        return joined

    def save(self) -> dict[str, dict[str, torch.Tensor]]:
        """Return the states of the copies by their keys in a checkpoint."""
        states = {self._key(name): teacher.save() for name, teacher in self._teachers.items()}
        return {key: state for key, state in states.items() if state}

    def load(self, loaded: Mapping[str, Any], strict: bool) -> None:
        """Load the copies that a checkpoint holds."""
        for name, teacher in self._teachers.items():
            if (state := loaded.get(self._key(name))) is not None:
                teacher.load_state_dict(state, strict=strict)

    @staticmethod
    def _key(name: str) -> str:
        return f"teacher_{name}_state_dict"
