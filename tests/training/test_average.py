"""The mean of a policy's weights: its value, who sees it, and that training does not."""

import pytest
import torch
from build import make_runner

from legged_cts.training.average import PolicyAverage, averaged
from legged_cts.training.checkpoint import load_checkpoint


def fed(iterations, values):
    average = PolicyAverage(iterations)
    for value in values:
        average.add({"actor_state_dict": {"w": torch.tensor([value]), "n": torch.tensor(int(value))}, "other": {}})
    return average


def test_the_first_iterations_are_not_averaged():
    saved = fed(50, [float(i) for i in range(1, 20)]).save()["averaged"]
    assert saved["actor_state_dict"]["w"].item() == 19.0 and saved["iterations"] == 19


def test_the_span_grows_to_a_tenth_of_the_training_and_then_stays():
    # 20 to 29 iterations: half the way to the newest; from 30 on a third, unless the span is limited to 2.
    values = [0.0] * 28 + [1.0, 1.0]
    assert fed(50, values).save()["averaged"]["actor_state_dict"]["w"].item() == pytest.approx(0.5 + 0.5 / 3)
    assert fed(2, values).save()["averaged"]["actor_state_dict"]["w"].item() == pytest.approx(0.5 + 0.5 / 2)


def test_counters_are_those_of_the_newest_weights():
    assert fed(50, [float(i) for i in range(40)]).save()["averaged"]["actor_state_dict"]["n"].item() == 39


def test_zero_switches_it_off():
    assert fed(0, [1.0, 2.0]).save() == {}


@pytest.mark.parametrize("value", [-1, 1.5, True, "50"])
def test_a_span_that_is_none_is_named(value):
    with pytest.raises(ValueError, match=r"runner\.average_iterations must be a number of iterations.*got"):
        PolicyAverage(value)


def test_what_is_added_later_does_not_change_a_saved_mean():
    average = PolicyAverage(50)
    weight = torch.zeros(1)
    average.add({"actor_state_dict": {"w": weight}})
    weight += 1.0
    assert average.save()["averaged"]["actor_state_dict"]["w"].item() == 0.0


def test_a_resumed_mean_goes_on():
    first = fed(50, [float(i) for i in range(35)])
    second = PolicyAverage(50)
    second.load(first.save())
    for average in (first, second):
        average.add({"actor_state_dict": {"w": torch.tensor([9.0]), "n": torch.tensor(9)}})
    a, b = (average.save()["averaged"] for average in (first, second))
    assert a["iterations"] == b["iterations"] == 36
    assert torch.equal(a["actor_state_dict"]["w"], b["actor_state_dict"]["w"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The file of a training with it, long enough that mean and newest weights differ."""
    folder = tmp_path_factory.mktemp("with")
    make_runner(folder, runner={"average_iterations": 50}).learn(22)
    return folder / "model_22.pt"


def test_training_is_the_same_with_and_without_it(trained, tmp_path):
    make_runner(tmp_path, runner={"average_iterations": 0}).learn(22)
    a, b = load_checkpoint(trained), load_checkpoint(tmp_path / "model_22.pt")
    assert "averaged" in a and "averaged" not in b
    for part in ("actor_state_dict", "student_encoder_state_dict"):
        assert a[part].keys() == b[part].keys() == a["averaged"][part].keys()
        assert all(torch.equal(a[part][name], b[part][name]) for name in a[part])
        assert any(not torch.equal(a[part][name], a["averaged"][part][name]) for name in a[part])


@pytest.mark.parametrize("span", [50, 0])
def test_the_mean_is_deployed_unless_it_is_switched_off(trained, span):
    checkpoint = load_checkpoint(trained)
    checkpoint["config"]["runner"]["average_iterations"] = span
    source = checkpoint["averaged"] if span else checkpoint
    shown = averaged(checkpoint)
    for part in ("actor_state_dict", "student_encoder_state_dict"):
        assert all(torch.equal(shown[part][name], value) for name, value in source[part].items())
    assert shown["optimizer_state_dict"] is checkpoint["optimizer_state_dict"]


def test_checkpoints_of_runs_without_it_are_deployed_as_they_are(tmp_path):
    make_runner(tmp_path, runner={"average_iterations": 0}).learn(1)
    checkpoint = load_checkpoint(tmp_path / "model_1.pt")
    assert averaged(checkpoint) == checkpoint
