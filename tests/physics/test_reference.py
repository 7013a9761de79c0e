"""The engine that trains moves a robot as plain MuJoCo does, in which `sim2sim.py` measures policies."""

from __future__ import annotations

import numpy as np
import pytest
from reference_run import both


# The G1's feet have four colliders each; once, the trainer missed some of their contacts.
@pytest.mark.parametrize("robot", ["go2", "g1"])
def test_training_and_plain_mujoco_move_alike(robot):
    record = both(robot)
    # They moved: feet pushed the base about.
    assert np.ptp(record["position"][:, :, 2], axis=0).min() > 0.005
    np.testing.assert_allclose(record["own_position"], record["position"], atol=2e-4)
    np.testing.assert_allclose(record["own_joint_pos"], record["joint_pos"], atol=2e-3)
