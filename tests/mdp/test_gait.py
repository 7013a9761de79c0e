"""The clock: how it advances, starts anew, and divides the cycle between stance and swing."""

import math

import pytest
import torch

from legged_cts.mdp.gait import RAMP, GaitClock
from legged_cts.robots.gait import Gait


def clock(num_envs=4, duty=0.6, offsets=(0.0, 0.5), dt=0.02, still=0.0, linger=0.0):
    gait = Gait(2.0, offsets, duty, foot_height=0.08, still=still, linger=linger)
    return GaitClock(gait, num_envs, dt, "cpu")


def test_it_advances_by_frequency_times_step_and_wraps():
    subject = clock()
    subject.phase = torch.tensor([0.0, 0.5, 0.95, 0.97])
    subject.advance(torch.zeros(len(subject.phase), 3))
    torch.testing.assert_close(subject.phase, torch.tensor([0.04, 0.54, 0.99, 0.01]))
    for _ in range(25):
        subject.advance(torch.zeros(len(subject.phase), 3))  # one cycle of 0.5 s
    torch.testing.assert_close(subject.phase, torch.tensor([0.04, 0.54, 0.99, 0.01]), atol=1e-5, rtol=0.0)


def test_a_reset_draws_phases_for_these_environments_alone():
    torch.manual_seed(0)
    subject = clock(2000)
    before = subject.phase.clone()
    subject.reset(torch.arange(1000))
    assert torch.equal(subject.phase[1000:], before[1000:])
    assert not torch.equal(subject.phase[:1000], before[:1000])
    for phase in (subject.phase[:1000], before):
        assert 0.0 <= phase.min() < 0.01 and 0.99 < phase.max() < 1.0 and abs(phase.mean() - 0.5) < 0.05
    subject.reset(slice(None))
    assert not torch.equal(subject.phase[1000:], before[1000:])


def test_the_policy_sees_sine_and_cosine():
    subject = clock(3)
    subject.phase = torch.tensor([0.0, 0.25, 0.125])
    root = math.sqrt(0.5)
    expected = torch.tensor([[0.0, 1.0], [1.0, 0.0], [root, root]])
    torch.testing.assert_close(subject.signal(torch.zeros(3, 3)), expected, atol=1e-6, rtol=0)


def test_below_its_command_the_clock_rests():
    subject = clock(3, still=0.1)
    subject.phase = torch.tensor([0.25, 0.25, 0.25])
    command = torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.06, -0.07], [0.0, 0.0, 0.0]])
    assert subject.rests(command).flatten().tolist() == [False, True, True]
    expected = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(subject.signal(command), expected, atol=1e-6, rtol=0)


def test_it_goes_on_for_the_last_steps():
    subject, stop, go = clock(2, still=0.1, linger=0.06), torch.zeros(2, 3), torch.full((2, 3), 0.5)
    assert subject.rests(stop).all()  # an episode begins
    subject.advance(go)
    rests = []
    for _ in range(5):
        rests.append(bool(subject.rests(stop).any()))
        subject.advance(stop)
    assert rests == [False, False, False, True, True] and not subject.rests(go).any()
    subject.advance(go)
    subject.reset(torch.tensor([1]))
    assert subject.rests(stop).flatten().tolist() == [False, True]


@pytest.mark.parametrize("duty", [0.3, 0.5, 0.75])
def test_each_foot_stands_for_the_duty(duty):
    count = 10000
    subject = clock(count, duty=duty, offsets=(0.0, 0.5, 0.2))
    subject.phase = torch.arange(count) / count
    stance = subject.stance
    torch.testing.assert_close(stance.mean(dim=0), torch.full((3,), duty), atol=1e-3, rtol=0.0)
    # In full stance and in full swing half a ramp away from the change.
    at = subject.phase
    inside = (at > RAMP / 2 + 1e-3) & (at < duty - RAMP / 2 - 1e-3)
    outside = (at > duty + RAMP / 2 + 1e-3) & (at < 1.0 - RAMP / 2 - 1e-3)
    assert (stance[inside, 0] == 1.0).all() and (stance[outside, 0] == 0.0).all()
    # The second foot is half a cycle ahead.
    torch.testing.assert_close(stance[:, 1], stance[:, 0].roll(-count // 2), atol=1e-3, rtol=0.0)


def test_the_swing_is_a_hump_of_the_foots_height():
    subject = clock(5, duty=0.6, offsets=(0.0,))
    subject.phase = torch.tensor([0.3, 0.6, 0.7, 0.8, 0.999999])
    expected = torch.tensor([0.0, 0.0, 0.04, 0.08, 0.0])[:, None]
    torch.testing.assert_close(subject.swing_height, expected, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequency": 0.0}, "gait.frequency must be above 0"),
        ({"frequency": "fast"}, "gait.frequency must be a finite number"),
        ({"duty": 0.0}, "gait.duty must lie between 0 and 1"),
        ({"duty": 1.0}, "gait.duty must lie between 0 and 1"),
        ({"foot_height": -0.1}, "gait.foot_height must be above 0"),
        ({"still": -0.1}, "gait.still must not be below 0"),
        ({"offsets": ()}, "gait.offsets must be a list"),
        ({"offsets": 0.5}, "gait.offsets must be a list"),
        ({"offsets": (0.0, "b")}, r"gait.offsets\[1\] must be a finite number"),
    ],
)
def test_wrong_gaits_are_named(change, message):
    fields = {"frequency": 2.0, "offsets": (0.0, 0.5), "duty": 0.5, "foot_height": 0.1}
    with pytest.raises(ValueError, match=message):
        Gait(**(fields | change))
