"""A camera that follows a point, and its rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from legged_cts.deploy.robot import Array


@dataclass(frozen=True)
class Camera:
    """Where a picture is taken from, relative to the point it looks at.

    Attributes:
        distance: from that point [m].
        azimuth: direction of view about the vertical [rad]; 0 looks along +x.
        elevation: angle of view above the horizon [rad]; negative looks down.
        fovy: vertical field of view [rad].
        above: of the point that it is told to look at it looks so much higher [m].
    """

    distance: float = 1.8
    azimuth: float = np.deg2rad(125.0)
    elevation: float = np.deg2rad(-18.0)
    fovy: float = np.deg2rad(45.0)
    above: float = 0.0

    @classmethod
    def following(cls, below: float, above: float) -> Camera:
        """One that has all of a robot in the picture and is told where its base is.

        Args:
            below: height of the base above the feet [m].
            above: height of the robot's highest point above the base [m].
        """
        return cls(distance=max(1.3, 2.1 * (below + above)), above=(above - below) / 2)

    @property
    def axes(self) -> Array:
        """Unit vectors forward, left and up in the world, as rows [3, 3]."""
        ca, sa, ce, se = np.cos(self.azimuth), np.sin(self.azimuth), np.cos(self.elevation), np.sin(self.elevation)
        forward, left = np.array([ce * ca, ce * sa, se]), np.array([-sa, ca, 0.0])
        return np.stack((forward, left, np.cross(forward, left)))

    def position(self, lookat: Array) -> Array:
        """Position of the camera in the world [m] [3]."""
        return self.target(lookat) - self.distance * self.axes[0]

    def target(self, lookat: Array) -> Array:
        """What is in the middle of the picture, in the world [m] [3]."""
        return np.asarray(lookat) + np.array([0.0, 0.0, self.above])

    def rays(self, width: int, height: int) -> Array:
        """Unit directions through the pixels' centres, top row first [height, width, 3]."""
        forward, left, up = self.axes
        scale = np.tan(self.fovy / 2)
        down = (2 * (np.arange(height) + 0.5) / height - 1) * scale
        right = (2 * (np.arange(width) + 0.5) / width - 1) * scale * width / height
        rays = forward - right[None, :, None] * left - down[:, None, None] * up
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def project(self, points: Array, lookat: Array, width: int, height: int) -> Array:
        """Pixel coordinates (column, row) of points in the world [k, 2]; NaN for points behind the camera."""
        depth, left, up = self.axes @ (np.asarray(points) - self.position(lookat)).T
        depth = np.where(depth > 1e-6, depth, np.nan)
        scale = np.tan(self.fovy / 2)
        column = (1 - left / depth / scale * height / width) * width / 2
        row = (1 - up / depth / scale) * height / 2
        return np.stack((column, row), axis=-1)
