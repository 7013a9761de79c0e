"""Values that change with the iteration."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.distillation.schedules import breakpoints, resolved, schedules_in, value_at

LINEAR = {"schedule": "linear", "start": 1.0, "end": 0.2, "steps": 100}
COSINE = {"schedule": "cosine", "start": 1.0, "end": 0.0, "steps": 100}
STAIRS = {"schedule": "staircase", "start": 1, "by": 2, "every": 5, "end": 6}
PHASES = {"schedule": "phases", "values": ["forward_kl", "reverse_kl", None], "until": [10, 30]}


@pytest.mark.parametrize(
    "node, expected",
    [
        (LINEAR, {0: 1.0, 25: 0.8, 50: 0.6, 99: 0.208, 100: 0.2, 10_000: 0.2}),
        (COSINE, {0: 1.0, 25: 0.5 + 0.5 * math.cos(math.pi / 4), 50: 0.5, 100: 0.0, 10_000: 0.0}),
        (STAIRS, {0: 1, 4: 1, 5: 3, 10: 5, 14: 5, 15: 6, 1000: 6}),
        ({**STAIRS, "start": 6, "by": -4, "end": 0}, {0: 6, 5: 2, 10: 0, 99: 0}),
    ],
)
def test_values(node, expected):
    """At the start, between and past the end."""
    for iteration, value in expected.items():
        assert value_at(node, iteration) == pytest.approx(value)


def test_phases():
    assert [value_at(PHASES, i) for i in (0, 9, 10, 29, 30, 999)] == [
        "forward_kl", "forward_kl", "reverse_kl", "reverse_kl", None, None,
    ]  # fmt: skip


@given(
    kind=st.sampled_from(["linear", "cosine"]), start=st.floats(-5, 5), end=st.floats(-5, 5), steps=st.integers(1, 50)
)
@settings(max_examples=50, deadline=None)
def test_ramps_are_monotone_between_their_breakpoints(kind, start, end, steps):
    node = {"schedule": kind, "start": start, "end": end, "steps": steps}
    values = [value_at(node, i) for i in range(steps + 3)]
    assert sorted(values, reverse=start > end) == values or start == end
    assert [value_at(node, i) for i in breakpoints(node)] == [start, end]


def test_breakpoints_show_every_value():
    assert breakpoints(PHASES) == [0, 10, 30]
    assert [value_at(STAIRS, i) for i in breakpoints(STAIRS)] == [1, 6]


def test_tree_resolves_schedules_at_any_depth():
    """Also a ramp inside of a phase."""
    nested = {"schedule": "phases", "values": [0.5, LINEAR], "until": [50]}
    tree = {"a": LINEAR, "b": {"c": PHASES, "d": [1, 2]}, "e": nested}
    assert resolved(tree, 0) == {"a": 1.0, "b": {"c": "forward_kl", "d": [1, 2]}, "e": 0.5}
    assert resolved(tree, 50) == {"a": pytest.approx(0.6), "b": {"c": None, "d": [1, 2]}, "e": pytest.approx(0.6)}
    assert [path for path, _ in schedules_in(tree, "root")] == ["root.a", "root.b.c", "root.e", "root.e"]


@pytest.mark.parametrize(
    "message, node",
    [
        (r"a\.schedule is 'exp'; allowed are: linear", {"schedule": "exp"}),
        (r"missing key root\.a\.end", {"schedule": "linear", "start": 1, "steps": 2}),
        (r"unknown key root\.a\.stop", {**LINEAR, "stop": 3}),
        (r"root\.a\.steps must be a positive integer", {**LINEAR, "steps": 0}),
        (r"root\.a\.start must be a number", {**LINEAR, "start": "one"}),
        (r"root\.a\.by must lead from", {**STAIRS, "by": -1}),
        (r"root\.a\.until must hold", {**PHASES, "until": [10]}),
        (r"root\.a\.until must hold", {**PHASES, "until": [30, 10]}),
    ],
)
def test_malformed_schedules_name_their_field(message, node):
    with pytest.raises(ValueError, match=message):
        schedules_in({"a": node}, "root")
