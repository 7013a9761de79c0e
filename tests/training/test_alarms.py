"""Failures of CTS are named when they show, once, and a healthy training is left in peace."""

import math

import pytest

from legged_cts.training.alarms import BLOCK, CHECK_EVERY, Alarms, alarms_of, warnings_of


def history(iterations=400, **series):
    """Metrics whose values are functions of the iteration; underscores of names are written as ``__`` for ``/``."""
    return [{key.replace("__", "/"): make(i) for key, make in series.items()} for i in range(iterations)]


def wobble(i):
    return 0.1 * math.sin(i)


HEALTHY = {
    "teacher__return": lambda i: 10 + 0.01 * i + wobble(i), "student__return": lambda i: 9 + 0.01 * i - wobble(i),
    "gap__return": lambda i: 1 + 2 * wobble(i), "latent__error": lambda i: 0.3 + 0.5 * math.exp(-i / 50),
    "student__reward": lambda i: 0.01 * i, "value__explained_variance_student": lambda i: 0.8,
    "latent__dimension_student": lambda i: 6.0, "policy__clip_fraction_teacher": lambda i: 0.2,
    "loss__expert_use_0": lambda i: 0.6, "loss__expert_use_1": lambda i: 0.4,
}  # fmt: skip


def test_a_healthy_training_gives_no_warning():
    assert warnings_of(history(**HEALTHY)) == []
    assert warnings_of([]) == [] and warnings_of([{}] * 1000) == []


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("return_gap", {"gap__return": lambda i: 0.01 * i}, "rose from 1.5"),
        ("latent_error", {"latent__error": lambda i: 0.3 + 0.001 * i, "student__reward": lambda i: 1.0}, "times its"),
        ("explained_variance_student", {"value__explained_variance_student": lambda i: -0.1}, "worse than a constant"),
        ("latent_explained", {"latent__explained_variance": lambda i: -0.5}, "explains -0.50 of the teacher's"),
        ("dimension_student", {"latent__dimension_student": lambda i: 1.5}, "effective dimension 1.5"),
        ("clip_fraction_teacher", {"policy__clip_fraction_teacher": lambda i: 0.6}, "60% of the teacher samples"),
        (
            "experts",
            {"loss__expert_use_0": lambda i: 0.05, "loss__expert_use_1": lambda i: 0.95},
            "expert 1 does 95%",
        ),
    ],
)
def test_each_failure_is_named(name, changed, words):
    found = alarms_of(history(**{**HEALTHY, **changed}))
    assert list(found) == [name] and words in found[name]


def test_a_gap_has_to_rise_and_to_matter():
    for gap in (lambda i: 8.0, lambda i: 8.0 - 0.01 * i, lambda i: 0.001 * i):  # constant, shrinking, small
        assert alarms_of(history(**{**HEALTHY, "gap__return": gap})) == {}
    assert alarms_of(history(2 * BLOCK, **{**HEALTHY, "gap__return": lambda i: 0.05 * i})) == {}  # too early to say


def test_a_latent_error_may_grow_while_the_student_improves():
    """The teacher's latent says more as it learns; that is no failure while the student gains from it."""
    grows = {"latent__error": lambda i: 0.3 + 0.001 * i}
    assert alarms_of(history(**{**HEALTHY, **grows})) == {}
    stalls = history(**{**HEALTHY, **grows, "student__reward": lambda i: 1.0})
    old_names = [
        {"loss/reconstruction": e["latent/error"] / 32, "loss/reward_student": e["student/reward"]} for e in stalls
    ]
    assert list(alarms_of(old_names)) == ["latent_error"]


def test_numbers_that_are_not_finite_are_passed_over():
    entries = history(**{**HEALTHY, "latent__dimension_student": lambda i: math.nan if i % 2 else 1.0})
    assert list(alarms_of(entries)) == ["dimension_student"]


def test_each_failure_is_told_once():
    alarms = Alarms()
    broken = history(6 * CHECK_EVERY, **{**HEALTHY, "latent__dimension_student": lambda i: 1.0})
    told = [text for entry in broken for text in alarms.new(entry)]
    assert len(told) == 1 and "collapsed" in told[0]
    clipped = history(2 * CHECK_EVERY, **{**HEALTHY, "policy__clip_fraction_teacher": lambda i: 0.9})
    assert len([text for entry in clipped for text in alarms.new(entry)]) == 1
