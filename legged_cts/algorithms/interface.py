"""What training, evaluation and export ask of an algorithm with roles, beside what rsl_rl's runner does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from tensordict import TensorDict

from legged_cts.algorithms.diagnostics import Diagnostics


@runtime_checkable
class RoleAware(Protocol):
    """An algorithm in which some environments are teachers; ``isinstance`` tells it from one of rsl_rl's own.

    ``CTS`` and ``Distillation`` are such, and an algorithm of one's own may be.
    """

    teachers: Mapping[str, Any]
    """Teachers by name that may lie in checkpoints, see ``legged_cts.algorithms.teachers.Teacher``."""
    diagnostics: Diagnostics
    """Numbers of the last update."""

    @property
    def teacher_mask(self) -> torch.Tensor:
        """Environments in which a teacher acts, always or at times, bool [N]."""
        ...

    @property
    def has_teacher(self) -> bool:
        """Whether there is a teacher that is worth an evaluation."""
        ...

    def student_policy(self) -> Any:
        """Return what is deployed, a module with ``reset``."""
        ...

    def teacher_policy(self) -> Any:
        """Return the teacher, a module with ``reset``."""
        ...

    def begin_iteration(self) -> torch.Tensor:
        """Get ready for a rollout; returns ``teacher_mask``."""
        ...

    def act_anew(self, obs: TensorDict, new: torch.Tensor, began: torch.Tensor) -> tuple[TensorDict, torch.Tensor]:
        """Act once more in the same step, with ``new`` episodes (bool [N]) beside those that ``began`` anyway."""
        ...

    def begin_episodes(self, obs: TensorDict, new: torch.Tensor) -> TensorDict:
        """Return observations in which the histories of ``new`` (bool [N]) are those of an episode's first frame."""
        ...

    def route_by_terrain(self, kinds: Sequence[str], index: torch.Tensor) -> None:
        """Learn which kind of terrain, an ``index`` [N] into ``kinds``, each environment is on."""
        ...

    def set_teacher_fraction(self, fraction: float) -> None:
        """Change how many environments are teachers, between two iterations."""
        ...

    def set_student_encoder_gradient(self, gradient: str) -> None:
        """Change what trains E^s, between two iterations."""
        ...
