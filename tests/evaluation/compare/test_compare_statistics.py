"""Statistics over few seeds, against values by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legged_cts.evaluation.compare.statistics import difference, estimate, holm, interquartile_mean, sample, sign_flip_p

VALUES = st.lists(st.floats(-100, 100), min_size=1, max_size=7)


def test_interquartile_mean_cuts_a_quarter_on_each_side():
    # As scipy.stats.trim_mean(x, 0.25): floor(n / 4) values from each end.
    assert interquartile_mean(np.array([100.0, 1.0, 2.0, -50.0])) == 1.5
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, -9.0])) == 2.0
    assert interquartile_mean(np.array([0, 0, 1, 2, 3, 4, 90, 90.0])) == 2.5
    assert interquartile_mean(np.array([1.0, 2.0, 6.0])) == 3.0
    rows = np.array([[4.0, 3.0, 2.0, 100.0], [0.0, 0.0, 0.0, 8.0]])
    assert interquartile_mean(rows).tolist() == [3.5, 0.0]


def test_bootstrap_of_three_seeds_reaches_from_the_smallest_to_the_largest():
    got = estimate([3.0, 1.0, 2.0])
    assert (got.value, got.low, got.high) == (2.0, 1.0, 3.0)
    assert got == estimate([3.0, 1.0, 2.0])


def test_bootstrap_of_five_seeds_is_that_of_all_resamples():
    values = [0.0, 1.0, 2.0, 4.0, 8.0]
    exact = np.sort([np.mean(pick) for pick in itertools.product(values, repeat=5)])
    got = estimate(values)
    for quantile, end in ((0.025, got.low), (0.975, got.high)):
        rank = np.searchsorted(exact, [end - 1e-9, end + 1e-9]) / len(exact)
        assert rank[0] - 0.01 <= quantile <= rank[1] + 0.01


def test_bootstrap_covers_as_it_should_with_many_values():
    rng = np.random.default_rng(3)
    covered = [one.low <= 5.0 <= one.high for one in (estimate(rng.normal(5, 2, 40)) for _ in range(200))]
    # 95 % nominal, 93 % for 40 values; binomial sd 1.8 %.
    assert 0.87 <= np.mean(covered) <= 0.99


def test_one_value_has_no_interval_and_none_no_mean():
    one, none = sample([2.0, math.nan]), sample([math.nan])
    assert (one.n, one.mean.value) == (1, 2.0) and math.isnan(one.mean.low) and math.isnan(one.iqm.high)
    assert none.n == 0 and math.isnan(none.mean.value)


def test_sign_flips_by_hand():
    assert sign_flip_p([1.0, 2.0, 3.0]) == 2 / 8
    # Sums of +-1 +-2 +-3: as far from 0 as 4 are 6, 4, -4 and -6.
    assert sign_flip_p([-1.0, 2.0, 3.0]) == 4 / 8
    # Ties: +-1 +-1 are 2, 0, 0, -2.
    assert sign_flip_p([1.0, -1.0]) == 1.0
    assert sign_flip_p([0.1] * 6) == 2 / 64
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert math.isnan(sign_flip_p([]))


@given(VALUES)
def test_laws_of_the_sign_flip_test(values):
    p = sign_flip_p(values)
    assert 2 / 2 ** len(values) <= p <= 1.0
    assert p == sign_flip_p([-value for value in values]) == sign_flip_p(values[::-1])
    assert p == pytest.approx(sign_flip_p([4.0 * value for value in values]))


def test_differences_are_paired():
    # Seeds differ much, arms little: pairing sees it.
    got = difference([10.0, 20.0, 30.0, 5.0], [9.0, 19.0, 28.0, math.nan])
    assert got.n == 3 and got.mean.value == pytest.approx(4 / 3)
    assert (got.mean.low, got.mean.high) == (1.0, 2.0) and got.p == 0.25
    empty = difference([math.nan], [1.0])
    assert empty.n == 0 and math.isnan(empty.p)
    with pytest.raises(ValueError):
        difference([1.0], [1.0, 2.0])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    # A test that is yet to come counts: 3 * 0.01, not 2 * 0.01.
    got = holm([0.01, math.nan, 0.04])
    assert got[0] == pytest.approx(0.03) and math.isnan(got[1]) and got[2] == pytest.approx(0.08)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_laws_of_holm(p_values):
    corrected = holm(p_values)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert [corrected[i] for i in order] == sorted(corrected)
    assert all(q >= p for p, q in zip(p_values, corrected, strict=True))
