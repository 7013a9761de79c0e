"""Who acts."""

import pytest
import torch

from legged_cts.distillation.drivers import UNITS, Driver
from legged_cts.roles import teacher_mask


def _drive(driver: Driver, dones: torch.Tensor) -> torch.Tensor:
    """Masks [T, N] of steps of which ``dones`` [T, N] are the last of an episode."""
    masks = []
    for done in dones:
        masks.append(driver.teacher_acts)
        driver.advance(done)
    return torch.stack(masks)


def _episodes(steps: int, envs: int, length: int) -> torch.Tensor:
    return ((torch.arange(steps) + 1) % length == 0).unsqueeze(-1).expand(steps, envs)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_are_exact(unit, share):
    masks = _drive(Driver(50, unit, share), _episodes(40, 50, 10))
    assert masks.float().mean().item() == share


def test_environments_are_those_of_cts_for_good():
    masks = _drive(Driver(37, "env", 0.75), _episodes(30, 37, 7))
    assert torch.equal(masks, teacher_mask(37, 0.75).expand(30, -1))


def test_coins_per_step_are_independent():
    """Binomial over steps, without correlation from one step to the next."""
    masks = _drive(Driver(1000, "step", 0.3), _episodes(100, 1000, 1000)).double()
    count = masks.numel()
    assert masks.mean().item() == pytest.approx(0.3, abs=4 * (0.3 * 0.7 / count) ** 0.5)
    repeated = (masks[1:] * masks[:-1]).mean().item()
    assert repeated == pytest.approx(0.09, abs=4 * (0.09 * 0.91 / count) ** 0.5)
    assert masks.sum(0).var().item() == pytest.approx(100 * 0.3 * 0.7, rel=0.2)


def test_coins_per_episode_hold_for_the_episode():
    masks = _drive(Driver(2000, "episode", 0.3), _episodes(30, 2000, 10)).view(3, 10, 2000)
    assert torch.equal(masks.any(1), masks.all(1))
    drawn = masks[:, 0].double()
    assert drawn.mean().item() == pytest.approx(0.3, abs=0.03)
    assert (drawn[0] * drawn[1]).mean().item() == pytest.approx(0.09, abs=0.03)


@pytest.mark.parametrize("unit", ["step", "episode"])
def test_state_goes_on_where_it_stopped(unit):
    dones = _episodes(60, 40, 7)
    whole = Driver(40, unit, 0.5, seed=5)
    expected = _drive(whole, dones)
    first, second = Driver(40, unit, 0.5, seed=5), Driver(40, unit, 0.5, seed=6)
    start = _drive(first, dones[:25])
    second.load_state_dict(first.state_dict())
    assert torch.equal(torch.cat([start, _drive(second, dones[25:])]), expected)
    assert torch.equal(second.handover, whole.handover)


def test_hand_over_times():
    """The reset, or the step at which the student last took over."""
    driver = Driver(200, "step", 0.5)
    acted, steps, handover = [], [], []
    for step in range(12):
        acted.append(driver.teacher_acts)
        steps.append(driver.episode_step)
        handover.append(driver.handover)
        driver.advance(torch.full((200,), step == 6))
    for env in range(200):
        last = 0
        for step in range(12):
            if step == 7:
                last = 0
            elif step and acted[step - 1][env] and not acted[step][env]:
                last = steps[step][env].item()
            assert handover[step][env] == last
    assert [int(step[0]) for step in steps] == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4]


def test_a_change_counts_from_the_coming_step_on_and_no_change_throws_no_coin():
    driver, other = Driver(100, "step", 0.5), Driver(100, "step", 0.5)
    driver.configure("step", 0.5)
    assert torch.equal(driver.teacher_acts, other.teacher_acts)
    driver.configure("env", 1.0)
    assert driver.teacher_acts.all() and driver.teachers.all()
    driver.configure("step", 0.0)
    assert not driver.teacher_acts.any() and not driver.teachers.any()


def test_a_state_of_other_environments_is_left_out():
    driver = Driver(10, "step", 0.5)
    before = driver.teacher_acts
    driver.load_state_dict(Driver(20, "step", 1.0).state_dict())
    assert torch.equal(driver.teacher_acts, before)
