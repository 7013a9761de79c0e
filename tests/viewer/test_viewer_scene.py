"""The browser scene stands where MuJoCo says."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest
import viser

from legged_cts.deploy.mujoco_robot import build_model
from legged_cts.robots.spec import load_robot
from legged_cts.terrain.grid import rough_terrain
from legged_cts.viewer.scene import MARGIN, Scene, drawn_geoms


@pytest.fixture(scope="module")
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


def tilted(model: mujoco.MjModel) -> mujoco.MjData:
    """A state far from upright, with every joint bent."""
    data = mujoco.MjData(model)
    mujoco.mju_euler2Quat(data.qpos[3:7], np.array([0.4, -0.7, 2.1]), "XYZ")
    data.qpos[:3] = 1.3, -0.6, 0.5
    data.qpos[7:] = np.linspace(-0.8, 0.9, model.nq - 7)
    mujoco.mj_forward(model, data)
    return data


def test_every_geom_of_the_robot_stands_where_mujoco_has_it(server: viser.ViserServer) -> None:
    model = build_model(load_robot("go2"), 0.005, None, 0.8)
    scene = Scene(server, model, "base")
    data = tilted(model)
    scene.update(data.qpos)
    assert set(scene.robot.geoms) == {geom for geom in range(model.ngeom) if model.geom_bodyid[geom] > 0}
    assert len(scene.robot.geoms) == model.ngeom - 1 > 50
    for geom, node in scene.robot.geoms.items():
        place, rotation, matrix = node.position, node.wxyz, np.empty(9)
        # As the browser does it: from the shape up to the world.
        for body in reversed([body for body in scene.robot.bodies.values() if node.name.startswith(body.name + "/")]):
            turned, product = np.empty(3), np.empty(4)
            mujoco.mju_rotVecQuat(turned, place, body.wxyz)
            mujoco.mju_mulQuat(product, body.wxyz, rotation)
            place, rotation = body.position + turned, product
        mujoco.mju_quat2Mat(matrix, rotation)
        np.testing.assert_allclose(place, data.geom_xpos[geom], atol=1e-4)
        np.testing.assert_allclose(matrix, data.geom_xmat[geom], atol=1e-4)
    scene.remove()


def test_only_what_moved_is_sent(server: viser.ViserServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(load_robot("go2"), 0.005, None, 0.8)
    scene, qpos = Scene(server, model, "base"), tilted(model).qpos
    scene.update(qpos)
    sent: list[str] = []
    monkeypatch.setattr(server.scene, "_queue_scene_message", lambda message: sent.append(message.name))
    scene.robot.update(qpos)
    assert sent == []
    qpos[7] += 0.1
    scene.robot.update(qpos)
    joint = model.body(model.jnt_bodyid[1]).id
    assert sent == [scene.robot.bodies[joint].name]
    monkeypatch.undo()
    scene.remove()


def test_visual_shapes_are_seen_and_collision_shapes_on_demand(server: viser.ViserServer) -> None:
    model = build_model(load_robot("go2"), 0.005, None, 0.8)
    scene = Scene(server, model, "base")
    drawn = drawn_geoms(model)
    assert {geom for geom, node in scene.robot.geoms.items() if node.visible} == drawn
    assert all(model.geom_contype[geom] == model.geom_conaffinity[geom] == 0 for geom in drawn)
    scene.robot.show_collision(True)
    assert all(node.visible for node in scene.robot.geoms.values())
    scene.remove()


def test_a_robot_without_visual_shapes_shows_its_collision_shapes() -> None:
    xml = '<mujoco><worldbody><body><freejoint/><geom type="sphere" size="0.1"/></body></worldbody></mujoco>'
    assert drawn_geoms(mujoco.MjModel.from_xml_string(xml)) == {0}


def test_following_shifts_the_world_and_the_ground_comes_along(server: viser.ViserServer) -> None:
    model = build_model(load_robot("go2"), 0.005, rough_terrain(0.5, 0, tiles=3), 0.8)
    scene = Scene(server, model, "base")
    qpos = mujoco.MjData(model).qpos.copy()
    scene.update(qpos)
    first = scene._ground_nodes
    assert len(first) == 2
    qpos[:2] = 0.9 * MARGIN, 0.0
    scene.update(qpos)
    np.testing.assert_allclose(scene._world.position[:2], (-0.9 * MARGIN, 0.0))
    assert scene._ground_nodes is first
    scene.follow = False
    qpos[:2] = 1.1 * MARGIN, 0.0
    scene.update(qpos)
    np.testing.assert_allclose(scene._world.position[:2], (-0.9 * MARGIN, 0.0))
    assert scene._ground_nodes is not first
    scene.remove()
