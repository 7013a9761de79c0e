"""Patterns match as Python's do, in a bounded number of steps."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legged_cts.trust.patterns import PatternError, matching

PIECES = st.sampled_from(
    ["a", "b", "_", ".", ".*", "a+", "b?", "[ab]", "[^a]", r"\w", r"\d*", "a{2}", "b{1,3}", "^", "$"]
)
PATTERNS = st.recursive(
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, st.sampled_from(["", "*", "+", "?", "*?", "{2}"])).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=4,
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(PATTERNS, st.lists(st.text("ab_1", max_size=6), max_size=5))
def test_patterns_match_what_python_matches(pattern: str, names: list[str]) -> None:
    assert matching(pattern, names) == [name for name in names if re.fullmatch(pattern, name)]


@pytest.mark.parametrize(
    "pattern",
    ["(([A-Z_a-z]+)+)+X", "(a|a)*b", "(a*)*b", "a?" * 60 + "a" * 60, ".*" * 200 + "X", "((((a*)*)*)*)*b", "(a|aa)+$b"],
)
def test_a_pattern_with_countless_ways_to_fail_ends_at_once(pattern: str) -> None:
    # Python's own matcher would need more than 2^30 steps for most of them.
    assert matching(pattern, ["a" * 40, "FL_hip_joint_of_the_left_front_leg"]) == []


@pytest.mark.parametrize(
    "pattern",
    ["(", "a{1,100000}", "(?i)a", r"(a)\1", "(?=a)a", "(?!a).*", r"\ba", "a" * 501, "(" * 400 + ")" * 400, "[", "*"],
)
def test_a_pattern_of_another_kind_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        matching(pattern, ["a"])
