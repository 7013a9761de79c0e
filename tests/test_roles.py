import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from legged_cts.roles import teacher_mask

sizes = st.integers(1, 500)
fractions = st.floats(0.0, 1.0)


@given(sizes, fractions)
def test_exact_number_of_teachers(num_envs, fraction):
    mask = teacher_mask(num_envs, fraction)
    assert mask.shape == (num_envs,) and mask.dtype == torch.bool
    assert int(mask.sum()) == round(num_envs * fraction)


@given(sizes, fractions)
def test_teachers_are_spread_evenly(num_envs, fraction):
    """Any window of environments holds its proportional share, to within one."""
    mask = teacher_mask(num_envs, fraction)
    share = int(mask.sum()) / num_envs
    before = torch.cat([torch.zeros(1), mask.float().cumsum(0)])
    for width in {1, num_envs // 3, num_envs // 2, num_envs}:
        counts = before[width:] - before[: num_envs + 1 - width]
        assert (counts - width * share).abs().max() < 1.0 + 1e-3


def test_three_to_one():
    assert teacher_mask(8, 0.75).tolist() == [False, True, True, True, False, True, True, True]


@pytest.mark.parametrize(
    ("num_envs", "fraction", "name"),
    [
        (0, 0.5, "num_envs"),
        (4, -0.1, "teacher_fraction"),
        (4, 1.1, "teacher_fraction"),
        (4, float("nan"), "teacher_fraction"),
    ],
)
def test_bad_arguments_are_named(num_envs, fraction, name):
    with pytest.raises(ValueError, match=name):
        teacher_mask(num_envs, fraction)
