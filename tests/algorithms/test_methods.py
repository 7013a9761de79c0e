"""Every named method on the toy environment: three iterations and more, with the right parts moving."""

import math

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import METHODS, build, method_cfg, shipped, write_teacher
from omegaconf import OmegaConf

from legged_cts.distillation.config import check_words

FILES = {"multi_teacher": ("first", "second"), "tiny_student": ("teacher",)}
"""Methods whose teachers come from checkpoints, with the names of those."""
ITERATIONS = 4
NO_DIVERGENCE = ("two_stage", "trrd", "gopd", "vopd", "sod", "tcod")
"""Methods without a divergence as a loss on actions."""


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    return str(write_teacher(tmp_path_factory.mktemp("teacher")))


def make(name, teacher_file):
    entry = {"source": "checkpoint", "checkpoint": teacher_file, "terrain": []}
    nodes = {"algorithm": {"teachers": {key: entry for key in FILES[name]}}} if name in FILES else {}
    alg, env = build(method_cfg(name, ITERATIONS, nodes))
    if name == "multi_teacher":
        alg.teachers.route = torch.arange(16) % 2
    return alg, env


def moved(before, after):
    names = {name for name, value in after.items() if not torch.equal(value, before[name])}
    return {part for part in ("actor.mlp", "teacher.", "student.", "critic.") if any(n.startswith(part) for n in names)}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_moves_what_it_should(name, teacher_file):
    alg, env = make(name, teacher_file)
    results, parts, shares = [], [], []
    for _ in range(ITERATIONS):
        before = snapshot(alg)
        rollout(alg, env)
        shares.append(alg._acted.float().mean().item())
        results.append(alg.update())
        parts.append(moved(before, snapshot(alg)))
    for result in results:
        assert result["skipped_updates"] == 0
        assert all(math.isfinite(value) for value in result.values()), result
    assert all(value.isfinite().all() for value in snapshot(alg).values())
    assert "student." in parts[-1] and all("critic." in part for part in parts)
    if any(teacher.options.source == "frozen" for teacher in alg.teachers.values()):
        # First the teacher alone, then it is a copy that nothing changes.
        assert shares[0] == 1.0 and {"actor.mlp", "teacher."} <= parts[0] and "student." not in parts[0]
        assert "teacher." not in parts[-1] and not alg.teachers["teacher"].is_live
    if name == "two_stage":
        assert "actor.mlp" not in parts[-1] and shares[-1] == 0.0
        assert results[-1]["reconstruction"] < results[2]["reconstruction"]
    if name not in NO_DIVERGENCE and name != "sparse_to_dense":
        assert math.isfinite(results[-1]["distillation"])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_goes_on_from_a_checkpoint_as_if_nothing_had_happened(name, teacher_file):
    alg, env = make(name, teacher_file)
    for _ in range(ITERATIONS - 1):
        rollout(alg, env)
        alg.update()
    other, _ = make(name, teacher_file)
    assert other.load(alg.save(), None, True)
    mask, again = alg.begin_iteration(), other.begin_iteration()
    assert torch.equal(mask, again) and alg.cfg == other.cfg
    obs = env.get_observations()
    actions = []
    for algorithm in (alg, other):
        algorithm._student_rollout.reset()
        torch.manual_seed(1)
        with torch.inference_mode():
            actions.append(algorithm.act(obs))
    torch.testing.assert_close(actions[0], actions[1], rtol=0, atol=0)


def test_cloning_brings_the_student_to_the_teacher():
    alg, env = build(method_cfg("bc", 32, {"algorithm": {"learning_rate": 3e-3, "schedule": "fixed"}}), 32)
    values = []
    for _ in range(32):
        rollout(alg, env)
        values.append(alg.update().get("distillation"))
    found = [value for value in values if value is not None]
    assert len(found) == 16 and sum(found[-4:]) < 0.5 * sum(found[:4]), found


@pytest.mark.parametrize("name", METHODS)
def test_the_axes_of_every_method_are_sound_before_anything_is_built(name):
    axes = OmegaConf.merge({"max_iterations": 900}, shipped(name).algorithm.distillation)
    check_words(
        {key: value for key, value in OmegaConf.to_container(axes, resolve=True).items() if key != "max_iterations"}
    )
