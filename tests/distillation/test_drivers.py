"""Who acts, and which steps count for PPO."""

import pytest
import torch

from legged_cts.distillation.drivers import NEVER, UNITS, Driver, failing_cell_shares, surrogate_mask
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
    length = 0 if unit == "suffix" else 100
    masks = _drive(Driver(50, unit, share, length), _episodes(40, 50, 10))
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


@pytest.mark.parametrize("unit, teacher_first", [("prefix", True), ("suffix", False)])
def test_hand_over_happens_at_its_step(unit, teacher_first):
    masks = _drive(Driver(3, unit, 1.0, 4), _episodes(20, 3, 10)).view(2, 10, 3)
    assert bool((masks[:, :4] == teacher_first).all()) and bool((masks[:, 4:] != teacher_first).all())


def test_part_of_the_episodes_has_a_prefix():
    masks = _drive(Driver(2000, "prefix", 0.25, 4), _episodes(10, 2000, 10))
    assert masks[0].double().mean().item() == pytest.approx(0.25, abs=0.04)
    assert torch.equal(masks[0], masks[3]) and not bool(masks[4:].any())


def test_a_running_episode_keeps_its_length():
    driver = Driver(2, "prefix", 1.0, 3)
    driver.advance(torch.tensor([False, False]))
    driver.configure("prefix", 1.0, 1)
    assert driver.advance(torch.tensor([False, True])).tolist() == [True, True]  # steps 2 of 3, and 0 of 1
    assert driver.advance(torch.tensor([False, False])).tolist() == [False, False]


def test_hand_over_times():
    """The reset, or the step at which the student last took over."""
    driver = Driver(3, "prefix", torch.tensor([1.0, 0.0, 1.0]), 2)
    found = []
    dones = [[False] * 3] * 3 + [[False, False, True]] + [[False] * 3] * 3
    for done in dones:
        found.append((driver.episode_step.tolist(), driver.handover.tolist()))
        driver.advance(torch.tensor(done))
    assert [steps for steps, _ in found] == [[0] * 3, [1] * 3, [2] * 3, [3] * 3, [4, 4, 0], [5, 5, 1], [6, 6, 2]]
    assert [handover for _, handover in found] == [
        [0, 0, 0], [0, 0, 0], [2, 0, 2], [2, 0, 2], [2, 0, 0], [2, 0, 0], [2, 0, 2],
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["step", "episode", "prefix"])
def test_state_goes_on_where_it_stopped(unit):
    dones = _episodes(60, 40, 7)
    whole = Driver(40, unit, 0.5, 3, seed=5)
    expected = _drive(whole, dones)
    first, second = Driver(40, unit, 0.5, 3, seed=5), Driver(40, unit, 0.5, 3, seed=6)
    start = _drive(first, dones[:25])
    second.load_state_dict(first.state_dict())
    assert torch.equal(torch.cat([start, _drive(second, dones[25:])]), expected)
    assert torch.equal(second.handover, whole.handover)


def test_only_the_acting_policys_steps_enter_its_surrogate():
    acts = torch.tensor([[True, False], [False, False]])
    assert surrogate_mask(acts, "student").tolist() == [[False, True], [True, True]]
    assert surrogate_mask(acts, "teacher").tolist() == [[True, False], [False, False]]
    assert bool(surrogate_mask(acts, "both").all()) and not bool(surrogate_mask(acts, "none").any())
    with pytest.raises(ValueError, match=r"learn\.rl is 'all'"):
        surrogate_mask(acts, "all")


def test_teachers_join_where_the_student_mostly_fails():
    cells = torch.tensor([0, 0, 1, 2, 3])
    successes, attempts = torch.tensor([0, 1, 0, 5]), torch.tensor([4, 4, 0, 5])
    shares = failing_cell_shares(cells, successes, attempts, 0.25, 0.1)
    assert failing_cell_shares(cells, successes, attempts, 0.25, 0.3).tolist() == [0.25, 0.25, 0.25, 0.0, 0.0]
    assert shares.tolist() == [0.25, 0.25, 0.0, 0.0, 0.0]
    masks = _drive(Driver(5, "episode", 4 * shares), _episodes(6, 5, 2))
    assert masks.tolist() == [[True, True, False, False, False]] * 6


@pytest.mark.parametrize(
    "field, options",
    [
        ("driver.unit is 'turn'", {"unit": "turn"}),
        ("driver.share must lie", {"share": 1.5}),
        ("driver.share must be one number for", {"share": torch.zeros(4)}),
        ("driver.share must be one number or", {"unit": "step", "share": torch.zeros(3)}),
        ("driver.length", {"unit": "prefix", "length": -1}),
    ],
)
def test_options_are_checked(field, options):
    with pytest.raises(ValueError, match=field.replace(".", r"\.")):
        Driver(4, **options)


def test_the_teachers_take_over_is_known_ahead_for_a_suffix_alone():
    driver = Driver(4, "suffix", 0.5, 3, seed=1)
    chosen = driver._chosen
    assert 0 < chosen.sum() < 4
    for step in range(5):
        left = driver.steps_left
        assert left[chosen].tolist() == [3 - step] * int(chosen.sum()) and bool((left[~chosen] == NEVER).all())
        assert torch.equal(driver.teacher_acts, left <= 0)
        driver.advance(torch.zeros(4, dtype=torch.bool))
    for unit in set(UNITS) - {"suffix"}:
        assert bool((Driver(4, unit, 0.5, 3 if unit == "prefix" else 0).steps_left == NEVER).all())
