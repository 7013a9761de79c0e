"""Which kinds of ground get a column of the grid."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from legged_cts.mdp.terrain_columns import column_names, left_out


def terrain(columns: int, **shares: float) -> SimpleNamespace:
    kinds = {name: SimpleNamespace(proportion=share) for name, share in shares.items()}
    generator = SimpleNamespace(sub_terrains=kinds, num_cols=columns)
    return SimpleNamespace(cfg=SimpleNamespace(terrain_type="generator", terrain_generator=generator))


def test_a_kind_without_a_column_is_told_with_the_number_that_is_enough():
    few = terrain(12, slopes=2, stairs=2, **{f"k{i}": 1 for i in range(9)})
    assert left_out(few) == "terrain.columns=12 have no room for k8; 13 have"
    enough = terrain(13, slopes=2, stairs=2, **{f"k{i}": 1 for i in range(9)})
    assert left_out(enough) == ""


@pytest.mark.parametrize("shares", [(1, 1), (1, 3, 2), (0.5, 0.25, 0.25), (1, 1, 1, 1, 1, 7)])
def test_the_number_that_is_told_is_enough(shares):
    kinds = {f"k{i}": share for i, share in enumerate(shares)}
    line = left_out(terrain(1, **kinds))
    enough = int(line.split("; ")[1].split()[0])
    assert set(column_names(terrain(enough, **kinds).cfg.terrain_generator)) == set(kinds)


def test_a_plane_leaves_nothing_out():
    plane = SimpleNamespace(cfg=SimpleNamespace(terrain_type="usd", terrain_generator=None))
    assert left_out(plane) == ""
