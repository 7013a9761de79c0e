"""Heights on their way from the stage to MuJoCo's model."""

import mujoco
import numpy as np
import pytest
from isaaclab.sim.utils.stage import create_new_stage, use_stage

from legged_cts.physics.ground_heights import FineHeightfield, author_heights, inject_heights, restore_heights

HEIGHTS = np.random.default_rng(0).uniform(0.0, 0.8, (5, 7)).astype(np.float32)
SMALL = """<mujoco>
  <asset><hfield name="ground" nrow="2" ncol="2" size="0.3 0.2 0.8 0.1" elevation="0 1 0 1"/></asset>
  <worldbody><geom type="hfield" hfield="ground"/></worldbody>
</mujoco>"""


class Builder:
    """Keeps what Newton's builder would be given."""

    def __init__(self):
        self.fields = []

    def add_shape_heightfield(self, heightfield, xform):
        self.fields.append(heightfield)


class NewtonModel:
    def __init__(self, *sources):
        self.shape_source = [None, *sources]


def test_what_was_put_on_the_stage_is_found_there():
    stage = create_new_stage()
    with use_stage(stage):
        author_heights("/World/ground/terrain", HEIGHTS, 0.1)
    builder = Builder()
    assert inject_heights(stage, builder, ["/World"]) == ["/World/ground/terrain"]
    (field,) = builder.fields
    np.testing.assert_array_equal(field.heights, HEIGHTS)
    assert (field.hx, field.hy) == pytest.approx((0.3, 0.2))
    assert (field.min_z, field.max_z) == pytest.approx((HEIGHTS.min(), HEIGHTS.max()))


@pytest.mark.parametrize("heights", [HEIGHTS, np.full((5, 7), 0.3, np.float32)], ids=["hills", "level"])
def test_mujoco_gets_every_point(heights):
    field = FineHeightfield(heights, 0.1)
    assert field.data.shape == (2, 2)
    spec = mujoco.MjSpec.from_string(SMALL)
    restore_heights(NewtonModel(field), spec)  # type: ignore[arg-type]
    model = spec.compile()
    assert (model.hfield_nrow[0], model.hfield_ncol[0]) == (5, 7)
    span = np.ptp(heights)
    np.testing.assert_allclose(model.hfield_data.reshape(5, 7) * span, heights - heights.min(), atol=1e-6)


def test_a_ground_of_another_kind_is_left_alone():
    spec = mujoco.MjSpec.from_string(SMALL)
    restore_heights(NewtonModel(), spec)  # type: ignore[arg-type]
    assert spec.hfields[0].nrow == 2
