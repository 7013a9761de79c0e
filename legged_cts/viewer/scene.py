"""A MuJoCo model as a scene of the browser viewer."""

from __future__ import annotations

import mujoco
import numpy as np
import viser

from legged_cts.deploy.robot import Array
from legged_cts.viewer.poses import Poses, relative
from legged_cts.viewer.shapes import CHECKER, GROUND_TYPES, Mesh, geom_mesh, ground_geom, ground_height, ground_patch

DARK, LIGHT = (88, 98, 108), (124, 135, 146)
PATCH = 12.0
"""Half the edge of the ground that is drawn around the robot [m]."""
MARGIN = 4.0
"""How far the robot walks on the drawn ground before the ground is drawn anew [m]."""

JUMP = 0.4
"""Change of the base's height that is no walking, but a reset to another place [m]."""


class RobotNodes:
    """The bodies of a model below a node of their own.

    Args:
        server: of the browser viewer.
        model: what to draw; its bodies, but not its ground.
        name: of the node, below `/world`.
    """

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel, name: str = "robot") -> None:
        self._server, self._model, self._name = server, model, f"/world/{name}"
        self._data = mujoco.MjData(model)
        server.scene.add_frame(self._name, show_axes=False)
        self.bodies: dict[int, viser.FrameHandle] = {}
        """Node of each body below that of its parent, by the body's index."""
        for body in range(1, model.nbody):
            above = self.bodies.get(int(model.body_parentid[body]))
            name = f"{above.name if above else self._name}/{body}"
            self.bodies[body] = server.scene.add_frame(name, show_axes=False)
        self._poses = Poses(server, list(self.bodies.values()))
        self.geoms: dict[int, viser.MeshHandle] = {}
        """Node of each of the robot's geoms, by the geom's index, fixed to its body's node."""
        drawn = drawn_geoms(model)
        for geom in range(model.ngeom):
            if model.geom_bodyid[geom] and model.geom_type[geom] not in GROUND_TYPES:
                self.geoms[geom] = self._add_geom(geom, visible=geom in drawn)
        self._collision = [geom for geom in self.geoms if geom not in drawn]

    def _add_geom(self, geom: int, visible: bool) -> viser.MeshHandle:
        model = self._model
        mesh = geom_mesh(model, geom)
        material = model.geom_matid[geom]
        rgba = model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]
        return self._server.scene.add_mesh_simple(
            f"{self.bodies[int(model.geom_bodyid[geom])].name}/geom{geom}",
            mesh.vertices,
            mesh.faces,
            color=_color(rgba),
            opacity=None if rgba[3] >= 1 else float(rgba[3]),
            flat_shading=not mesh.smooth,
            wxyz=model.geom_quat[geom],
            position=model.geom_pos[geom],
            visible=visible,
        )

    def show_collision(self, show: bool) -> None:
        """Shows or hides the shapes that meet the ground, where the robot has others to be looked at."""
        for geom in self._collision:
            self.geoms[geom].visible = show

    def update(self, qpos: Array) -> Array:
        """Moves all bodies.

        Args:
            qpos: state of the model [nq].

        Returns:
            Positions of all bodies in the world [m] [nbody, 3].
        """
        self._data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, self._data)
        position, wxyz = relative(self._model, self._data.xpos, self._data.xquat)
        self._poses.move(position[1:], wxyz[1:])
        return self._data.xpos


class Scene:
    """Draws a robot and the ground around it.

    To follow the robot the whole world is shifted below a camera that stands still: a browser's camera belongs to
    whoever holds the mouse, and moving it from here would fight with them.

    Args:
        server: of the browser viewer; the scene owns all nodes below `/world`.
        model: what to draw; its bodies hang below one robot, the ground is its first plane or heightfield.
        base: name of the body to follow.
    """

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel, base: str) -> None:
        self._server, self._model = server, model
        self._base = model.body(base).id
        self._ground = ground_geom(model)
        self._ground_nodes: list[viser.MeshHandle] = []
        self._ground_centre: Array | None = None
        self._height = 0.0
        self.follow = True
        self._world = server.scene.add_frame("/world", show_axes=False)
        self._shift = Poses(server, [self._world])
        self.robot = RobotNodes(server, model)

    def update(self, qpos: Array) -> None:
        """Moves all bodies, and the ground if the robot comes near its edge.

        Args:
            qpos: state of the model [nq].
        """
        with self._server.atomic():
            base = self.robot.update(qpos)[self._base]
            if self.follow:
                shift = (-base[0], -base[1], -self._smooth_height(base[2]))
                self._shift.move(np.array([shift]), np.array([[1.0, 0.0, 0.0, 0.0]]))
            self._update_ground(base[:2])
        self._server.flush()

    def ground_height(self, point: Array) -> float:
        """Height [m] of the ground at a point (x, y) [m]; 0 without a ground."""
        return 0.0 if self._ground is None else ground_height(self._model, self._ground, point)

    def _smooth_height(self, height: float) -> float:
        """The height to follow: slower than the base, else the ground would bob with every step."""
        behind = height - self._height
        self._height += behind if abs(behind) > JUMP else 0.05 * behind
        return self._height

    def _update_ground(self, base: Array) -> None:
        if self._ground is None:
            return
        if self._ground_centre is not None and (np.abs(base - self._ground_centre) < MARGIN).all():
            return
        # On whole pairs of squares, so that a plane looks the same after it was moved.
        self._ground_centre = np.round(base / (2 * CHECKER)) * 2 * CHECKER
        old = self._ground_nodes
        meshes = ground_patch(self._model, self._ground, self._ground_centre, PATCH)
        tag = f"{self._ground_centre[0]:g}_{self._ground_centre[1]:g}".replace(".", "p")
        self._ground_nodes = [
            self._add_ground(f"/world/ground/{tag}/{name}", mesh, color)
            for name, mesh, color in zip(("dark", "light"), meshes, (DARK, LIGHT), strict=True)
            if len(mesh.faces)
        ]
        for node in old:
            node.remove()

    def _add_ground(self, name: str, mesh: Mesh, color: tuple[int, int, int]) -> viser.MeshHandle:
        return self._server.scene.add_mesh_simple(
            name, mesh.vertices, mesh.faces, color=color, flat_shading=True, side="double", cast_shadow=False
        )

    def remove(self) -> None:
        """Takes everything away."""
        self._world.remove()


def drawn_geoms(model: mujoco.MjModel) -> set[int]:
    """The robot's geoms to look at: those in group 2 that touch nothing, or all if there are none."""
    robot = (model.geom_bodyid > 0) & ~np.isin(model.geom_type, GROUND_TYPES)
    visual = robot & (model.geom_group == 2) & (model.geom_contype == 0) & (model.geom_conaffinity == 0)
    return {int(geom) for geom in np.flatnonzero(visual if visual.any() else robot)}


def _color(rgba: Array) -> tuple[int, int, int]:
    red, green, blue = (round(255 * float(np.clip(value, 0, 1))) for value in rgba[:3])
    return red, green, blue
