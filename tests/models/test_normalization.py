"""Running statistics against rsl_rl's own."""

import pytest
import torch
from rsl_rl.modules import EmpiricalNormalization
from torch import distributed as dist

from legged_cts.models.normalization import RunningNormalization

NAMES = ("_mean", "_var", "_std", "count")


def _samples(*sizes: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(size, 3) * torch.tensor([1.0, 20.0, 0.01]) + torch.tensor([50.0, 0.0, 1.0]) for size in sizes]


@pytest.mark.parametrize("until", [None, 8])
def test_they_are_those_of_rsl_rl(until):
    ours, theirs = EmpiricalNormalization(3, until=until), EmpiricalNormalization(3, until=until)
    RunningNormalization.of(ours)
    for x in _samples(3, 7, 1, 4):
        ours.update(x)
        theirs.update(x)
    for name in NAMES:
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-7)
    assert ours.count.dtype == torch.long
    ours.eval().update(x)
    assert ours.count == theirs.count


def test_several_processes_have_the_statistics_of_all_samples(monkeypatch):
    one, other = _samples(5, 9)
    own = []

    def all_reduce(sums):
        own.append(sums.clone())
        if len(own) == 2:
            sums += own[0]

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    first, second, alone = (RunningNormalization(3) for _ in range(3))
    first.update(one)
    second.update(other)
    monkeypatch.undo()
    alone.update(torch.cat((one, other)))
    for name in NAMES:
        torch.testing.assert_close(getattr(second, name), getattr(alone, name), rtol=1e-5, atol=1e-7)


def test_what_does_not_normalise_is_left_alone():
    identity = torch.nn.Identity()
    RunningNormalization.of(identity)
    assert type(identity) is torch.nn.Identity
