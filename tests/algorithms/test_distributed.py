"""Two processes with different data stay equal."""

from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from builders import STEPS, task
from toy_env import DriftEnv

from legged_cts.algorithms.config import runner_cfg
from legged_cts.algorithms.cts import CTS

GRADIENTS = ("reconstruction", "surrogate")


def _train(rank: int, gradient: str) -> dict:
    torch.manual_seed(rank)
    # With one sample per mini-batch the ranks' mini-batches often differ in which group they lack.
    cfg = runner_cfg(**task(num_mini_batches=4 * STEPS, num_learning_epochs=2, student_encoder_gradient=gradient))
    cfg["multi_gpu"] = {"global_rank": rank, "local_rank": rank, "world_size": 2}
    env = DriftEnv(4, seed=rank)
    alg = CTS.construct_algorithm(env.get_observations(), env, cfg, "cpu")
    alg.train_mode()
    alg.broadcast_parameters()
    result = {}
    for iteration in range(2):
        with torch.inference_mode():
            obs = env.get_observations()
            for _ in range(STEPS):
                obs, rewards, dones, extras = env.step(alg.act(obs))
                alg.process_env_step(obs, rewards, dones, extras)
            alg.compute_returns(obs)
        if iteration == 1 and rank == 1:
            alg.storage.returns[0, 0] = float("nan")  # one rank's bad sample stops the step on both
        result = alg.update()
    return {**alg.save(), "skipped": result["skipped_updates"]}


def _run(rank: int, folder: str) -> None:
    timeout = timedelta(seconds=120)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timeout)
    try:
        torch.save({gradient: _train(rank, gradient) for gradient in GRADIENTS}, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def _run_second(_: int, folder: str) -> None:
    torch.set_num_threads(1)
    _run(1, folder)


def _leaves(tree) -> list[torch.Tensor]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    return [tree] if isinstance(tree, torch.Tensor) else []


def test_ranks_stay_equal(tmp_path: Path):
    process = torch.multiprocessing.spawn(_run_second, (str(tmp_path),), nprocs=1, join=False)
    _run(0, str(tmp_path))
    while not process.join():
        pass
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for gradient in GRADIENTS:
        assert first[gradient]["skipped"] == second[gradient]["skipped"] == 2  # once per epoch
        a, b = _leaves(first[gradient]), _leaves(second[gradient])
        assert len(a) == len(b) > 50
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=0)
