"""The teachers of a training: the policy under training, copies of it, or checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

from legged_cts.distillation.gaussians import DiagonalGaussian
from legged_cts.distillation.pools import route
from legged_cts.models.policies import LatentPolicy

SOURCES = ("self", "frozen", "checkpoint")
ROLES = ("teacher", "student")
REFERENCE = "reference"
"""Key in ``algorithm.teachers`` of the policy that ``target.lam`` leads away from."""


@dataclass(frozen=True)
class TeacherOptions:
    """One entry of ``algorithm.teachers``."""

    source: str = "self"
    """``self``: pi(o, E^t(s)) as it is. ``frozen``: a copy of it from the start of iteration ``at``, before that
    itself. ``checkpoint``: the policy of a file."""
    role: str = "teacher"
    """Which policy: ``teacher`` is pi(o, E^t(s)), ``student`` is pi(o, E^s(h)), for references."""
    at: int = 0
    """Iteration whose start ``frozen`` copies."""
    checkpoint: str | None = None
    """File or run folder of ``checkpoint``. A policy without roles, such as that of PPO, counts as the teacher."""
    terrain: tuple[str, ...] = ()
    """Kinds of terrain whose environments ``target.route: env`` gives to this teacher."""

    @classmethod
    def from_dict(cls, name: str, node: Mapping[str, Any]) -> TeacherOptions:
        """Check an entry.

        Raises:
            ValueError: Naming the field and what it may be.
        """
        path, known = f"algorithm.teachers.{name}", [item.name for item in fields(cls)]
        for key in node:
            if key not in known:
                raise ValueError(f"unknown key {path}.{key}; allowed are: {', '.join(known)}")
        options = cls(**{**node, "terrain": tuple(node.get("terrain") or ())})
        for key, allowed in (("source", SOURCES), ("role", ROLES)):
            if getattr(options, key) not in allowed:
                raise ValueError(f"{path}.{key} must be one of {', '.join(allowed)}; got {getattr(options, key)!r}")
        if (options.source == "checkpoint") != (options.checkpoint is not None):
            raise ValueError(f"{path}.checkpoint goes with source: checkpoint; got source: {options.source}")
        if options.at < 0:
            raise ValueError(f"{path}.at must not be negative, got {options.at}")
        return options


class Teacher(nn.Module):
    """A policy to learn from."""

    frozen: torch.Tensor

    def __init__(self, name: str, options: TeacherOptions, own: LatentPolicy, stored: Mapping[str, int]) -> None:
        """Make room for a copy.

        Args:
            name: Key in ``algorithm.teachers``.
            options: Its entry.
            own: The policy under training whose role it has, before it was ever run.
            stored: Names and widths of the observation groups that are there.
        """
        super().__init__()
        self.name, self.options = name, options
        # In a tuple, so that its weights are not this module's.
        self._own = (own,)
        self._stored = dict(stored)
        self.policy: nn.Module | None = None
        self.register_buffer("frozen", torch.tensor(options.source == "checkpoint"))
        if options.source == "frozen":
            self.policy = copy.deepcopy(own).requires_grad_(False).eval()

    @property
    def is_live(self) -> bool:
        """Whether it is the policy under training."""
        return not bool(self.frozen)

    @torch.no_grad()
    def begin(self, iteration: int) -> None:
        """Start an iteration: copy the weights when it is time.

        Raises:
            ValueError: If the policy of a checkpoint was not given.
        """
        if self.options.source == "frozen" and self.is_live and iteration >= self.options.at:
            assert self.policy is not None
            self.policy.load_state_dict(self._own[0].state_dict())
            self.frozen.fill_(True)
        elif self.options.source == "checkpoint" and self.policy is None:
            raise ValueError(
                f"algorithm.teachers.{self.name}: nobody read the checkpoint; legged_cts.training.runner:Runner does"
            )

    def distribution(self, observations: TensorDict, context: torch.Tensor | None = None) -> DiagonalGaussian:
        """Distribution of actions [B, d]; without gradient unless the policy is live.

        Args:
            observations: Stored observations [B].
            context: Raw histories [B, H, n], for the role ``student``.
        """
        if self.is_live:
            return DiagonalGaussian(*self._own[0].action_distribution(observations, context))
        with torch.no_grad():
            if isinstance(self.policy, MLPModel):
                self.policy(observations, stochastic_output=True)
                return DiagonalGaussian(*self.policy.output_distribution_params)
            assert isinstance(self.policy, LatentPolicy)
            return DiagonalGaussian(*self.policy.action_distribution(observations, context))

    def acting_policy(self) -> nn.Module:
        """The policy for inference."""
        return self._own[0] if self.is_live or self.policy is None else self.policy

    def give(self, policy: nn.Module) -> None:
        """Take the policy of a checkpoint: one of ours, or an actor of rsl_rl.

        Raises:
            ValueError: If it is recurrent or reads what this training does not observe.
        """
        path = f"algorithm.teachers.{self.name}: the policy of {self.options.checkpoint}"
        if getattr(policy, "is_recurrent", False):
            raise ValueError(f"{path} is recurrent; give another one")
        if self.options.role == "teacher":
            self._check_observations(policy, path)
        device = self._own[0].mlp[0].weight.device
        self.policy = policy.requires_grad_(False).eval().to(device)  # type: ignore[arg-type]

    def _check_observations(self, policy: Any, path: str) -> None:
        latent = isinstance(policy, LatentPolicy)
        groups = policy.proprioception_groups + policy.context_groups if latent else policy.obs_groups
        missing = [group for group in groups if group not in self._stored]
        if missing:
            raise ValueError(
                f"{path} reads the observation groups {', '.join(missing)}, which no set of runner.obs_groups has here;"
                " add them to critic"
            )
        read = policy.proprioception_dim + policy.context_shape[0] if latent else policy.obs_dim
        here = sum(self._stored[group] for group in groups)
        if read != here:
            raise ValueError(
                f"{path} reads {read} observations, but here its groups have {here}; env.observations must be as in its"
                " training"
            )

    def save(self) -> dict[str, torch.Tensor]:
        """State of copies; a checkpoint is read again from its file."""
        return {} if self.options.source in ("self", "checkpoint") else dict(self.state_dict())


class TeacherPool(Mapping[str, Teacher]):
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

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all teachers, the reference among them."""
        return iter(self._teachers)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._teachers)

    def is_live(self, names: Iterable[str]) -> bool:
        """Whether one of these teachers is the policy under training."""
        return any(self._teachers[name].is_live for name in names)

    def begin(self, iteration: int) -> None:
        """Start an iteration: copy weights when it is time."""
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

    def distribution(
        self, obs: TensorDict, names: Sequence[str], index: torch.Tensor | None = None
    ) -> DiagonalGaussian:
        """Return what the teachers ``names`` would do, each environment's own if there are several.

        Args:
            obs: Stored observations [B].
            names: Keys in ``algorithm.teachers``.
            index: Place [B] of each sample in a rollout, whose environments follow each other; None: in order, from the
                first on.

        Raises:
            ValueError: If environments have no teacher.
        """
        dists = [self._teachers[name].distribution(obs) for name in names]
        if len(dists) == 1:
            return dists[0]
        if self.route is None:
            raise ValueError(
                "distillation.target.route = env needs algorithm.teachers.<name>.terrain for every teacher"
            )
        index = torch.arange(len(dists[0].mean), device=self.route.device) if index is None else index
        return route(dists, self.route[index % len(self.route)])

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
