"""What a process makes of torchrun's environment, without any other process."""

import pytest
import torch

from legged_cts.train import process_config, run_job_apart
from legged_cts.training import distributed
from legged_cts.training.command_line import CommandLine
from legged_cts.training.distributed import Processes, from_environment, join, own_state, rank_words, time_limit, to_cpu

WORDS = {
    "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1",
}  # fmt: skip


def test_torchrun_says_who_we_are():
    processes = from_environment(WORDS)
    assert processes == Processes(3, 1, 4, 2) and processes.many and not processes.is_main
    assert processes.told("train") == "torchrun --nnodes=2 ... --nproc-per-node=2 scripts/train.py"
    for words in ({}, {**WORDS, "WORLD_SIZE": "1"}):
        assert from_environment(words) == Processes() and not Processes().many
        assert Processes().told("train") == "uv run scripts/train.py"


def test_half_an_environment_is_refused():
    with pytest.raises(ValueError, match="WORLD_SIZE is 4, but MASTER_PORT is not set; .* torchrun"):
        from_environment({key: value for key, value in WORDS.items() if key != "MASTER_PORT"})


def test_alone_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not join().many and not torch.distributed.is_initialized()
    assert Processes().all(3) == [3] == Processes().gather(3) and Processes().any(True, False) == [True, False]
    Processes().check_equal("anything", object())


@pytest.mark.parametrize("given", ["ten", "", "0", "-1", "nan", "inf"])
def test_a_time_limit_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("LEGGED_CTS_TIMEOUT_S", given)
    with pytest.raises(ValueError, match=f"LEGGED_CTS_TIMEOUT_S must be a positive number of seconds, got '{given}'"):
        time_limit()


def test_the_time_limit_can_be_set(monkeypatch):
    monkeypatch.setenv("LEGGED_CTS_TIMEOUT_S", "12.5")
    assert time_limit() == 12.5
    monkeypatch.delenv("LEGGED_CTS_TIMEOUT_S")
    assert time_limit() == distributed.TIMEOUT_S


def test_a_child_is_not_one_of_us(monkeypatch):
    for name, value in {**WORDS, "TORCHELASTIC_RUN_ID": "x", "MINE": "kept"}.items():
        monkeypatch.setenv(name, value)
    child = distributed.single_environment()
    assert child["MINE"] == "kept" and "PATH" in child
    assert not any(name in child for name in (*WORDS, "TORCHELASTIC_RUN_ID"))


def test_each_process_has_its_own_gpu_or_the_cpu(monkeypatch):
    processes = Processes(3, 1, 4, 2)
    assert processes.device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert processes.device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert processes.device("auto") == processes.device("cuda") == "cuda:1"
    with pytest.raises(ValueError, match="device='cuda:0'.*its own GPU"):
        processes.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="2 processes on this machine, but 1 GPUs"):
        processes.device("auto")


def test_seeds_are_distinct_and_rank_0_keeps_the_configured_one():
    everyone = [Processes(rank, rank, 4, 4) for rank in range(4)]
    seeds = [one.seed(seed, iteration) for one in everyone for seed in range(20) for iteration in (0, 50)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**31 for seed in seeds)
    assert everyone[0].seed(7) == 7 == Processes().seed(7)
    assert everyone[1].seed(7) == Processes(1, 0, 2, 1).seed(7)


def test_the_cores_are_divided_unless_a_number_is_given(monkeypatch):
    monkeypatch.setattr(distributed.os, "sched_getaffinity", lambda _: set(range(7)))
    processes = Processes(1, 1, 2, 2)
    config = {"device": "cpu", "seed": 1, "solver": {"threads": 0, "iterations": 10}, "robot": "go2"}
    own = process_config(config, processes)
    assert own["solver"] == {"threads": 3, "iterations": 10} and own["seed"] == processes.seed(1) != 1
    assert config["solver"]["threads"] == 0 and config["seed"] == 1
    given = {**config, "solver": {"threads": 5, "iterations": 10}}
    assert process_config(given, processes)["solver"]["threads"] == 5
    assert process_config(config, Processes()) == config
    assert Processes(0, 0, 16, 16).threads() == 1


def test_files_of_other_ranks_do_not_collide():
    assert Processes().file("setup.log") == "setup.log" and rank_words(Processes()) == []
    second = Processes(1, 1, 2, 2)
    assert second.file("setup.log") == "setup.rank1.log"
    assert rank_words(second) == ["hydra.output_subdir=null", "hydra.job.name=train.rank1"]


def test_states_are_taken_in_turn():
    states = ["a", "b"]
    assert own_state(states, Processes(1, 1, 2, 2)) == ("b", True)
    assert [own_state(states, Processes(rank, rank, 4, 4)) for rank in range(4)] == [(s, False) for s in "abab"]
    assert own_state(["a"], Processes()) == ("a", True) and own_state(states, Processes()) == ("a", False)


def test_fingerprints_see_every_bit():
    tree = {"a": [torch.zeros(3)], "b": (torch.tensor(1), {"c": torch.ones(2, 2)}), "d": "text"}
    same = to_cpu(tree)
    assert distributed.fingerprint(tree) == distributed.fingerprint(same)
    same["a"] = [torch.tensor([0.0, -0.0, 0.0])]
    assert distributed.fingerprint(tree) != distributed.fingerprint(same)


def test_a_multirun_of_several_processes_is_refused(monkeypatch, tmp_path):
    for name, value in WORDS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="--multirun"):
        run_job_apart(CommandLine([]), [], tmp_path)
