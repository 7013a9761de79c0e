"""The physics that was randomised, as the teacher sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class PhysicsParams:
    """What randomisation drew for each environment; a term that is not randomised keeps its neutral value.

    ``link_mass_scale`` is not among them: it is a disturbance that even the teacher does not see.
    """

    friction: torch.Tensor
    """Friction coefficient [N] between robot and ground."""
    added_mass: torch.Tensor
    """Mass [N] added to the base [kg]."""
    com_shift: torch.Tensor
    """Shift [N, 3] of the base's centre of mass [m]."""
    stiffness_scale: torch.Tensor
    """Factor [N, d] on the proportional gains."""
    damping_scale: torch.Tensor
    """Factor [N, d] on the derivative gains."""
    armature_scale: torch.Tensor
    """Factor [N, d] on the armature."""
    joint_zero: torch.Tensor
    """Error [N, d] of the encoders' zero [rad]: measured minus true angle."""

    @classmethod
    def neutral(cls, num_envs: int, num_joints: int, device: str) -> PhysicsParams:
        """Return what holds without randomisation."""
        ones = torch.ones(num_envs, num_joints, device=device)
        return cls(
            friction=torch.ones(num_envs, device=device),
            added_mass=torch.zeros(num_envs, device=device),
            com_shift=torch.zeros(num_envs, 3, device=device),
            stiffness_scale=ones.clone(),
            damping_scale=ones.clone(),
            armature_scale=ones.clone(),
            joint_zero=torch.zeros(num_envs, num_joints, device=device),
        )
