"""A policy for the Go2 that stands still, and no trained one."""

from __future__ import annotations

from pathlib import Path

import torch
from deploy_policies import make_contract
from torch import nn

from legged_cts.deploy.contract import CONTRACT_VERSION, ObservationTerm
from legged_cts.export.onnx import export_policy
from legged_cts.robots.proprioception import term_sizes
from legged_cts.robots.spec import load_robot


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
    contract = make_contract(
        version=CONTRACT_VERSION, observations=terms, action_clip=100.0, algorithm="Standing", trained_steps=0
    )
    export_policy(Standing(len(spec.joints)), contract, path)
    return path
