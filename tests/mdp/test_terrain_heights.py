"""Height look-up against values worked out by hand."""

import pytest
import torch

from legged_cts.mdp.terrain_heights import TerrainHeights

GRID = torch.tensor([[0.0, 1.0, 2.0], [4.0, 3.0, 8.0]])  # x = 10, 12; y = -2, 0, 2


@pytest.fixture
def heights() -> TerrainHeights:
    return TerrainHeights(GRID, origin=(10.0, -2.0), spacing=2.0)


@pytest.mark.parametrize(
    ("point", "height"),
    [
        ((10.0, -2.0), 0.0),
        ((12.0, 2.0), 8.0),
        ((12.0, 0.0), 3.0),
        ((11.0, -2.0), 2.0),  # middle of an edge along x
        ((10.0, 1.0), 1.5),  # middle of an edge along y
        ((11.0, -1.0), 2.0),  # middle of a cell: mean of 0, 1, 4, 3
        ((10.5, 1.5), 0.75 * 1.75 + 0.25 * 6.75),
        ((5.0, 0.0), 1.0),  # outside: the nearest edge
        ((30.0, 30.0), 8.0),
    ],
)
def test_height_of_a_point(heights, point, height):
    assert heights.sample(torch.tensor(point)).item() == pytest.approx(height, abs=1e-5)


def test_shape_follows_the_points_and_extent_the_grid(heights):
    assert heights.sample(torch.zeros(4, 7, 2)).shape == (4, 7)
    assert heights.extent == (10.0, -2.0, 12.0, 2.0)


def test_flat_ground_is_zero_everywhere_and_endless():
    flat = TerrainHeights(None)
    assert flat.is_flat and flat.extent is None
    assert torch.equal(flat.sample(torch.randn(3, 2)), torch.zeros(3))


@pytest.mark.parametrize("grid", [torch.zeros(5), torch.zeros(1, 5)])
def test_degenerate_grids_are_refused(grid):
    with pytest.raises(ValueError, match="grid must be 2-D"):
        TerrainHeights(grid)


def test_spacing_must_be_positive():
    with pytest.raises(ValueError, match="spacing must be positive"):
        TerrainHeights(GRID, spacing=0.0)
