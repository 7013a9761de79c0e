"""Moves nodes of the page: viser compares each pose with the last by numpy, which costs more than all the rest."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
import viser
from viser import _messages

from legged_cts.deploy.robot import Array

STILL = 1e-5
"""What moved by less is not sent [m, and in a quaternion]."""


class Poses:
    """Where some nodes stand in their parents' frames.

    Args:
        server: of the browser viewer.
        nodes: whom to move.
    """

    def __init__(self, server: viser.ViserServer, nodes: Sequence[viser.SceneNodeHandle]) -> None:
        self._server, self._nodes = server, nodes
        self._sent = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (len(nodes), 1))

    def move(self, position: Array, wxyz: Array) -> None:
        """Sends what changed of positions [m] [n, 3] and orientations (w, x, y, z) [n, 4]."""
        changed = np.abs(np.hstack((position, wxyz)) - self._sent) > STILL
        scene = self._server.scene
        for number in np.flatnonzero(changed[:, :3].any(axis=1)).tolist():
            node = self._nodes[number]
            node._impl.position[:] = self._sent[number, :3] = position[number]
            x, y, z = position[number].tolist()
            scene._queue_scene_message(_messages.SetPositionMessage(node.name, (x, y, z)))
        for number in np.flatnonzero(changed[:, 3:].any(axis=1)).tolist():
            node = self._nodes[number]
            node._impl.wxyz[:] = self._sent[number, 3:] = wxyz[number]
            w, x, y, z = wxyz[number].tolist()
            scene._queue_scene_message(_messages.SetOrientationMessage(node.name, (w, x, y, z)))


def relative(model: mujoco.MjModel, xpos: Array, xquat: Array) -> tuple[Array, Array]:
    """Poses of all bodies in their parents' frames, where only joints move anything.

    Args:
        model: the model.
        xpos: positions in the world [m] [nbody, 3].
        xquat: orientations (w, x, y, z) in the world [nbody, 4].

    Returns:
        Positions [m] [nbody, 3] and orientations [nbody, 4].
    """
    parent = model.body_parentid
    w, v = xquat[parent, :1], -xquat[parent, 1:]  # of the inverse
    offset = xpos - xpos[parent]
    turned = np.cross(v, offset)
    position = offset + 2 * (w * turned + np.cross(v, turned))
    own_w, own_v = xquat[:, :1], xquat[:, 1:]
    scalar = w * own_w - (v * own_v).sum(axis=1, keepdims=True)
    return position, np.hstack((scalar, w * own_v + own_w * v + np.cross(v, own_v)))
