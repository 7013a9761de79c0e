"""The axes of distillation as a configuration."""

import pytest

from legged_cts.distillation.config import DistillationConfig, DistillationPlan, Target, Window


def test_the_default_is_the_identity():
    cfg = DistillationConfig.from_dict({})
    assert cfg == DistillationConfig() == DistillationConfig.from_dict(None)
    assert (cfg.coef, cfg.rl_coef, cfg.match, cfg.measure) == (0.0, 1.0, "action", "reverse_kl")
    assert cfg.target == Target(("teacher",), None, 1.0, None, 0.9)
    assert (cfg.place.kind, cfg.place.alpha, cfg.driver.share, cfg.exposure.mode) == ("loss", 1.0, 0.0, "full")
    assert (cfg.learn.gradient, cfg.learn.rl) == ("student", "both")
    assert cfg.weights.given == []


def test_short_forms_are_their_main_fields():
    short = DistillationConfig.from_dict({"divergence": "mse", "driver": 0.75, "exposure": "ratio", "learn": "both"})
    long = DistillationConfig.from_dict(
        {"divergence": {"name": "mse"}, "driver": {"share": 0.75}, "exposure": {"mode": "ratio"},
         "learn": {"gradient": "both"}}
    )  # fmt: skip
    assert short == long
    place = DistillationConfig.from_dict({"place": "return"}).place
    assert place.kind == "return"


def test_weights_are_those_that_are_named():
    cfg = DistillationConfig.from_dict({"weights": {"window": {}, "clip": {"limit": 3}}})
    assert cfg.weights.window == Window(1) and cfg.weights.clip.limit == 3 and cfg.weights.rel_div is None
    assert DistillationConfig.from_dict({"weights": {"window": None}}).weights.given == []


@pytest.mark.parametrize(
    "node, message",
    [
        ({"teacher": 1}, r"unknown key distillation\.teacher; allowed are: coef, divergence, driver"),
        ({"driver": {"unti": "env"}}, r"unknown key distillation\.driver\.unti; allowed are: share, unit"),
        ({"weights": {"clip": {"max": 1}}}, r"unknown key distillation\.weights\.clip\.max"),
        ({"match": "latents"}, r"distillation\.match is 'latents'; allowed are: action, latent, privileged"),
        ({"divergence": "kl"}, r"distillation\.divergence\.name is 'kl'"),
        ({"divergence": {"name": "jsd", "beta": 0}}, r"divergence\.beta must lie in \(0\.0, 1\.0\), got 0"),
        ({"divergence": {"samples": 1.5}}, r"divergence\.samples must be an integer"),
        ({"coef": -1}, r"distillation\.coef must lie in \[0\.0, inf\], got -1"),
        ({"coef": "much"}, r"distillation\.coef must be a number, got 'much'"),
        ({"coef": None}, r"distillation\.coef must not be null"),
        ({"coef": True}, r"distillation\.coef must be a number"),
        ({"target": {"teachers": "flat"}}, r"target\.teachers must be a list of names"),
        ({"learn": {"importance": 1}}, r"learn\.importance must be true or false"),
        ({"target": 3}, r"distillation\.target must be a mapping"),
    ],
)  # fmt: skip
def test_bad_values_name_their_field(node, message):
    with pytest.raises(ValueError, match=message):
        DistillationConfig.from_dict(node)


TWO = {"teachers": ["stairs", "slope"]}


@pytest.mark.parametrize(
    "node, first, second",
    [
        ({"place": "ratio", "match": "latent"}, "place.kind = ratio", "match = latent"),
        ({"place": "ratio", "divergence": "reverse_kl"}, "place.kind = ratio", "divergence.name = reverse_kl"),
        ({"place": "return", "match": "latent"}, "place.kind = return", "match = latent"),
        ({"place": "return", "divergence": "mse"}, "place.kind = return", "divergence.name = mse"),
        ({"place": "return", "divergence": "forward_kl"}, "place.kind = return", "divergence.name = forward_kl"),
        ({"divergence": "jsd", "match": "latent"}, "divergence.name = jsd", "match = latent"),
        ({"target": TWO}, "target.route = null", "target.teachers"),
        ({"place": "ratio", "weights": {"clip": {}}}, "weights.clip", "place.kind = ratio"),
        ({"target": {"route": "env"}}, "target.route = env", "target.teachers"),
        ({"target": {"lam": 1.25}}, "target.lam = 1.25", "target.reference = null"),
        ({"driver": 1.0, "learn": {"rl": "student"}}, "driver.share = 1", "learn.rl = student"),
        ({"learn": {"rl": "teacher"}}, "driver.share = 0", "learn.rl = teacher"),
        ({"learn": {"rl": "none", "importance": True}}, "learn.importance", "learn.rl = none"),
        ({"place": {"alpha": 0.9}}, "place.alpha = 0.9", "place.kind = loss"),
        ({"place": {"baseline": "closed_form"}}, "place.baseline = closed_form", "place.kind = loss"),
        ({"exposure": {"ratio": 0.5}}, "exposure.mode = full", "exposure.ratio = 0.5"),
        ({"exposure": {"controller": {}}}, "exposure.mode = full", "exposure.controller"),
        ({"match": "latent", "weights": {"rel_div": {}}}, "weights.rel_div", "match = latent"),
        ({"match": "privileged", "weights": {"clip": {}, "window": {}}}, "weights.clip", "match = privileged"),
        ({"match": "privileged", "learn": "both"}, "learn.gradient = both", "match = privileged"),
        ({"match": "privileged", "target": {"lam": 2.0, "reference": "frozen"}}, "target.lam = 2.0",
         "match = privileged"),
        ({"match": "privileged", "place": "return"}, "place.kind = return", "match = privileged"),
    ],
)  # fmt: skip
def test_options_that_exclude_each_other_are_both_named(node, first, second):
    with pytest.raises(ValueError) as error:
        DistillationConfig.from_dict(node)
    assert str(error.value).startswith(f"distillation.{first} contradicts distillation.{second}")


