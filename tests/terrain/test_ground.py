"""The ground: every kind of sub-terrain, grids of them, and heights between points."""

import math

import numpy as np
import pytest

from legged_cts.terrain.grid import Entry, lay_ground, rough_terrain
from legged_cts.terrain.heights import Heightfield
from legged_cts.terrain.kinds import KINDS, terrain_kind
from legged_cts.terrain.tile import PLATFORM, Tile


def tile(difficulty=0.5, seed=0):
    return Tile(8.0, 0.05, difficulty, np.random.default_rng(seed))


def along_x(heights):
    """Heights over x at the middle of the tile, and the x of each."""
    return dict(zip(np.round(tile().axis, 3).tolist(), heights[:, len(heights) // 2].tolist(), strict=True))


def test_heights_between_points_are_bilinear():
    field = Heightfield(np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]), cell=2.0)
    assert field.half_size == (2.0, 1.0)
    # Columns run along x from -2 to 2, rows along y from -1 to 1.
    assert field.height_at(-2.0, -1.0) == 0.0
    assert field.height_at(2.0, 1.0) == 12.0
    assert field.height_at(1.0, 0.0) == pytest.approx(6.5)
    assert field.height_at(99.0, -1.0) == 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_level_where_robots_start_and_at_the_edge_and_grow_with_difficulty(kind):
    spans = []
    for difficulty in (0.0, 0.5, 1.0):
        heights = KINDS[kind](tile(difficulty))
        spans.append(np.ptp(heights))
        for edge in (heights[0], heights[-1], heights[:, 0], heights[:, -1]):
            np.testing.assert_allclose(edge, 0.0, atol=1e-12)
        platform = heights[tile().ring < PLATFORM - 1e-9]
        np.testing.assert_allclose(platform, platform[0], atol=0.03 if kind == "rough_slopes" else 1e-12)
    assert spans[0] <= spans[1] <= spans[2] and (kind == "flat") == (spans[2] == 0.0)


def test_a_riser_is_one_cell_wide_and_treads_are_as_asked():
    heights = along_x(KINDS["stairs_up"](tile(), step_height=(0.1, 0.2), step_width=0.3))
    # 15 cm at medium difficulty; nine steps of 30 cm from the platform's edge at 1 m out of a pit of 1.35 m.
    assert heights[0.95] == pytest.approx(-1.35) and heights[1.0] == pytest.approx(-1.2)
    assert heights[1.25] == pytest.approx(-1.2) and heights[1.3] == pytest.approx(-1.05)
    assert heights[3.35] == pytest.approx(-0.15) and heights[3.4] == heights[4.0] == 0.0
    assert {round(rise, 6) for rise in np.diff(list(heights.values())[80:])} == {0.0, 0.15}
    down = KINDS["stairs_down"](tile(), step_height=(0.1, 0.2), step_width=0.3)
    np.testing.assert_allclose(down, -KINDS["stairs_up"](tile(), step_height=0.15, step_width=0.3))


def test_flights_go_up_to_a_landing_and_down_again():
    heights = along_x(KINDS["flights"](tile(1.0), step_height=(0.0, 0.1), step_width=0.3, landing=0.6))
    # Three steps up from x = 1 m, level for 0.6 m and the depth of two treads, three down again.
    rises = np.diff(list(heights.values()))
    x = np.array(list(heights))[:-1]
    np.testing.assert_allclose(x[(rises > 0.05) & (x > 0)], [0.95, 1.25, 1.55])
    np.testing.assert_allclose(x[(rises < -0.05) & (x > 0)], [2.8, 3.1, 3.4])
    assert max(heights.values()) == pytest.approx(0.3)
    assert all(heights[x] == pytest.approx(heights[-x]) for x in heights)


def test_curbs_alternate_and_hurdles_are_beams():
    curbs = along_x(KINDS["curbs"](tile(1.0), step_height=0.15, step_width=(0.8, 0.8)))
    assert [curbs[x] for x in (0.95, 1.05, 1.75, 1.85, 2.55, 2.65, 3.35)] == [0, 0.15, 0.15, 0, 0, 0.15, 0.15]
    hurdles = along_x(KINDS["hurdles"](tile(1.0), height=(0, 0.2), width=0.1, distance=0.9))
    assert [hurdles[x] for x in (0.95, 1.0, 1.1, 1.15, 2.0, 2.1, 2.15)] == [0, 0.2, 0.2, 0, 0.2, 0.2, 0]


def test_slopes_have_their_gradient():
    heights = KINDS["slopes"](tile(1.0), slope=(0.0, math.tan(math.radians(25.0))))
    x = tile().x
    ramp = np.abs(np.diff(heights, axis=0))[(x[1:] > 1.2) & (x[1:] < 3.5) & (np.abs(tile().y[1:]) < 1.0)]
    np.testing.assert_allclose(ramp / 0.05, math.tan(math.radians(25.0)), rtol=1e-6)


@pytest.mark.parametrize("kind", ["slope_up", "slope_down", "slope_across"])
def test_no_place_of_a_slope_is_steeper_than_it_says(kind):
    # A hillside that ended within a metre had 32 degrees for 25 where robots arrived, and they slid.
    heights = KINDS[kind](tile(1.0), slope=math.tan(math.radians(25)))
    along, aside = np.diff(heights, axis=0), np.diff(heights, axis=1)
    rises = (along[:, 1:] + along[:, :-1]) / 2, (aside[1:] + aside[:-1]) / 2  # in the middle of each cell
    steepest = np.degrees(np.arctan(np.hypot(*rises) / tile().cell)).max()
    assert steepest == pytest.approx(25.0)


def test_a_grid_has_levels_along_x_and_steps_of_the_heights_it_says():
    columns = [Entry("stairs_up", {"step_height": [0.05, 0.2], "step_width": 0.3}), Entry("flat", {})]
    ground = lay_ground(columns, levels=4, border=1.0)
    assert ground.heights.shape == (4 * 160 + 41, 2 * 160 + 41) and ground.heights.min() == 0.0
    np.testing.assert_allclose(ground.risers, [[0.05, 0], [0.1, 0], [0.15, 0], [0.2, 0]])
    np.testing.assert_allclose(ground.origins[:, 0, 0], [-12.0, -4.0, 4.0, 12.0])
    np.testing.assert_allclose(ground.origins[0, :, 1], [-4.0, 4.0])
    # The pit of 9 steps of 20 cm is the lowest.
    np.testing.assert_allclose(ground.origins[:, 0, 2], 1.8 - 9 * ground.risers[:, 0])
    np.testing.assert_allclose(ground.origins[:, 1, 2], 1.8)
    again = lay_ground(columns, levels=4, border=1.0)
    np.testing.assert_array_equal(ground.heights, again.heights)


def test_what_lies_at_random_in_a_column_does_not_depend_on_where_it_is():
    """Two commands with a course in common sent robots over two grounds: 62 and 82 % of them arrived."""
    boxes, gravel, flat = (Entry("obstacles", {"height": 0.15}), Entry("gravel", {"height": 0.05}), Entry("flat", {}))
    alone = lay_ground([boxes], 2, border=1.0, seed=3)
    among = lay_ground([flat, gravel, boxes, boxes], 2, border=1.0, seed=3)

    def column(ground, index):
        # Without the edges, which neighbours share.
        rows = slice(20 + index * 160 + 1, 20 + (index + 1) * 160)
        return ground.heights[21:-21, rows] - ground.origins[0, index, 2]

    np.testing.assert_allclose(column(alone, 0), column(among, 2), atol=1e-12)
    assert np.abs(column(among, 2) - column(among, 3)).max() > 0.1, "two columns of one entry are two grounds"
    assert np.abs(column(alone, 0) - column(lay_ground([boxes], 2, border=1.0, seed=4), 0)).max() > 0.1


def test_sizes_must_fit_the_cells():
    with pytest.raises(ValueError, match=r"terrain\.size must be a whole multiple of terrain\.resolution, 0\.3 m"):
        lay_ground([Entry("flat", {})], 1, cell=0.3, border=3.0)


@pytest.mark.parametrize(
    ("name", "node", "message"),
    [
        ("stair_up", {}, r"terrain\.kinds\.stair_up: no kind of terrain 'stair_up'; did you mean 'stairs_up'"),
        ("mine", {"kind": "stairs"}, r"terrain\.kinds\.mine: no kind of terrain 'stairs'; did you mean"),
        ("waves", {"amplitud": 0.1}, r"terrain\.kinds\.waves\.amplitud unknown; did you mean 'amplitude'"),
        ("waves", {"amplitude": [0.2, 0.1]}, r"waves\.amplitude must be .* ascending order, got \[0\.2, 0\.1\]"),
        ("waves", {"amplitude": float("nan")}, r"waves\.amplitude must be a number of at least 0"),
        ("waves", {"waves": [1, 2]}, r"waves\.waves must be one number"),
        ("waves", {"waves": 2.5}, r"waves\.waves must be a whole number"),
        ("boxes", {"kind": "obstacles", "pits": -1.0}, r"boxes\.pits must be a number of at least 0"),
        ("stairs_up", {"step_width": 0.001}, r"stairs_up\.step_width must be at least 0\.05 m, got 0\.001"),
        ("stairs_up", {"step_height": "high"}, r"stairs_up\.step_height must be a number"),
    ],
)
def test_a_wrong_entry_is_one_line_that_names_it(name, node, message):
    with pytest.raises(ValueError, match=message) as caught:
        Entry.checked(name, node)
    assert "\n" not in str(caught.value)


def test_a_kind_of_ones_own_is_an_entry_like_others():
    @terrain_kind
    def one_hole(tile: Tile, depth=(0.0, 0.5)):
        return np.where(np.hypot(tile.x - 2.0, tile.y) < 0.5, -tile.at(depth), 0.0)

    try:
        entry = Entry.checked("holes", {"kind": "one_hole", "proportion": 1.0, "depth": [0.1, 0.3]})
        assert lay_ground([entry], 2, border=1.0).heights.max() == pytest.approx(0.3)
    finally:
        del KINDS["one_hole"]


def test_rough_terrain_of_plain_mujoco_is_the_training_s():
    heights = rough_terrain(0.5, 3, kinds=("stairs_up",), tiles=1, border=2.0).heights
    expected = KINDS["stairs_up"](Tile(8.0, 0.05, 0.5, np.random.default_rng((3, 0, 0))))
    np.testing.assert_array_equal(heights[40:201, 40:201], expected.T)
    heights = heights.copy()
    heights[40:201, 40:201] = 0.0
    assert heights.shape == (241, 241) and not heights.any()


def test_the_seed_decides():
    first, again, other = (rough_terrain(0.5, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.heights, again.heights)
    assert not np.array_equal(first.heights, other.heights)


def test_bad_arguments_of_rough_terrain_are_named():
    with pytest.raises(ValueError, match="difficulty"):
        rough_terrain(1.5, 0)
    with pytest.raises(ValueError, match="'lava'"):
        rough_terrain(0.5, 0, kinds=("lava",))
    with pytest.raises(ValueError, match="tiles"):
        rough_terrain(0.5, 0, tiles=0)
