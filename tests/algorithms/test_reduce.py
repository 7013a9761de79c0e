"""Joint sums, moments and shares, by hand and against one process that has all values."""

import pytest
import torch
from pair import run_pair

from legged_cts.algorithms.losses import normalize_advantages
from legged_cts.algorithms.reduce import all_agree, joint_moments, joint_shares, joint_sum, processes

PARTS = (torch.tensor([1.0, 5.0, 1000.0]), torch.tensor([2.0, -7.0, 3.0, 0.5, 0.25]))
ROLES = (torch.tensor([True, False, False]), torch.tensor([True, True, False, True, True]))


def _reduce(rank: int) -> dict:
    own = PARTS[rank]
    counts = ((6, 2, 0), (2, 2, 0))[rank]
    kept = own.clone()
    total = joint_sum(own[:3])
    return {
        "processes": processes(),
        "sum": total,
        "unchanged": torch.equal(own, kept),
        "moments": joint_moments(own),
        "one_sided": joint_moments(own if rank else own[:0]),
        "alone": joint_moments(own[: 1 - rank]),
        "shares": joint_shares(counts, "cpu"),
        "agree": [all_agree(True, "cpu"), all_agree(rank == 0, "cpu"), all_agree(False, "cpu")],
        "normalized": normalize_advantages(own),
        "per_group": normalize_advantages(own, ROLES[rank]),
        # A group of which one rank has nothing, and one of a single sample.
        "sparse": normalize_advantages(own, torch.zeros(len(own), dtype=torch.bool) if rank else own > 900.0),
    }


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    return run_pair(_reduce, tmp_path_factory.mktemp("pair"))


def test_sums_and_agreement(reduced):
    for one in reduced:
        assert one["processes"] == 2 and one["unchanged"]
        assert one["sum"].tolist() == [3.0, -2.0, 1003.0]
        assert one["agree"] == [True, False, False]


def test_shares_turn_means_into_parts_of_the_joint_mean(reduced):
    # 6 of 8, 2 of 4 and 0 of 0 samples, times two processes; and the rest on the other rank.
    assert reduced[0]["shares"].tolist() == [1.5, 1.0, 0.0]
    assert reduced[1]["shares"].tolist() == [0.5, 1.0, 0.0]


def test_moments_are_those_of_all_values(reduced):
    joined = torch.cat(PARTS)
    for one in reduced:
        count, mean, std = one["moments"]
        assert count == 8
        torch.testing.assert_close(mean, joined.mean())
        torch.testing.assert_close(std, joined.std())
        count, mean, std = one["one_sided"]
        assert (count, mean.item()) == (5, pytest.approx(PARTS[1].mean().item()))
        torch.testing.assert_close(std, PARTS[1].std())
        count, mean, std = one["alone"]
        assert count == 1 and mean == 1.0 and std.isnan()
    assert torch.equal(reduced[0]["moments"][1], reduced[1]["moments"][1])


def test_advantages_are_normalised_as_if_joined(reduced):
    joined, roles = torch.cat(PARTS), torch.cat(ROLES)
    sparse = torch.cat([PARTS[0] > 900.0, torch.zeros(5, dtype=torch.bool)])
    for key, mask in (("normalized", None), ("per_group", roles), ("sparse", sparse)):
        expected = normalize_advantages(joined, mask)
        torch.testing.assert_close(torch.cat([one[key] for one in reduced]), expected)
    assert reduced[0]["sparse"][2] == 0.0


def test_alone_nothing_is_reduced():
    values = PARTS[0]
    count, mean, std = joint_moments(values)
    assert processes() == 1 and joint_sum(values) is values and all_agree(True, "cpu") and not all_agree(False, "cpu")
    assert count == 3 and torch.equal(mean, values.mean()) and torch.equal(std, values.std())
    assert joint_shares((3, 0), "cpu").tolist() == [1.0, 1.0]
    assert joint_moments(values[:0])[0] == 0 and normalize_advantages(values[:0]).shape == (0,)
