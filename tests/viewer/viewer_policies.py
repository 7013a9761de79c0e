"""A policy for the Go2 that stands still, and no trained one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from legged_cts.deploy.contract import CONTRACT_VERSION, ObservationTerm, PolicyContract, term_sizes
from legged_cts.export.onnx import export_policy
from legged_cts.robots.spec import load_robot

HISTORY = 3


class Standing(nn.Module):
    """Almost no action, whatever is observed; the export wants both inputs used."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.joints = joints

    def forward(self, proprioception: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        return 1e-6 * (proprioception[:, : self.joints] + history[:, 0, : self.joints])


def write_standing_policy(path: Path) -> Path:
    """Export the policy with a contract that fits the Go2."""
    spec = load_robot("go2")
    terms = tuple(ObservationTerm(name, size, 1.0) for name, size in term_sizes(len(spec.joints)).items())
    contract = PolicyContract(
        version=CONTRACT_VERSION,
        robot=spec.name,
        robot_hash=spec.hash,
        joints=spec.joints,
        default_joint_pos=spec.nominal_pose,
        stiffness=spec.stiffness,
        damping=spec.damping,
        effort_limit=spec.effort_limit,
        action_scale=spec.action_scale,
        action_clip=100.0,
        control_dt=0.02,
        physics_dt=0.005,
        observations=terms,
        history_length=HISTORY,
        history_order="oldest_first",
        history_reset="backfill",
        command_ranges={"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (-0.5, 0.5), "ang_vel_z": (-1.0, 1.0)},
        git_revision="none",
        parity_error=0.0,
        trained_steps=0,
        algorithm="Standing",
        terrain="flat",
    )
    export_policy(Standing(len(spec.joints)), contract, path)
    return path
