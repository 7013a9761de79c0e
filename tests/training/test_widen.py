"""Networks that start from a checkpoint whose teacher and critic saw fewer observation groups."""

from functools import partial

import pytest
import torch
from build import make_runner
from line_env import LineEnv
from rsl_rl.modules import EmpiricalNormalization
from tensordict import TensorDict

from legged_cts.models.encoders import LatentEncoder
from legged_cts.models.mixture import MixtureEncoder
from legged_cts.training.checkpoint import CheckpointError
from legged_cts.training.widen import SAMPLES_KEPT, let_statistics_follow, widen_inputs, with_fitting_student

PARTS = {"actor": True, "critic": True}
SETS = {"critic": ["privileged", "scan"], "teacher": ["privileged", "scan"]}


class ScanEnv(LineEnv):
    """The line with three more numbers that teachers may see."""

    def get_observations(self) -> TensorDict:
        """Those of the line, and ``scan`` [N, 3]."""
        groups = super().get_observations()
        groups["scan"] = torch.randn(self.num_envs, 3)
        return groups


def critic(width, groups):
    return {
        "config": {"runner": {"obs_groups": {"critic": groups}}},
        "critic_state_dict": {
            "obs_normalizer._mean": torch.full((1, width - 1), 7.0),
            "mlp.0.weight": torch.arange(1.0, 1.0 + width)[None],
            "mlp.2.weight": torch.ones(4, 4),
        },
    }


def now(width):
    return {
        "critic_state_dict": {
            "obs_normalizer._mean": torch.zeros(1, width - 1),
            "mlp.0.weight": torch.full((1, width), 9.0),
            "mlp.2.weight": torch.zeros(4, 4),
        }
    }


def test_columns_go_where_their_groups_are_and_the_latent_stays_at_the_end():
    # a: 2, b: 1, latent: 1; the new group of 3 comes between them.
    groups = {"critic": ["a", "scan", "b"]}
    widened, new = widen_inputs(critic(4, ["a", "b"]), now(7), groups, {"a": 2, "scan": 3, "b": 1})
    state = widened["critic_state_dict"]
    assert new == ["scan"]
    assert state["mlp.0.weight"].tolist() == [[1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 4.0]]
    assert state["obs_normalizer._mean"].tolist() == [[7.0, 7.0, 0.0, 0.0, 0.0, 7.0]]
    assert torch.equal(state["mlp.2.weight"], torch.ones(4, 4))


@pytest.mark.parametrize(
    ("before", "after", "widths"),
    [
        (["a", "b"], ["a", "scan"], {"a": 2, "b": 1, "scan": 4}),  # one group went, another came
        (["a", "b"], ["a", "b"], {"a": 5, "b": 1}),  # a group grew
        (["a", "b"], ["a", "b", "scan"], {"a": 3, "b": 1, "scan": 2}),  # a group grew and another came
    ],
)
def test_what_cannot_be_widened_is_left_as_it_is(before, after, widths):
    content = critic(4, before)
    widened, new = widen_inputs(content, now(7), {"critic": after}, widths)
    assert new == []
    assert widened["critic_state_dict"]["mlp.0.weight"] is content["critic_state_dict"]["mlp.0.weight"]


def test_a_checkpoint_without_a_configuration_is_left_as_it_is():
    content = critic(4, ["a"]) | {"config": None}
    assert widen_inputs(content, now(7), {"critic": ["a", "scan"]}, {"a": 3, "scan": 3})[1] == []


@pytest.mark.parametrize("algorithm", ["cts", "ppo"])
def test_at_first_the_networks_compute_what_they_did(tmp_path, capsys, algorithm):
    flat = make_runner(tmp_path / "flat", algorithm=algorithm)
    flat.learn(4)
    groups = SETS if algorithm == "cts" else {"critic": SETS["critic"]}
    sets = {"obs_groups": {**_sets(algorithm), **groups}}
    rough = make_runner(tmp_path / "rough", seed=1, env=ScanEnv, algorithm=algorithm, runner=sets)
    rough.load(str(tmp_path / "flat" / "model_4.pt"), PARTS)
    assert "did not see scan" in capsys.readouterr().out
    obs = rough.env.get_observations()
    for runner in (flat, rough):
        runner.alg.eval_mode()
    with torch.inference_mode():
        if algorithm == "cts":
            latents = [r.alg.actor.teacher_encoder(r.alg.actor.teacher_input(obs)) for r in (flat, rough)]
            torch.testing.assert_close(*latents)
            obs["latent"] = latents[0]
        torch.testing.assert_close(flat.alg.critic(obs), rough.alg.critic(obs))
    assert flat.alg.critic.obs_dim + 3 == rough.alg.critic.obs_dim
    rough.learn(2)
    first = rough.alg.save()["critic_state_dict"]["mlp.0.weight"]
    assert first[:, 2:5].abs().min() > 0.0  # what is new is learned


