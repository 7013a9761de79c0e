"""Weights of single steps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.distillation import weights


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


def test_clip_has_the_gradient_of_the_minimum():
    x = torch.tensor([0.5, 1.0, 3.0], requires_grad=True)
    (expected,) = torch.autograd.grad((x**2).clamp(max=2.0).sum(), x)
    (found,) = torch.autograd.grad((weights.clip(x**2, 2.0) * x**2).sum(), x)
    assert torch.equal(found, expected)


def test_window_opens_where_the_student_took_over_or_began():
    assert weights.window(torch.tensor([0, 1, 0, 1, 2, 0, 1, 2]), 2).tolist() == [1, 1, 1, 1, 0, 1, 1, 0]


def test_product():
    assert weights.product() is None
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 0.5])
    assert weights.product(a, b).tolist() == [3.0, 1.0]


def test_no_weight_has_a_gradient():
    x = torch.rand(8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = [
        weights.rel_div(x),
        weights.rel_div(x, reference=x[0]),
        weights.clip(x, 0.5),
        weights.window(torch.arange(8), 3),
        weights.product(x),
        weights.product(x, x),
    ]
    assert [weight.requires_grad for weight in found] == [False] * len(found)
