"""The Go2's MJCF: the published figures, its symmetry, and that it stands."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest

from legged_cts.robots.spec import load_robot

SPEC = load_robot("go2")
MODEL = mujoco.MjModel.from_xml_path(str(SPEC.mjcf))
MIRROR = np.array([1.0, -1.0, 1.0])


def inertia(quat: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Tensor [3, 3] about the centre of mass, in the axes of the body."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(quat, float))
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(diagonal) @ rotation.T


def body_inertia(name: str) -> np.ndarray:
    body = MODEL.body(name)
    return inertia(body.iquat, body.inertia)


def steiner(mass: float, offset: np.ndarray) -> np.ndarray:
    return mass * (offset @ offset * np.eye(3) - np.outer(offset, offset))


def test_total_mass():
    assert MODEL.body_mass.sum() == pytest.approx(15.206408, abs=1e-9)


def test_calf_and_foot_make_the_published_calf():
    """The published calf includes the foot; here the foot is a body of its own, so that it has its own contacts."""
    calf, foot = MODEL.body("FL_calf"), MODEL.body("FL_foot")
    masses = np.array([calf.mass[0], foot.mass[0]])
    centres = np.stack([calf.ipos, foot.pos + foot.ipos])
    mass = masses.sum()
    centre = masses @ centres / mass
    tensor = sum(
        body_inertia(name) + steiner(m, c - centre)
        for name, m, c in zip(("FL_calf", "FL_foot"), masses, centres, strict=True)
    )
    assert mass == pytest.approx(0.241352, abs=1e-12)
    np.testing.assert_allclose(centre, [0.00629595, -0.000622121, -0.141417], atol=1e-9)
    published_quat = np.array([0.710672, 0.00154099, -0.00450087, 0.703508])
    published = inertia(
        published_quat / np.linalg.norm(published_quat),
        np.array([0.0014901, 0.00146356, 5.31397e-05]),
    )
    np.testing.assert_allclose(tensor, published, atol=2e-9)


@pytest.mark.parametrize(
    ("body", "mass", "centre", "quat", "diagonal"),
    [
        (
            "base",
            6.921,
            [0.021112, 0, -0.005366],
            [-0.000543471, 0.713435, -0.00173769, 0.700719],
            [0.107027, 0.0980771, 0.0244531],
        ),
        (
            "FL_hip",
            0.678,
            [-0.0054, 0.00194, -0.000105],
            [0.497014, 0.499245, 0.505462, 0.498237],
            [0.00088403, 0.000596003, 0.000479967],
        ),
        (
            "FL_thigh",
            1.152,
            [-0.00374, -0.0223, -0.0327],
            [0.829533, 0.0847635, -0.0200632, 0.551623],
            [0.00594973, 0.00584149, 0.000878787],
        ),
    ],
)
def test_published_bodies(body: str, mass: float, centre: list, quat: list, diagonal: list):
    assert MODEL.body(body).mass[0] == mass
    np.testing.assert_allclose(MODEL.body(body).ipos, centre, atol=1e-12)
    expected = inertia(np.array(quat) / np.linalg.norm(quat), np.array(diagonal))
    np.testing.assert_allclose(body_inertia(body), expected, rtol=0, atol=2e-6 * max(diagonal))


@pytest.mark.parametrize("part", ["hip", "thigh", "calf", "foot"])
@pytest.mark.parametrize("end", ["F", "R"])
def test_left_and_right_are_mirror_images(end: str, part: str):
    left, right = MODEL.body(f"{end}L_{part}"), MODEL.body(f"{end}R_{part}")
    assert left.mass == right.mass
    np.testing.assert_allclose(left.pos, right.pos * MIRROR)
    np.testing.assert_allclose(left.ipos, right.ipos * MIRROR)
    flip = np.outer(MIRROR, MIRROR)
    np.testing.assert_allclose(body_inertia(left.name), body_inertia(right.name) * flip, atol=1e-12)
    assert left.geomnum == right.geomnum
    for i in range(left.geomnum[0]):
        a, b = MODEL.geom(left.geomadr[0] + i), MODEL.geom(right.geomadr[0] + i)
        assert (a.type, a.matid) == (b.type, b.matid)
        np.testing.assert_allclose(a.size, b.size)
        np.testing.assert_allclose(a.pos, b.pos * MIRROR, atol=1e-12)


def test_colliders_meet_the_ground_only_and_decide_the_friction():
    colliding = (MODEL.geom_contype | MODEL.geom_conaffinity) != 0
    assert colliding.sum() == 14
    assert not MODEL.geom_contype.any()
    assert (MODEL.geom_conaffinity[colliding] == 1).all()
    assert (MODEL.geom_priority[colliding] == 1).all()
    assert (MODEL.geom_group[colliding] == 3).all()
    assert (MODEL.geom_group[~colliding] == 2).all()
    assert (~colliding).sum() <= 70


def test_it_stands():
    """PD of the spec in its nominal pose on a plane: still, upright, on its feet and nothing else."""
    scene = mujoco.MjSpec.from_file(str(SPEC.mjcf))
    scene.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[5, 5, 1])
    # MuJoCo's friction is soft: without this a loaded stance creeps by millimetres a second.
    scene.option.noslip_iterations = 10
    model = scene.compile()
    data = mujoco.MjData(model)
    qpos = [model.joint(joint).qposadr[0] for joint in SPEC.joints]
    dofs = [model.joint(joint).dofadr[0] for joint in SPEC.joints]
    data.qpos[2] = SPEC.nominal_height
    data.qpos[qpos] = SPEC.nominal_pose
    limit = np.array(SPEC.effort_limit)

    def advance(seconds: float) -> None:
        for _ in range(round(seconds / model.opt.timestep)):
            torque = SPEC.stiffness * (np.array(SPEC.nominal_pose) - data.qpos[qpos]) - SPEC.damping * data.qvel[dofs]
            data.qfrc_applied[dofs] = np.clip(torque, -limit, limit)
            mujoco.mj_step(model, data)

    advance(3.0)
    before = data.qpos.copy()
    advance(2.0)
    assert np.linalg.norm(data.qpos[:3] - before[:3]) < 1e-3
    assert np.abs(data.qvel).max() < 1e-2
    assert SPEC.nominal_height - 0.06 < data.qpos[2] < SPEC.nominal_height
    upright = data.body("base").xmat.reshape(3, 3)[2, 2]
    assert upright > np.cos(0.1)
    ground = model.geom("ground").id
    touching = {model.geom(geom).name for pair in data.contact.geom for geom in pair if geom != ground}
    assert touching == {f"{foot}_collision" for foot in SPEC.feet}
    force = np.zeros(6)
    weight = 0.0
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, force)
        weight += force[0]
    assert weight == pytest.approx(SPEC.total_mass * 9.81, rel=1e-3)
