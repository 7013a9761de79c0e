"""Weights of single steps."""

import pytest
import torch
from gaussian_cases import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.distillation import weights
from legged_cts.distillation.drivers import Driver
from legged_cts.distillation.gaussians import DiagonalGaussian


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gate_is_one_half_at_zero_and_falls_with_the_advantage():
    gate = weights.adv_gate(torch.linspace(-3, 3, 101, dtype=torch.float64), 0.5)
    assert gate[50].item() == pytest.approx(0.5, abs=1e-12)
    assert bool((gate[1:] < gate[:-1]).all())
    assert weights.adv_gate(torch.tensor([1.0]), 0.5).item() == pytest.approx(0.1192, abs=1e-4)  # 1 / (1 + e^2)


def test_gate_of_no_width_is_the_mask_of_failures():
    assert weights.adv_gate(torch.tensor([-0.1, 0.0, 0.1]), 0.0).tolist() == [1.0, 0.0, 0.0]


@given(st.lists(st.floats(0.01, 10.0), min_size=2, max_size=12), st.floats(0.0, 2.0))
@settings(max_examples=100, deadline=None)
def test_relative_divergence_is_sods_product(values, delta):
    d, epsilon = torch.tensor(values, dtype=torch.float64), 1e-6
    found = weights.rel_div(d, delta, reference=d[0], epsilon=epsilon)
    ratios = (d[:-1] + epsilon) / (d[1:] + epsilon)
    expected = torch.cat([torch.ones(1, dtype=torch.float64), ratios.cumprod(0)]).clamp(max=1 + delta)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found[0].item() == pytest.approx(1.0, abs=1e-12) and bool((found <= 1 + delta).all())


def test_relative_divergence_compares_with_the_batch_by_default():
    found = weights.rel_div(torch.tensor([1.0, 3.0, 8.0]), delta=0.5)
    torch.testing.assert_close(found, torch.tensor([1.5, 4 / 3, 0.5]), atol=1e-5, rtol=0)


def test_segments():
    means = weights.segment_means(torch.tensor([[1.0], [3.0], [5.0], [7.0], [100.0]]), 2)
    assert means.flatten().tolist() == [2.0, 2.0, 6.0, 6.0, 100.0]
    with pytest.raises(ValueError, match=r"rel_div\.segment"):
        weights.segment_means(torch.ones(3, 1), 0)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_top_keeps_its_share(share):
    kept = weights.top(torch.rand(101, generator=_generator()), share, 1.0, generator=_generator())
    assert kept.sum().item() == round(101 * share) and set(kept.tolist()) <= {0.0, 1.0}


def _frequencies(divergence: torch.Tensor, power: float, draws: int = 1500, **options) -> torch.Tensor:
    generator = _generator()
    kept = [weights.top(divergence, 1 / len(divergence), power, generator=generator, **options) for _ in range(draws)]
    return torch.stack(kept).mean(0)


def test_top_draws_in_proportion_to_the_power_of_the_divergence():
    """One of four samples is kept, so its probability is the weight itself; power 0 is uniform."""
    divergence = torch.tensor([0.0, 1.0, 2.0, 3.0])
    torch.testing.assert_close(_frequencies(divergence, 1.0), divergence / 6, atol=0.05, rtol=0)
    torch.testing.assert_close(_frequencies(divergence, 2.0), divergence**2 / 14, atol=0.05, rtol=0)
    torch.testing.assert_close(_frequencies(divergence, 0.0), torch.full((4,), 0.25), atol=0.05, rtol=0)


def test_top_by_entropy_needs_a_std_that_depends_on_the_state():
    """With the usual std the entropies are equal, and the same samples are kept as without them."""
    divergence = torch.rand(200, generator=_generator(), dtype=torch.float64)
    student = gaussian(200, 12, seed=0)
    shared = DiagonalGaussian(student.mean, student.std[0].expand(200, -1)).entropy()

    def kept(entropy):
        return weights.top(divergence, 0.3, 1.0, entropy, 2.0, _generator(1))

    plain = weights.top(divergence, 0.3, 1.0, generator=_generator(1))
    assert torch.equal(kept(shared), plain)
    assert torch.equal(kept(shared + 1e-9 * torch.randn(200, generator=_generator(2))), plain)  # rounding
    assert not torch.equal(kept(student.entropy()), plain)
    # one of three: scaled to 0, 1/2 and 1, squared
    frequencies = _frequencies(torch.ones(3), 0.0, entropy=torch.tensor([-3.0, -2.0, -1.0]), entropy_power=2.0)
    torch.testing.assert_close(frequencies, torch.tensor([0.0, 0.2, 0.8]), atol=0.05, rtol=0)


@pytest.mark.parametrize("soft", [False, True])
def test_clip_caps(soft):
    divergence = torch.tensor([0.5, 2.0, 2.5, 100.0])
    capped = weights.clip(divergence, 2.0, soft) * divergence
    assert capped.tolist() == pytest.approx([0.5, 2.0, 2.0, 2.0] if soft else [0.5, 2.0, 0.0, 0.0])


def test_hard_clip_has_the_gradient_of_the_minimum():
    x = torch.tensor([0.5, 1.0, 3.0], requires_grad=True)
    (expected,) = torch.autograd.grad((x**2).clamp(max=2.0).sum(), x)
    (found,) = torch.autograd.grad((weights.clip(x**2, 2.0) * x**2).sum(), x)
    assert torch.equal(found, expected)


def test_window_opens_at_resets_and_when_the_student_takes_over():
    driver = Driver(2, "prefix", torch.tensor([1.0, 0.0]), 2)
    found = []
    for step in range(7):
        found.append(weights.window(driver.episode_step, driver.handover, 2).tolist())
        driver.advance(torch.tensor([False, step == 4]))
    by_env = [list(column) for column in zip(*found, strict=True)]
    assert by_env == [[1, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1, 1]]


def test_product():
    assert weights.product() is None
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 0.5])
    assert weights.product(a, b).tolist() == [3.0, 1.0]


def test_no_weight_has_a_gradient():
    x = torch.rand(8, generator=_generator()).requires_grad_()
    found = [
        weights.adv_gate(x, 0.5),
        weights.rel_div(x),
        weights.rel_div(x, reference=x[0]),
        weights.top(x, 0.5, 1.0, x, 1.0),
        weights.clip(x, 0.5),
        weights.clip(x, 0.5, soft=True),
        weights.window(torch.arange(8), torch.zeros(8), 3),
        weights.product(x),
        weights.product(x, x),
    ]
    assert [weight.requires_grad for weight in found] == [False] * len(found)


@pytest.mark.parametrize(
    "field, call",
    [
        ("adv_gate.tau", lambda x: weights.adv_gate(x, -1.0)),
        ("rel_div.delta", lambda x: weights.rel_div(x, -1.0)),
        ("top.share", lambda x: weights.top(x, 0.0, 1.0)),
        ("clip.limit", lambda x: weights.clip(x, 0.0)),
        ("window.length", lambda x: weights.window(x, x, 0)),
    ],
)
def test_options_are_checked(field, call):
    with pytest.raises(ValueError, match=f"weights.{field}".replace(".", r"\.")):
        call(torch.ones(3))
