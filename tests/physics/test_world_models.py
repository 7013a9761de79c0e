"""Worlds whose parameters changed after their model was compiled."""

from __future__ import annotations

from types import SimpleNamespace

import mujoco
import numpy as np

from legged_cts.physics.world_models import MIRRORED, OPTIONS, WorldModels

# A sole as the G1's: four spheres under a plate that is long in x, so that its largest inertia is about z.
SOLE = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 5"/>
    <body name="sole" pos="0 0 0.02">
      <freejoint/>
      <inertial mass="0.2" pos="0 0 0" diaginertia="8e-5 6.1e-4 6.7e-4"/>
      <geom type="sphere" size="0.01" pos="-0.085 0.02 0"/>
      <geom type="sphere" size="0.01" pos="-0.085 -0.02 0"/>
      <geom type="sphere" size="0.01" pos="0.085 0.02 0"/>
      <geom type="sphere" size="0.01" pos="0.085 -0.02 0"/>
    </body>
  </worldbody>
</mujoco>
"""


class Batched:
    """What Newton hands over: each field of a model as a batch of one world."""

    def __init__(self, model: mujoco.MjModel, **changed: np.ndarray) -> None:
        fields = {name: getattr(model, name) for name in MIRRORED} | changed
        for name, value in fields.items():
            setattr(self, name, _array(value[None]))
        self.opt = SimpleNamespace(**{name: _array(np.asarray([getattr(model.opt, name)])) for name in OPTIONS})
        self.stat = SimpleNamespace(meaninertia=_array(np.array([model.stat.meaninertia])))


def _array(value: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(numpy=lambda: value)


def _touching(model: mujoco.MjModel, pitch: float) -> int:
    """How many spheres touch the ground with the sole tilted by pitch [rad] and its lower end on the ground."""
    data = mujoco.MjData(model)
    data.qpos[2] = 0.085 * abs(np.sin(pitch)) + 0.009
    data.qpos[3:7] = np.cos(pitch / 2), 0.0, np.sin(pitch / 2), 0.0
    mujoco.mj_forward(model, data)
    return data.ncon


def test_axes_of_inertia_in_another_order_leave_every_contact():
    spec = mujoco.MjSpec.from_string(SOLE)
    worlds = WorldModels(spec, spec.compile(), 1)
    (model,) = worlds.models
    body = model.body("sole").id
    inertia, quat = model.body_inertia.copy(), model.body_iquat.copy()
    # The same body: axes x, y, z renamed to z, x, y and turned accordingly.
    turn = np.full(4, 0.5)
    inertia[body] = np.roll(inertia[body], -1)
    mujoco.mju_mulQuat(quat[body], quat[body], turn)
    worlds.mirror(Batched(model, body_inertia=inertia, body_iquat=quat))
    assert np.array_equal(model.body_iquat, quat)
    assert [_touching(model, pitch) for pitch in (0.4, 0.2, 0.0, -0.2, -0.4)] == [2, 2, 4, 2, 2]


def test_a_shifted_centre_of_mass_leaves_every_contact():
    spec = mujoco.MjSpec.from_string(SOLE)
    worlds = WorldModels(spec, spec.compile(), 1)
    (model,) = worlds.models
    shifted = model.body_ipos.copy()
    shifted[model.body("sole").id] = 0.0, 0.0, 0.1
    worlds.mirror(Batched(model, body_ipos=shifted))
    assert [_touching(model, pitch) for pitch in (0.4, 0.0, -0.4)] == [2, 4, 2]


HILLS = """<mujoco>
  <asset><hfield name="hills" nrow="300" ncol="200" size="2 3 0.5 1"/></asset>
  <worldbody>
    <geom type="hfield" hfield="hills" pos="0 0 0.1"/>
    <body name="ball" pos="0.3 0.2 2"><freejoint/><geom type="sphere" size="0.1" mass="1"/></body>
  </worldbody>
</mujoco>"""


def test_worlds_share_one_height_field_and_bounce_on_it_as_the_model_would():
    spec = mujoco.MjSpec.from_string(HILLS)
    rng = np.random.default_rng(0)
    spec.hfields[0].userdata = rng.random(60000)
    expected = spec.compile()
    worlds = WorldModels(spec, expected, 3)
    assert all(model.nbuffer < 0.2 * worlds.base.nbuffer for model in worlds.models)
    ends = []
    for model in (expected, *worlds.models):
        model.opt.disableflags = 0
        data = mujoco.MjData(model)
        for _ in range(500):
            mujoco.mj_step(model, data)
        ends.append(data.qpos.copy())
        assert data.ncon > 0
    for end in ends[1:]:
        np.testing.assert_allclose(end, ends[0], atol=1e-9)
    # The copies leave the owner's heights alone when they go.
    before = worlds.base.hfield_data.copy()
    worlds.models.clear()
    np.testing.assert_array_equal(worlds.base.hfield_data, before)
    assert spec.hfields[0].nrow == 300 and len(spec.hfields[0].userdata) == 60000
