"""What a teacher may see of the privileged observation."""

import pytest
import torch
from rsl_rl.modules import EmpiricalNormalization

from legged_cts.distillation.divergences import reverse_kl
from legged_cts.distillation.exposure import Exposure
from legged_cts.distillation.gaussians import DiagonalGaussian

GROUPS = {"friction": 1, "payload": 2, "push": 3}


def _x(count: int = 5, width: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_full_is_the_identity():
    exposure, x = Exposure(GROUPS), _x()
    assert exposure.output_dim == 6
    assert torch.equal(exposure.apply(x, exposure.mask(5)), x)


@pytest.mark.parametrize("order", ["fixed", "bernoulli"])
def test_the_ends_of_the_ratio(order):
    """Everything and its bits, or zeros and theirs whatever x is."""
    exposure, x = Exposure(GROUPS, "ratio", order=order), _x()
    assert exposure.output_dim == 9
    assert torch.equal(exposure.apply(x, exposure.mask(5, 1.0)), torch.cat([x, torch.ones(5, 3)], -1))
    hidden = exposure.apply(x, exposure.mask(5, 0.0))
    assert torch.equal(hidden, torch.zeros(5, 9))
    assert torch.equal(hidden, exposure.apply(_x(seed=1) / 0.0, exposure.mask(5, 0.0)))


def test_fixed_hides_its_groups_whole():
    exposure, x = Exposure(GROUPS, "fixed", hidden=["payload"]), _x()
    found = exposure.apply(x, exposure.mask(5))
    assert torch.equal(found[:, [0, 3, 4, 5]], x[:, [0, 3, 4, 5]]) and not bool(found[:, 1:3].any())
    assert found[:, 6:].tolist() == [[1.0, 0.0, 1.0]] * 5


def test_groups_appear_one_by_one_in_an_order_of_the_seed():
    exposure = Exposure(GROUPS, "ratio", seed=3)
    for count in range(4):
        mask = exposure.mask(2, count / 3)
        assert {name for name, seen in zip(GROUPS, mask[0].tolist(), strict=True) if seen} == set(
            exposure.revealed[:count]
        )
        assert torch.equal(mask[0], mask[1])
    again = Exposure(dict(reversed(GROUPS.items())), "ratio", seed=3)
    assert again.revealed == exposure.revealed
    assert len({Exposure(GROUPS, "ratio", seed=seed).revealed for seed in range(30)}) == 6


def test_coins_per_group():
    exposure = Exposure(GROUPS, "ratio", order="bernoulli")
    mask = exposure.mask(20_000, 0.3).double()
    torch.testing.assert_close(mask.mean(0), torch.full((3,), 0.3, dtype=torch.float64), atol=0.02, rtol=0)
    assert (mask[:, 0] * mask[:, 1]).mean().item() == pytest.approx(0.09, abs=0.01)
    tosses = [exposure.mask(50, 0.5, draw) for draw in range(3)]
    again = Exposure(GROUPS, "ratio", order="bernoulli")
    assert all(torch.equal(again.mask(50, 0.5, draw), toss) for draw, toss in enumerate(tosses))
    tosses.append(Exposure(GROUPS, "ratio", order="bernoulli", seed=1).mask(50, 0.5))
    assert not any(torch.equal(a, b) for i, a in enumerate(tosses) for b in tosses[:i])


def test_mask_after_the_normaliser_is_the_mean():
    """A hidden feature is at its mean and not at a raw zero, which may be far from all that the network saw."""
    normalizer = EmpiricalNormalization(6)
    raw = 50.0 + _x(1000)
    normalizer.update(raw)
    exposure = Exposure(GROUPS, "ratio")
    hidden = exposure.apply(normalizer(raw), exposure.mask(1000, 0.0))[:, :6]
    assert torch.equal(hidden, torch.zeros_like(hidden))
    torch.testing.assert_close(normalizer(raw).mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    assert normalizer(torch.zeros(1, 6)).abs().min().item() > 20


def test_what_a_student_cannot_follow_grows_with_the_ratio():
    """Linear-Gaussian teachers trained under each mask, and the best student of each, by least squares."""
    generator = torch.Generator().manual_seed(0)
    groups = {f"g{i}": 1 for i in range(6)}
    exposure = Exposure(groups, "ratio", seed=1)
    x = torch.randn(2000, 6, generator=generator, dtype=torch.float64)
    seen = x @ torch.randn(6, 3, generator=generator, dtype=torch.float64)
    seen = seen + 0.5 * torch.randn(2000, 3, generator=generator, dtype=torch.float64)
    ideal = x @ torch.randn(6, 2, generator=generator, dtype=torch.float64)

    def fit(inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return inputs @ (torch.linalg.pinv(inputs) @ target)

    found = []
    for count in range(7):
        privileged = exposure.apply(x, exposure.mask(len(x), count / 6))
        teacher = fit(torch.cat([seen, privileged], -1), ideal)
        std = torch.full_like(teacher, 0.3)
        student = DiagonalGaussian(fit(seen, teacher), std)
        found.append(reverse_kl(student, DiagonalGaussian(teacher, std)).mean().item())
    assert found[0] == pytest.approx(0.0, abs=1e-3)  # bits are constant: an intercept of a zero-mean target
    assert all(after >= before - 1e-9 for before, after in zip(found, found[1:], strict=False))
    assert found[-1] > 1.0


@pytest.mark.parametrize(
    "message, call",
    [
        (r"exposure\.mode is 'some'", lambda: Exposure(GROUPS, "some")),
        (r"exposure\.order is 'random'", lambda: Exposure(GROUPS, order="random")),
        (r"exposure\.hidden names 'mass'.*friction, payload", lambda: Exposure(GROUPS, "fixed", ["mass"])),
        (r"exposure\.ratio must lie", lambda: Exposure(GROUPS, "ratio").mask(2, 1.5)),
        (r"have 6 columns, the input 5", lambda: Exposure(GROUPS).apply(torch.zeros(2, 5), torch.ones(2, 3))),
    ],
)
def test_options_are_checked(message, call):
    with pytest.raises(ValueError, match=message):
        call()
