"""Pictures without OpenGL: MuJoCo casts rays at the robot, numpy at the ground."""

from __future__ import annotations

import mujoco
import numpy as np

from legged_cts.deploy.camera import Camera
from legged_cts.deploy.robot import Array

_SKY_LOW, _SKY_HIGH = np.array([[0.86, 0.90, 0.95], [0.50, 0.65, 0.84]], dtype=np.float32)
_DARK, _LIGHT = np.array([[0.40, 0.44, 0.48], [0.52, 0.56, 0.60]], dtype=np.float32)
_SUN = np.array([0.35, -0.45, 0.82]) / np.linalg.norm([0.35, -0.45, 0.82])
_SUN_DISTANCE = 50.0
_CHECKER = 0.5
_HAZE = 25.0
_MARCH_STEPS = 64
_SMOOTH = 0.99
"""Length of the mean of four normals above which what lies between them is not looked at."""


class RaycastRenderer:
    """Draws a MuJoCo model by ray casting on the CPU, some frames a second.

    The ground is the model's first plane or heightfield geom, upright; all other geoms are the robot's. If a robot has
    visual shapes (group 2 and no collision) its collision shapes are not drawn.

    Args:
        model: what to draw.
        width: of the pictures [pixels].
        height: of the pictures [pixels].
        camera: follows the point to look at.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int, camera: Camera) -> None:
        """Find the ground and the shapes to draw."""
        self._model, self._width, self._height, self._camera = model, width, height, camera
        self._rays = camera.rays(width, height)
        # Of the ground, and accurate to its pixels.
        self._ground_rays = self._rays.astype(np.float32)
        kinds = model.geom_type
        is_ground = (kinds == mujoco.mjtGeom.mjGEOM_PLANE) | (kinds == mujoco.mjtGeom.mjGEOM_HFIELD)
        self._ground = int(np.flatnonzero(is_ground)[0]) if is_ground.any() else None
        robot = ~is_ground & (model.geom_bodyid > 0)
        visual = robot & (model.geom_group == 2) & (model.geom_contype == 0) & (model.geom_conaffinity == 0)
        self._shapes = np.flatnonzero(visual if visual.any() else robot)
        self._groups = np.zeros(6, dtype=np.uint8)
        self._groups[np.unique(model.geom_group[self._shapes])] = 1
        self._colors = model.geom_rgba[:, :3].astype(np.float64)
        has_material = model.geom_matid >= 0
        self._colors[has_material] = model.mat_rgba[model.geom_matid[has_material], :3]

    def render(self, data: mujoco.MjData, lookat: Array) -> Array:
        """Draws the state.

        Args:
            data: state, with positions of geoms computed.
            lookat: point in the middle of the picture, in the world [m] [3].

        Returns:
            uint8 [height, width, 3].
        """
        eye = self._camera.position(lookat)
        distance, normal = self._cast_ground(data, eye)
        color = self._shade_ground(data, eye, distance, normal)
        rows, cols = self._robot_window(data, lookat)
        if rows.stop > rows.start and cols.stop > cols.start:
            geom, depth, facing = self._look_at_robot(data, eye, lookat, rows, cols)
            hit = (geom >= 0) & (depth < distance[rows, cols])
            light = 0.45 + 0.65 * np.clip(facing[hit] @ _SUN, 0, 1)
            color[rows, cols][hit] = self._colors[geom[hit]] * light[:, None]
        # Displays expect brightness with a gamma of about 2.2; a mild one keeps dark parts of the robot visible.
        return (255 * np.clip(color, 0, 1) ** 0.8).astype(np.uint8)

    def _look_at_robot(
        self, data: mujoco.MjData, eye: Array, lookat: Array, rows: slice, cols: slice
    ) -> tuple[Array, Array, Array]:
        """What `_cast_robot` says of the pixels of a window [h, w].

        Every second pixel of every second row is asked about first, then those between that differ.
        """
        rays, near = self._rays[rows, cols], self._near_robot(data, lookat, rows, cols)
        height, width = near.shape
        geom, depth, normal = np.full(near.shape, -1), np.zeros(near.shape), np.zeros(rays.shape)

        def cast(where: Array) -> None:
            geom[where], depth[where], normal[where] = self._cast_robot(data, eye, rays[where])

        coarse = np.zeros_like(near)
        coarse[::2, ::2] = near[::2, ::2]
        cast(coarse)
        # The corners of the cell of four pixels that each pixel lies in; beyond the last row or column it is its own.
        up, left = np.arange(height) & ~1, np.arange(width) & ~1
        down, right = (
            np.minimum(first + 2 * (np.arange(size) & 1), (size - 1) & ~1)
            for first, size in ((up, height), (left, width))
        )
        corners = [np.ix_(row, col) for row in (up, down) for col in (left, right)]
        mean = np.mean([normal[corner] for corner in corners], axis=0)
        alike = np.logical_and.reduce([geom[corner] == geom[corners[0]] for corner in corners])
        alike &= (geom[corners[0]] < 0) | (np.linalg.norm(mean, axis=-1) > _SMOOTH)
        between = ~coarse & near
        cast(between & ~alike)
        filled = between & alike
        geom[filled], normal[filled] = geom[corners[0]][filled], mean[filled]
        depth[filled] = np.mean([depth[corner] for corner in corners], axis=0)[filled]
        return geom, depth, normal

    def _near_robot(self, data: mujoco.MjData, lookat: Array, rows: slice, cols: slice) -> Array:
        """Which pixels of a window lie on a sphere around one of the robot's shapes, bool [h, w]."""
        centres, radii = data.geom_xpos[self._shapes], self._model.geom_rbound[self._shapes]
        pixels = self._camera.project(centres, lookat, self._width, self._height)
        depth = (centres - self._camera.position(lookat)) @ self._camera.axes[0]
        near = np.zeros((rows.stop - rows.start, cols.stop - cols.start), dtype=bool)
        if not np.isfinite(pixels).all() or (depth <= radii).any():
            return ~near
        reach = 1.2 * radii / (depth - radii) / np.tan(self._camera.fovy / 2) * self._height / 2 + 1
        for (col, row), size in zip(pixels, reach, strict=True):
            top, bottom = (int(np.clip(row + end * size - rows.start, 0, near.shape[0])) for end in (-1, 1))
            start, stop = (int(np.clip(col + end * size - cols.start, 0, near.shape[1])) for end in (-1, 1))
            near[top : bottom + 1, start : stop + 1] = True
        return near

    def _cast_robot(self, data: mujoco.MjData, origin: Array, rays: Array) -> tuple[Array, Array, Array]:
        """First robot geom each ray meets (-1: none), its distance and its normal."""
        count = len(rays)
        geom, depth, normal = np.full(count, -1), np.zeros(count), np.zeros((count, 3))
        found, facing = np.empty(1, dtype=np.int32), np.empty(3)
        # Not mj_multiRay: in MuJoCo 3.12 it misses shapes near the rim of what it takes for a body's outline.
        for i, ray in enumerate(rays):
            depth[i] = mujoco.mj_ray(self._model, data, origin, ray, self._groups, False, -1, found, facing)
            geom[i], normal[i] = found[0], facing
        geom[~np.isin(geom, self._shapes)] = -1
        return geom, depth, normal

    def _cast_ground(self, data: mujoco.MjData, eye: Array) -> tuple[Array, Array]:
        """Distance to the ground per pixel (inf: sky) and the ground's normal there."""
        distance = np.full(self._ground_rays.shape[:2], np.inf, dtype=np.float32)
        normal = np.broadcast_to(np.array([0, 0, 1], dtype=np.float32), self._ground_rays.shape)
        if self._ground is None:
            return distance, normal
        position = data.geom_xpos[self._ground]
        slope = self._ground_rays[..., 2]
        if self._model.geom_type[self._ground] == mujoco.mjtGeom.mjGEOM_PLANE:
            down = slope < -1e-6
            distance[down] = float(position[2] - eye[2]) / slope[down]
            return distance, normal
        return self._cast_heightfield(eye, position)

    def _cast_heightfield(self, eye: Array, position: Array) -> tuple[Array, Array]:
        """Marches along every second ray of every second row: far ground needs no more."""
        field = self._model.geom_dataid[self._ground]
        half_x, half_y, span = self._model.hfield_size[field, :3].tolist()
        rows, cols = int(self._model.hfield_nrow[field]), int(self._model.hfield_ncol[field])
        start = self._model.hfield_adr[field]
        heights = self._model.hfield_data[start : start + rows * cols].reshape(rows, cols) * span
        eye, position = eye.astype(np.float32), position.astype(np.float32)

        def height(points: Array) -> tuple[Array, Array]:
            u = (points[..., 0] - position[0] + half_x) / (2 * half_x) * (cols - 1)
            v = (points[..., 1] - position[1] + half_y) / (2 * half_y) * (rows - 1)
            inside = (u >= 0) & (u <= cols - 1) & (v >= 0) & (v <= rows - 1)
            i, j = np.clip(u.astype(np.int32), 0, cols - 2), np.clip(v.astype(np.int32), 0, rows - 2)
            fu, fv = np.clip(u - i, 0, 1), np.clip(v - j, 0, 1)
            low = heights[j, i] * (1 - fu) + heights[j, i + 1] * fu
            high = heights[j + 1, i] * (1 - fu) + heights[j + 1, i + 1] * fu
            return low * (1 - fv) + high * fv + position[2], inside

        rays = self._ground_rays[::2, ::2].reshape(-1, 3)
        far = np.full(len(rays), np.inf, dtype=np.float32)
        top = position[2] + heights.max()
        active = np.flatnonzero((rays[:, 2] < 0) | (eye[2] < top))
        # Steps grow with the distance, as the pixels do.
        marks = (0.3 * (1.5 * _HAZE / 0.3) ** (np.arange(_MARCH_STEPS) / (_MARCH_STEPS - 1))).astype(np.float32)
        for near, mark in zip(np.append(0.0, marks[:-1]), marks, strict=True):
            points = eye + mark * rays[active]
            below = points[:, 2] < top
            ground, inside = height(points[below])
            below[below] = inside & (points[below, 2] < ground)
            low, high = np.full(below.sum(), near), np.full(below.sum(), mark)
            for _ in range(6):
                middle = (low + high) / 2
                between = eye + middle[:, None] * rays[active[below]]
                under = between[:, 2] < height(between)[0]
                low, high = np.where(under, low, middle), np.where(under, middle, high)
            far[active[below]] = high
            over = (rays[active, 2] >= 0) & (points[:, 2] > top)
            active = active[~below & ~over]
            if len(active) == 0:
                break
        points = eye + np.where(np.isfinite(far), far, 0.0)[:, None] * rays
        here = height(points)[0]
        step = half_x / (cols - 1)
        along, across = np.array([[step, 0, 0], [0, step, 0]], dtype=np.float32)
        slope_x, slope_y = ((height(points + one)[0] - here) / step for one in (along, across))
        normal = np.stack((-slope_x, -slope_y, np.ones_like(here)), axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        shape = self._ground_rays[::2, ::2].shape[:2]
        return self._enlarge(far.reshape(shape)), self._enlarge(normal.reshape(*shape, 3))

    def _enlarge(self, half: Array) -> Array:
        """A picture of every second pixel, each drawn two by two."""
        return half.repeat(2, axis=0).repeat(2, axis=1)[: self._height, : self._width]

    def _shade_ground(self, data: mujoco.MjData, eye: Array, distance: Array, normal: Array) -> Array:
        upward = np.clip(4 * self._ground_rays[..., 2:], 0, 1)
        sky = _SKY_LOW + upward * (_SKY_HIGH - _SKY_LOW)
        hit = np.isfinite(distance)
        if not hit.any():
            return sky
        points = eye.astype(np.float32) + np.where(hit, distance, 0.0)[..., None] * self._ground_rays
        checker = np.floor(points[..., :2] / _CHECKER).sum(axis=-1).astype(int) % 2
        light = 0.35 + 0.75 * np.clip(normal @ _SUN.astype(np.float32), 0, 1)
        light[self._in_shadow(data, points, hit)] *= 0.55
        ground = np.where(checker[..., None] == 0, _DARK, _LIGHT) * light[..., None]
        haze = np.exp(-np.where(hit, distance, 0.0) / _HAZE)[..., None]
        return np.where(hit[..., None], haze * ground + (1 - haze) * _SKY_LOW, sky)

    def _in_shadow(self, data: mujoco.MjData, points: Array, hit: Array) -> Array:
        """Which ground points the robot hides from the sun.

        Only every second pixel of every second row is asked about, and of those only what lies close to the robot.
        """
        if len(self._shapes) == 0:
            return np.zeros(hit.shape, dtype=bool)
        centres = data.geom_xpos[self._shapes]
        middle = centres.mean(axis=0)
        extent = np.linalg.norm(centres - middle, axis=1).max() + self._model.geom_rbound[self._shapes].max()
        sun = middle + _SUN_DISTANCE * _SUN
        points, hit = points[::2, ::2].astype(np.float64), hit[::2, ::2]
        offset = points - middle
        across = offset - (offset @ _SUN)[..., None] * _SUN
        near = hit & (np.linalg.norm(across, axis=-1) < 1.05 * extent)
        shadow = np.zeros(hit.shape, dtype=bool)
        geom, depth, _ = self._cast_robot(data, sun, points[near] - sun)
        # A depth of 1 is the ground point itself.
        shadow[near] = (geom >= 0) & (depth < 1.0)
        return self._enlarge(shadow)

    def _robot_window(self, data: mujoco.MjData, lookat: Array) -> tuple[slice, slice]:
        """The rows and columns of pixels which can show the robot."""
        if len(self._shapes) == 0:
            return slice(0, 0), slice(0, 0)
        centres = data.geom_xpos[self._shapes]
        radii = self._model.geom_rbound[self._shapes]
        pixels = self._camera.project(centres, lookat, self._width, self._height)
        depth = (centres - self._camera.position(lookat)) @ self._camera.axes[0]
        if not np.isfinite(pixels).all() or (depth <= radii).any():
            return slice(0, self._height), slice(0, self._width)
        # A sphere seen off the axis is a wider ellipse: a fifth more covers it.
        margin = (1.2 * radii / (depth - radii) / np.tan(self._camera.fovy / 2) * self._height / 2)[:, None]
        low, high = (pixels - margin).min(axis=0), (pixels + margin).max(axis=0)
        left, top = np.clip(np.floor(low), 0, (self._width, self._height)).astype(int)
        right, bottom = np.clip(np.ceil(high), 0, (self._width, self._height)).astype(int)
        return slice(top, bottom), slice(left, right)
