"""Two processes learn what one learns from their samples together.

Not bit by bit: a sum over the joined batch and a sum of two sums round differently. In double precision, in which
everything here is computed, the difference is far below the tolerance of 1e-6.
"""

import pytest
import torch
from builders import STEPS, task
from pair import leaves, run_pair
from tensordict import TensorDict
from toy_env import DRIFT_DIM, DriftEnv

from legged_cts.algorithms import cts
from legged_cts.algorithms.config import runner_cfg
from legged_cts.distillation import drivers
from legged_cts.roles import teacher_mask

N = 4
ITERATIONS = 2
# Different numbers of teachers, so that every mean over a role is one over unequal numbers.
MASKS = (teacher_mask(N, 0.75), teacher_mask(N, 0.5))
DISTILLED = {"class_name": "legged_cts.algorithms.distilled:Distillation", "teacher_fraction": None}
AXES = {"coef": 0.5, "driver": 0.5}
VARIANTS = {
    "default": {},
    "pooled, per group": {"surrogate": "pooled", "advantage_normalization": "per_group"},
    "per mini-batch": {"normalize_advantage_per_mini_batch": True},
    "per mini-batch and group": {"normalize_advantage_per_mini_batch": True, "advantage_normalization": "per_group"},
    "surrogate gradient": {"student_encoder_gradient": "surrogate", "kl_samples": "student"},
    "reconstruction on all": {"reconstruction_envs": "all", "kl_samples": "teacher"},
    "recurrent, pulled": {"student": "gru", "latent_pull": 0.5},
    "recurrent, surrogate gradient": {"student": "gru", "student_encoder_gradient": "surrogate"},
    "actions in the student's states": {
        **DISTILLED,
        "distillation_states": "student",
        "distillation": {**AXES, "learn": {"gradient": "both"}},
    },
    "weighted return": {**DISTILLED, "distillation": {**AXES, "place": "return", "weights": {"rel_div": {}}}},
    "importance": {**DISTILLED, "distillation": {**AXES, "divergence": "mse", "learn": {"importance": True}}},
    "the teacher alone learns": {**DISTILLED, "distillation": {**AXES, "learn": {"rl": "teacher"}}},
    "estimate": {**DISTILLED, "distillation": {**AXES, "match": "privileged"}},
}


class Joined(DriftEnv):
    """The environments of both processes, one after the other."""

    def __init__(self) -> None:
        super().__init__(2 * N)
        self.parts = [DriftEnv(N, seed=rank) for rank in (0, 1)]

    def get_observations(self) -> TensorDict:
        return torch.cat([part.get_observations() for part in self.parts])  # type: ignore[return-value]

    def step(self, actions):
        steps = [part.step(one) for part, one in zip(self.parts, actions.split(N), strict=True)]
        rewards, dones = (torch.cat([step[i] for step in steps]) for i in (1, 2))
        return (
            self.get_observations(),
            rewards,
            dones,
            {"time_outs": torch.cat([step[3]["time_outs"] for step in steps])},
        )


def _train(rank: int | None, options: dict, initial: dict) -> dict:
    """Train as one of two processes, or, with rank None, as one on all samples."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    noise = torch.randn(ITERATIONS * STEPS, 2 * N, DRIFT_DIM)
    rows = slice(0, 2 * N) if rank is None else slice(N * rank, N * rank + N)
    roles = torch.cat(MASKS) if rank is None else MASKS[rank]
    env = Joined() if rank is None else DriftEnv(N, seed=rank)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drivers, "teacher_mask", lambda *_: roles)
        # One mini-batch, because those of several cannot be the same samples; plain descent, because Adam's first steps
        # are signs, which hide a wrong length.
        cfg = runner_cfg(
            **task(
                num_mini_batches=1,
                num_learning_epochs=3,
                reconstruction_mini_batches=1,
                reconstruction_epochs=2,
                optimizer="sgd",
                learning_rate=0.01,
                max_grad_norm=0.5,
                **options,
            )  # fmt: skip
        )
        cfg["multi_gpu"] = None if rank is None else {"global_rank": rank, "local_rank": rank, "world_size": 2}
        alg = cts.CTS.construct_algorithm(env.get_observations(), env, cfg, "cpu")
        alg.train_mode()
        alg.load(initial, {"actor": True, "critic": True}, True)
        table = iter(noise[:, rows])

        def sample(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
            return mean + std * next(table) if torch.is_inference_mode_enabled() else mean

        patch.setattr(torch, "normal", sample)
        rates = []
        for _ in range(ITERATIONS):
            with torch.inference_mode():
                obs = env.get_observations()
                for _ in range(STEPS):
                    obs, rewards, dones, extras = env.step(alg.act(obs))
                    alg.process_env_step(obs, rewards, dones, extras)
                alg.compute_returns(obs)
            alg.update()
            rates.append(alg.learning_rate)
    torch.set_default_dtype(torch.float32)
    modules = (alg.actor, alg.critic, alg.student_policy().encoder)
    gradients = {f"{i}.{k}": v.grad for i, module in enumerate(modules) for k, v in module.named_parameters()}
    state = {key: value for key, value in alg.save().items() if key != "distillation_driver"}  # of other environments
    return {"state": state, "gradients": gradients, "rates": rates}


def _train_all(rank: int, initial: dict) -> dict:
    return {name: _train(rank, options, initial[name]) for name, options in VARIANTS.items()}


def _initial(options: dict) -> dict:
    """Return a state to start from, in double precision."""
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(3)
        env = DriftEnv(N)
        cfg = runner_cfg(**task(**options))
        return cts.CTS.construct_algorithm(env.get_observations(), env, cfg, "cpu").save()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    initial = {name: _initial(options) for name, options in VARIANTS.items()}
    pair = run_pair(_train_all, tmp_path_factory.mktemp("pair"), initial)
    return pair, {name: _train(None, options, initial[name]) for name, options in VARIANTS.items()}, initial


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_parameters_and_statistics_equal_those_of_one_process(trained, name):
    pair, alone, _ = trained
    expected = alone[name]
    for rank in (0, 1):
        got = pair[rank][name]
        assert got["rates"] == expected["rates"]
        assert got["gradients"].keys() == expected["gradients"].keys()
        for key, gradient in expected["gradients"].items():
            assert (gradient is None) == (got["gradients"][key] is None), key
            if gradient is not None:
                scale = gradient.abs().max().item()
                torch.testing.assert_close(got["gradients"][key], gradient, rtol=1e-6, atol=1e-9 * scale, msg=key)
        a, b = leaves(got["state"]), leaves(expected["state"])
        assert len(a) == len(b) > 20
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-12)


def test_there_was_something_to_learn(trained):
    _, alone, initial = trained
    for name, one in alone.items():
        for module in ("actor", "critic", "student_encoder"):
            before, after = (leaves(state[f"{module}_state_dict"]) for state in (initial[name], one["state"]))
            assert max((a - b).abs().max() for a, b in zip(before, after, strict=True)) > 1e-4, (name, module)
        assert all(gradient.any() for gradient in one["gradients"].values() if gradient is not None)
