"""The stress driver's short form, on the tiny environment; its head says how the long one is started."""

from __future__ import annotations

from stress import kills, line_life, line_runner, memory, spikes


def test_killed_at_random_moments_and_resumed_from_any_checkpoint_nothing_is_lost(tmp_path):
    """The driver itself checks after every kill that all files load and that a resume goes on from the newest save."""
    told = kills(line_life, tmp_path / "run", 5, 5.0)
    assert told["kills"] == 5 and told["files_loaded"] >= 5 and told["iterations"] > 0


def test_spikes_leave_networks_and_checkpoints_finite_and_learning_goes_on(tmp_path):
    told = spikes(line_runner(tmp_path), 48)
    assert told["put"] == {"states": 16, "observations": 16, "actions": 16}
    assert told["checkpoints_finite"] and told["tensors_checked"] > 100
    # A point at infinity, or at 1e15, has fallen, and its world starts anew by itself.
    assert told["counted"]["obs"] >= 16 and told["counted"]["actions"] >= 12
    assert told["moved"] > 0.0 and all(told["losses"].values())


def test_memory_is_measured_while_it_trains(tmp_path):
    told = memory(line_runner(tmp_path), 0.05)
    assert told["iterations"] > 0 and told["last_mb"] > 10.0
    assert abs(told["last_mb"] - told["after_a_third_mb"]) < 50.0
