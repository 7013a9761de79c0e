"""Two processes with different data stay equal."""

import pytest
import torch
from builders import STEPS, task
from pair import leaves, run_pair
from toy_env import DriftEnv

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.cts import CTS

VARIANTS = {
    "paper": {"student_encoder_gradient": "reconstruction"},
    "surrogate": {"student_encoder_gradient": "surrogate"},
    "per_group": {"advantage_normalization": "per_group", "reconstruction_envs": "all", "surrogate": "pooled"},
    "per_mini_batch": {"normalize_advantage_per_mini_batch": True, "advantage_normalization": "per_group"},
    "recurrent": {"student": "gru", "student_encoder_gradient": "surrogate"},
    "mixture": {"student": "moe", "latent_pull": 0.5},
    "exposure": {
        "class_name": "legged_cts.algorithms.distilled:Distillation",
        "teacher_fraction": None,
        "distillation": {
            "coef": 0.1,
            "driver": {"unit": "step", "share": 0.5},
            "exposure": {"mode": "ratio", "controller": {"hold": 1}},
        },
    },
}


def _train(rank: int, options: dict) -> dict:
    torch.manual_seed(rank)
    # With one sample per mini-batch the ranks' mini-batches often differ in which group they lack.
    cfg = runner_cfg(**task(num_mini_batches=4 * STEPS, num_learning_epochs=2, **options))
    if "distillation" in options:
        exposed = {"class_name": "legged_cts.algorithms.exposed:ExposedEncoder", "blocks": 2}
        cfg["actor"]["teacher_encoder"] |= exposed
    cfg["multi_gpu"] = {"global_rank": rank, "local_rank": rank, "world_size": 2}
    env = DriftEnv(4, seed=rank)
    alg = CTS.construct_algorithm(env.get_observations(), env, cfg, "cpu")
    alg.train_mode()
    alg.broadcast_parameters()
    result = {}
    for iteration in range(3):
        with torch.inference_mode():
            obs = env.get_observations()
            for _ in range(STEPS):
                obs, rewards, dones, extras = env.step(alg.act(obs))
                alg.process_env_step(obs, rewards, dones, extras)
            alg.compute_returns(obs)
        if rank == 1 and iteration == 1:
            alg.storage.observations["privileged"].fill_(float("inf"))  # nothing that the statistics could learn from
        if rank == 1 and iteration == 2:
            alg.storage.returns[0, 0] = float("nan")  # one rank's bad sample stops the step on both
        result = alg.update()
    own = {key: value for key, value in alg.save().items() if key != "distillation_driver"}  # of these environments
    return {**own, "skipped": result["skipped_updates"]}


def _train_all(rank: int) -> dict:
    return {name: _train(rank, options) for name, options in VARIANTS.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run_pair(_train_all, tmp_path_factory.mktemp("pair"))


@pytest.mark.parametrize("name", VARIANTS)
def test_ranks_stay_equal_bit_by_bit(trained, name):
    first, second = (one[name] for one in trained)
    assert first["skipped"] == second["skipped"] == 2  # once per epoch
    a, b = leaves(first), leaves(second)
    assert len(a) == len(b) > 50
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_statistics_are_of_all_samples_and_of_none_where_a_rank_has_no_finite_one(trained, name):
    for state in (trained[0][name]["actor_state_dict"], trained[0][name]["critic_state_dict"]):
        counts = [value.item() for key, value in state.items() if key.endswith("normalizer.count")]
        assert counts and set(counts) == {2 * 2 * 4 * STEPS}  # two iterations of three
