"""The left-right mirror of an environment's observations and actions, as rsl_rl's data augmentation function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg
from tensordict import TensorDict

from legged_cts.mdp.observations import observation_mirror
from legged_cts.robots.gait import Gait
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.robots.symmetry import Mirror, joined, joint_mirror

if TYPE_CHECKING:
    from legged_cts.envs.env import LeggedEnvCfg


def group_mirrors(cfg: LeggedEnvCfg) -> dict[str, Mirror]:
    """Return the mirror of each observation group's last axis, by the group's name.

    Args:
        cfg: The environment's configuration, from ``build_env_cfg`` or of a running environment.

    Raises:
        ValueError: If a term declares no mirror, or a mirrored robot would need another clock.
    """
    spec = load_robot(cfg.robot)
    gait = None if cfg.gait is None else Gait(**cfg.gait)
    groups = vars(cfg.observations).items()
    return {name: _group_mirror(group, spec, gait) for name, group in groups if isinstance(group, ObservationGroupCfg)}


def _group_mirror(group: ObservationGroupCfg, spec: RobotSpec, gait: Gait | None) -> Mirror:
    terms = [term for term in vars(group).values() if isinstance(term, ObservationTermCfg)]
    return joined(observation_mirror(term, spec, gait) for term in terms)


class TorchMirror:
    """A :class:`~legged_cts.robots.symmetry.Mirror` of tensors on one device."""

    def __init__(self, mirror: Mirror, device: str | torch.device) -> None:
        """Copy index and sign to the device."""
        self._index = torch.as_tensor(np.ascontiguousarray(mirror.index), device=device)
        self._sign = torch.as_tensor(mirror.sign, dtype=torch.float32, device=device)

    def __len__(self) -> int:
        """Return the number of entries of the last axis."""
        return len(self._index)

    def with_image(self, x: torch.Tensor) -> torch.Tensor:
        """Return samples [B, ..., n] followed by their mirror images: [2 B, ..., n]."""
        return torch.cat((x, x.index_select(-1, self._index) * self._sign))


class EnvironmentMirror:
    """The mirror of an environment's observations and actions.

    Args:
        groups: Mirror of the last axis of each observation group.
        actions: Mirror of actions.
        device: Device of the samples.
    """

    def __init__(self, groups: Mapping[str, Mirror], actions: Mirror, device: str | torch.device) -> None:
        """Copy the mirrors to the device."""
        self.groups, self.joints = dict(groups), actions
        """The mirrors as they were given, of observation groups and of actions."""
        self._groups = {name: TorchMirror(mirror, device) for name, mirror in groups.items()}
        self._actions = TorchMirror(actions, device)

    @classmethod
    def of(cls, cfg: LeggedEnvCfg, device: str | torch.device) -> EnvironmentMirror:
        """Return the mirror of an environment, given its configuration.

        Raises:
            ValueError: If an observation term declares no mirror, or a mirrored robot would need another clock.
        """
        return cls(group_mirrors(cfg), joint_mirror(load_robot(cfg.robot)), device)

    def observations(self, obs: TensorDict) -> TensorDict:
        """Return observations [B, ...] of any of the groups followed by their mirror images: [2 B, ...].

        Raises:
            ValueError: If a group is unknown, or its size is not that of its terms.
        """
        images: dict[str, Any] = {}
        items: Any = obs.items()
        for name, value in items:
            mirror = self._groups.get(name)
            if mirror is None or value.shape[-1] != len(mirror):
                known = ", ".join(f"{group} [{len(mirror)}]" for group, mirror in self._groups.items())
                raise ValueError(f"the observation group '{name}' {list(value.shape)} has no mirror; there are {known}")
            images[name] = mirror.with_image(value)
        size = next(iter(images.values())).shape[0]
        return TensorDict(images, batch_size=[size])

    def actions(self, actions: torch.Tensor) -> torch.Tensor:
        """Return actions [B, d] followed by their mirror images: [2 B, d]."""
        return self._actions.with_image(actions)


def mirror(
    env: Any, obs: TensorDict | None = None, actions: torch.Tensor | None = None
) -> tuple[TensorDict | None, torch.Tensor | None]:
    """Double samples by their left-right mirror images; rsl_rl's ``symmetry_cfg.data_augmentation_func``.

    Args:
        env: The environment of this package, as rsl_rl's runner has it.
        obs: Observations [B, ...] of any of the environment's groups, or None.
        actions: Actions [B, d], or None.

    Returns:
        Both with 2 B samples, first the given ones, then their images; None where None was given.

    Raises:
        ValueError: If an observation term declares no mirror, or a group is not the environment's.
    """
    images: EnvironmentMirror = env.unwrapped.mirror
    return (
        None if obs is None else images.observations(obs),
        None if actions is None else images.actions(actions),
    )
