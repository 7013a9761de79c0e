import numpy as np
import pytest

from legged_cts.deploy.terrain import TILES, Heightfield, rough_terrain


def test_heights_between_points_are_bilinear() -> None:
    field = Heightfield(np.array([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]), cell=2.0)
    assert field.half_size == (2.0, 1.0)
    # Columns run along x from -2 to 2, rows along y from -1 to 1.
    assert field.height_at(-2.0, -1.0) == 0.0
    assert field.height_at(2.0, 1.0) == 12.0
    assert field.height_at(1.0, 0.0) == pytest.approx(6.5)
    assert field.height_at(99.0, -1.0) == 2.0


def test_the_seed_decides() -> None:
    first, again, other = (rough_terrain(0.5, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.heights, again.heights)
    assert not np.array_equal(first.heights, other.heights)


@pytest.mark.parametrize("kind", TILES)
def test_tiles_grow_with_difficulty_and_are_level_at_the_edge(kind: str) -> None:
    axis = np.linspace(-4, 4, 81)
    x, y = np.meshgrid(axis, axis)
    spans = []
    for difficulty in (0.0, 0.5, 1.0):
        height = TILES[kind](x, y, difficulty, np.random.default_rng(0))
        spans.append(np.ptp(height))
        for edge in (height[0], height[-1], height[:, 0], height[:, -1]):
            np.testing.assert_allclose(edge, 0.0, atol=1e-12)
    assert 0 < spans[0] < spans[1] < spans[2]


def test_the_border_is_level() -> None:
    heights = rough_terrain(1.0, 0, tiles=1, border=2.0).heights
    assert heights.shape == (121, 121)
    assert np.ptp(heights) > 0.1
    heights = heights.copy()
    heights[20:101, 20:101] = 0.0
    assert not heights.any()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="difficulty"):
        rough_terrain(1.5, 0)
    with pytest.raises(ValueError, match="'lava'"):
        rough_terrain(0.5, 0, kinds=("lava",))
    with pytest.raises(ValueError, match="tiles"):
        rough_terrain(0.5, 0, tiles=0)
