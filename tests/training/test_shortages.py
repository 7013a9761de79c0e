"""What a machine is short of is said in words, from what the kernel tells."""

import math

import pytest

from legged_cts.training.alarms import RECENT, Alarms
from legged_cts.training.machine import GPU_MEMORY, MEMORY, WAITING, Machine, shortages


@pytest.fixture
def kernel(tmp_path):
    """Files as Linux has them: two threads, 8 GiB of which 2 are available, a container that may have 4 GiB."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("proc/self/task/10/schedstat", "5000000000 1000000000 77\n")
    write("proc/self/task/11/schedstat", "5000000000 4000000000 77\n")
    write("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  100 kB\nMemAvailable:    2097152 kB\n")
    write("cgroup/memory.max", "4000\n")
    write("cgroup/memory.current", "3900\n")
    write("cgroup/memory.stat", "anon 3000\ninactive_file 500\n")
    return write, lambda: Machine(proc=tmp_path / "proc", cgroup=tmp_path / "cgroup")


def test_the_thread_that_waits_longest_counts(kernel, monkeypatch):
    write, make = kernel
    now = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr("legged_cts.training.machine.time.perf_counter", lambda: next(now))
    machine = make()
    write("proc/self/task/11/schedstat", "6000000000 6500000000 80\n")  # 2.5 s of these 10
    write("proc/self/task/12/schedstat", "1 1000000000 1\n")  # a new one: 1 s
    assert machine.metrics()[WAITING] == pytest.approx(0.25)
    assert machine.metrics()[WAITING] == 0.0


def test_the_smaller_of_the_machines_and_the_containers_memory_counts(kernel):
    write, make = kernel
    assert make().metrics()[MEMORY] == pytest.approx(0.15)  # 1 - (3900 - 500) / 4000
    write("cgroup/memory.max", "max\n")
    assert make().metrics()[MEMORY] == pytest.approx(0.25)


def test_what_the_system_does_not_tell_is_not_said(tmp_path):
    assert Machine(proc=tmp_path, cgroup=tmp_path).metrics() == {}
    assert shortages({}) == {} and shortages({WAITING: math.nan, MEMORY: math.nan}) == {}


def test_memory_of_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (1, 100))
    metrics = Machine("cuda:0", proc=tmp_path, cgroup=tmp_path).metrics()
    assert metrics == {GPU_MEMORY: 0.01} and "GPU memory: 1% is left" in shortages(metrics)["GPU memory"]


def test_words_and_limits():
    assert shortages({WAITING: 0.05, MEMORY: 0.5}) == {}
    found = shortages({WAITING: 0.4, MEMORY: 0.02})
    assert list(found) == ["cores", "memory"]
    assert "40% of the time" in found["cores"] and "2% is left" in found["memory"]


def test_a_shortage_that_lasts_is_told_once():
    alarms = Alarms()
    told = [text for _ in range(4 * RECENT) for text in alarms.new({WAITING: 0.5})]
    assert len(told) == 1 and told[0].startswith("short of cores")
    assert Alarms().new({WAITING: 0.5}) == []  # one iteration is no shortage
    alarms = Alarms()
    told = [text for _ in range(2 * RECENT) for text in alarms.new({MEMORY: 0.01})]
    assert len(told) == 1 and told[0].startswith("short of memory")