def test_a_run_that_is_resumed_keeps_its_observations(tmp_path):
    make_runner(tmp_path).learn(2)
    rough = make_runner(None, env=ScanEnv, runner={"obs_groups": {**_sets("cts"), **SETS}})
    with pytest.raises(CheckpointError, match=r"env\.observations must be as in its training"):
        rough.load(str(tmp_path / "model_2.pt"))


@pytest.mark.parametrize(
    "student",
    [
        {"class_name": "legged_cts.models.recurrent:RecurrentEncoder", "cell": "gru", "hidden_size": 8, "layers": 1},
        {"class_name": "legged_cts.models.encoders:LatentEncoder", "hidden_dims": [12]},
    ],
)
def test_another_student_begins_anew_and_learns_from_the_teachers(tmp_path, capsys, student):
    before = make_runner(tmp_path / "before")
    before.learn(2)
    after = make_runner(tmp_path / "after", seed=1, student={"hidden_dims": [], **student})
    fresh = {name: value.clone() for name, value in after.alg.save()["student_encoder_state_dict"].items()}
    after.load(str(tmp_path / "before" / "model_2.pt"), PARTS)
    assert "its student encoder is another" in capsys.readouterr().out
    saved, now = before.alg.save(), after.alg.save()
    assert all(torch.equal(value, now["actor_state_dict"][name]) for name, value in saved["actor_state_dict"].items())
    assert all(torch.equal(value, fresh[name]) for name, value in now["student_encoder_state_dict"].items())
    after.learn(2)
    learned = after.alg.save()["student_encoder_state_dict"]
    assert any(not torch.equal(value, fresh[name]) for name, value in learned.items())


@pytest.mark.parametrize("encoder", [LatentEncoder, partial(MixtureEncoder, experts=2)])
def test_a_student_that_looks_further_back_computes_what_it_did(encoder):
    short, long = encoder((3, 4), 5, hidden_dims=[6]), encoder((5, 4), 5, hidden_dims=[6])
    part = "student_encoder_state_dict"
    content = {part: short.state_dict(), "env_info": {"history_length": 3}}
    fitting, told = with_fitting_student(content, {part: long.state_dict()})
    assert "looks further back" in told
    long.load_state_dict(fitting[part])
    histories = torch.randn(7, 5, 4)
    torch.testing.assert_close(long(histories), short(histories[:, 2:]))  # the newest frames stand last


@pytest.mark.parametrize(("shape", "frames"), [((2, 4), 3), ((5, 3), 3), ((5, 4), 5), ((5, 4), None)])
def test_a_student_of_other_frames_begins_anew(shape, frames):
    part = "student_encoder_state_dict"
    content = {part: LatentEncoder((3, 4), 5, hidden_dims=[6]).state_dict(), "env_info": {"history_length": frames}}
    new = LatentEncoder(shape, 5, hidden_dims=[6]).state_dict()
    fitting, told = with_fitting_student(content, {part: new})
    assert "begins anew" in told and fitting[part] is new


def test_a_student_that_fits_is_taken_over_silently(tmp_path, capsys):
    make_runner(tmp_path / "before").learn(2)
    after = make_runner(tmp_path / "after", seed=1)
    after.load(str(tmp_path / "before" / "model_2.pt"), PARTS)
    assert "student encoder" not in capsys.readouterr().out


def _sets(algorithm):
    sets = {"actor": ["proprioception"], "critic": ["privileged"]}
    if algorithm == "cts":
        sets |= {"teacher": ["privileged"], "student": ["history"]}
    return sets


def test_statistics_of_a_checkpoint_follow_a_new_training():
    normalizer = EmpiricalNormalization(2)
    normalizer.update(torch.randn(1000, 2))
    normalizer.count.fill_(11_000_000)
    state = {f"obs_normalizer.{name}": value for name, value in normalizer.state_dict().items()}
    content = {"critic_state_dict": state | {"mlp.0.weight": torch.ones(2)}, "iter": 7}
    followed = let_statistics_follow(content)
    assert int(followed["critic_state_dict"]["obs_normalizer.count"]) == SAMPLES_KEPT
    assert int(state["obs_normalizer.count"]) == 11_000_000, "the checkpoint itself stays as it was"
    assert followed["iter"] == 7 and torch.equal(followed["critic_state_dict"]["mlp.0.weight"], torch.ones(2))
    # Of a tenth of the spread, as many samples again halve the variance that is too large.
    normalizer.load_state_dict({k.removeprefix("obs_normalizer."): v for k, v in followed["critic_state_dict"].items()
                                if "normalizer" in k})  # fmt: skip
    for _ in range(SAMPLES_KEPT // 2**16):
        normalizer.update(0.1 * torch.randn(2**16, 2))
    assert 0.69 < float(normalizer.std.mean()) < 0.73


def test_counts_below_that_stay():
    content = {"actor_state_dict": {"teacher_encoder.normalizer.count": torch.tensor(5)}}
    assert int(let_statistics_follow(content)["actor_state_dict"]["teacher_encoder.normalizer.count"]) == 5