@pytest.mark.parametrize(
    "node",
    [
        {"match": "latent", "driver": 0.75, "coef": 1.0},
        {"coef": 1.0, "divergence": "mse", "driver": 1.0, "learn": {"rl": "none"}},
        {"coef": 1.0, "divergence": "mse", "target": {**TWO, "route": "env"}, "learn": {"rl": "student"}},
        {"coef": 1.0, "place": {"kind": "return", "baseline": "closed_form"}, "learn": {"rl": "none"},
         "target": {"lam": 1.25, "reference": "frozen"}},
        {"place": {"kind": "ratio", "alpha": 0.97}, "learn": {"rl": "student"}},
        {"coef": 1.0, "divergence": "forward_kl", "driver": 1.0, "learn": {"gradient": "both", "importance": True}},
        {"coef": 1.0, "exposure": {"mode": "ratio", "controller": {"hold": 5}}, "divergence": "jsd"},
    ],
)  # fmt: skip
def test_methods_are_combinations(node):
    DistillationConfig.from_dict(node)


def test_what_is_measured_follows_what_is_matched():
    assert DistillationConfig.from_dict({"match": "latent"}).measure == "mse"


SPARSE_TO_DENSE = {
    "coef": {"schedule": "phases", "values": [1.0, {"schedule": "linear", "start": 1.0, "end": 0.0, "steps": 40}],
             "until": [20]},
    "divergence": {"schedule": "phases", "values": ["forward_kl", "reverse_kl"], "until": [10]},
    "driver": {"schedule": "phases", "values": [1.0, 0.0], "until": [10]},
    "learn": {"rl": {"schedule": "phases", "values": ["none", "student"], "until": [20]}},
}  # fmt: skip


def test_a_phase_switches_divergence_and_driver_together():
    plan = DistillationPlan(SPARSE_TO_DENSE)
    found = [(cfg.measure, cfg.driver.share, cfg.learn.rl) for cfg in map(plan.at, range(25))]
    assert found[:10] == [("forward_kl", 1.0, "none")] * 10
    assert found[10:20] == [("reverse_kl", 0.0, "none")] * 10
    assert found[20:] == [("reverse_kl", 0.0, "student")] * 5
    assert plan.at(30).coef == pytest.approx(0.25) and plan.at(40).coef == 0.0


def test_every_phase_is_checked_before_training():
    late = {"place": {"schedule": "phases", "values": ["loss", "return"], "until": [500]}, "divergence": "mse"}
    with pytest.raises(ValueError, match="place.kind = return contradicts"):
        DistillationPlan(late)
    with pytest.raises(ValueError, match=r"distillation\.coef must lie"):
        DistillationPlan({"coef": {"schedule": "linear", "start": 1.0, "end": -1.0, "steps": 1000}})


@pytest.mark.parametrize(
    "node",
    [
        {"match": {"schedule": "phases", "values": ["action", "latent"], "until": [5]}},
        {"exposure": {"mode": {"schedule": "phases", "values": ["full", "ratio"], "until": [5]}}},
        {"exposure": {"schedule": "phases", "values": ["full", "ratio"], "until": [5]}},
        {"target": {"reference": {"schedule": "phases", "values": ["checkpoint", "frozen"], "until": [5]}}},
    ],
)
def test_networks_cannot_be_scheduled(node):
    with pytest.raises(ValueError, match="decides which networks exist"):
        DistillationPlan(node)
