"""Tied parameters and the statistics of a normaliser that knows the mirror, by hand-computed values."""

import copy

import numpy as np
import pytest
import torch
from rsl_rl.modules import MLP, EmpiricalNormalization
from torch import nn

from legged_cts.models.mirrored import (
    ExactSymmetry,
    MirroredNormalization,
    Tie,
    halves,
    linear_ties,
    mlp_ties,
    recurrent_ties,
    unsigned,
)
from legged_cts.robots.symmetry import Mirror, joined, signs

X = Mirror(np.array([1, 0, 2]), np.array([-1.0, -1.0, -1.0]))
"""Of an input whose first two entries change places and signs, and whose third changes its sign."""


def image(mirror: Mirror, x: torch.Tensor) -> torch.Tensor:
    return x.detach()[..., torch.tensor(list(mirror.index), dtype=torch.long)] * torch.tensor(list(mirror.sign)).float()


def test_halves_change_places_and_an_odd_unit_stays():
    assert halves(4).index.tolist() == [2, 3, 0, 1]
    assert halves(5).index.tolist() == [2, 3, 0, 1, 4]
    assert halves(1).index.tolist() == [0] and halves(0).index.tolist() == []


def test_the_first_of_a_pair_of_weights_is_kept():
    layer = nn.Linear(3, 2)
    layer.weight.data = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    layer.bias.data = torch.tensor([7.0, 8.0])
    ExactSymmetry(linear_ties(layer, X, halves(2)))
    assert layer.weight.tolist() == [[1.0, 2.0, 3.0], [-2.0, -1.0, -3.0]]
    assert layer.bias.tolist() == [7.0, 7.0]


def test_a_weight_that_is_its_own_image_with_the_other_sign_is_zero():
    layer = nn.Linear(3, 1)
    ExactSymmetry(linear_ties(layer, X, signs(1.0)))
    first, second, third = layer.weight.flatten().tolist()
    assert third == 0.0 and first == -second != 0.0 and layer.bias.item() != 0.0
    odd = nn.Linear(3, 1)
    ExactSymmetry(linear_ties(odd, X, signs(-1.0)))
    assert odd.bias.item() == 0.0 and odd.weight[0, 0] == odd.weight[0, 1]


def test_a_gradient_is_that_of_the_tied_weights():
    layer = nn.Linear(3, 2)
    ExactSymmetry(linear_ties(layer, X, halves(2)))
    layer(torch.tensor([[1.0, 2.0, 3.0]]))[0, 0].backward()
    # Without ties [[1, 2, 3], [0, 0, 0]] and [1, 0].
    assert layer.weight.grad.tolist() == [[0.5, 1.0, 1.5], [-1.0, -0.5, -1.5]]
    assert layer.bias.grad.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("widths", [(8, 6), (7, 5), (3,)])
def test_an_mlp_commutes_whatever_it_learns(widths):
    torch.manual_seed(0)
    y = joined([signs(-1.0), halves(2)])
    mlp = MLP(3, 3, list(widths), "elu")
    symmetry = ExactSymmetry(mlp_ties(mlp, X, y))
    optimizer = torch.optim.Adam(mlp.parameters(), lr=0.05)
    x, wanted = torch.randn(32, 3), torch.randn(32, 3)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = (mlp(x) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0] and symmetry.holds()
    torch.testing.assert_close(mlp(image(X, x)), image(y, mlp(x)))
    assert not torch.allclose(mlp(image(X, x)), mlp(x))


def test_frames_are_mirrored_one_by_one():
    mlp = MLP(12, 2, [6], "tanh")
    ExactSymmetry(mlp_ties(mlp, X, halves(2)))
    frames = torch.randn(5, 4, 3)
    torch.testing.assert_close(mlp(image(X, frames).flatten(1)), image(halves(2), mlp(frames.flatten(1))))


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("size", [6, 5])
def test_the_states_of_recurrent_layers_come_in_halves(cell, size):
    rnn = cell(3, size, 2)
    ExactSymmetry(recurrent_ties(rnn, X))
    frames, state = torch.randn(4, 7, 3), torch.randn(2, 7, size)
    swap = halves(size)
    start = (state, state + 1.0) if cell is nn.LSTM else state
    mirrored = (image(swap, state), image(swap, state + 1.0)) if cell is nn.LSTM else image(swap, state)
    (own, last), (other, mirrored_last) = rnn(frames, start), rnn(image(X, frames), mirrored)
    torch.testing.assert_close(other, image(swap, own))
    for a, b in zip(last, mirrored_last, strict=True):
        torch.testing.assert_close(b, image(swap, a))


def test_statistics_are_those_of_samples_and_images():
    torch.manual_seed(0)
    ours, both = EmpiricalNormalization(3), EmpiricalNormalization(3)
    MirroredNormalization.mirroring(ours, X)
    for size in (3, 5, 2):
        x = torch.randn(size, 3) * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([5.0, 0.0, 1.0])
        ours.update(x)
        both.update(torch.cat([x, image(X, x)]))
    for name in ("_mean", "_var", "_std"):
        torch.testing.assert_close(getattr(ours, name), getattr(both, name))
    assert ours.count == 10 and torch.equal(ours.mean[:2], -ours.mean[[1, 0]]) and ours.mean[2] == 0.0
    assert set(ours.state_dict()) == set(EmpiricalNormalization(3).state_dict())  # the mirror is the robot's
    assert torch.equal(copy.deepcopy(ours)(x), ours(x)) and torch.equal(torch.jit.script(ours)(x), ours(x))


def test_statistics_stay_while_nothing_trains():
    ours = EmpiricalNormalization(3)
    MirroredNormalization.mirroring(ours, X)
    ours.update(torch.randn(4, 3))
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    ours.eval().update(torch.randn(4, 3))
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


def test_what_rounding_did_is_taken_back():
    layer = nn.Linear(4, 4)
    symmetry = ExactSymmetry(linear_ties(layer, halves(4), halves(4)))
    layer.weight.data[0, 0] += 1e-6
    assert symmetry.holds() and not torch.equal(layer.weight[0, 0], layer.weight[2, 2])
    symmetry.settle()
    assert torch.equal(layer.weight[:2, :2], layer.weight[2:, 2:])
    layer.weight.data[0, 0] += 0.1
    assert not symmetry.holds()


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"the shape \[2, 3\] has no mirror of the sizes \[2, 4\]"):
        Tie(nn.Linear(3, 2).weight, halves(2), halves(4))


def test_standard_deviations_change_places_alone():
    assert unsigned(X).index.tolist() == [1, 0, 2] and unsigned(X).sign.tolist() == [1.0, 1.0, 1.0]
