"""Every named method on the toy environment: three iterations and more, with the right parts moving."""

import json
import math
from pathlib import Path

import pytest
import torch
from builders import rollout, snapshot
from distilled_builders import METHODS, build, method_cfg, shipped, student_nodes, write_teacher
from omegaconf import OmegaConf
from toy_env import flip

from legged_cts.distillation.config import DistillationPlan

FILES = {"multi_teacher": ("first", "second"), "tiny_student": ("teacher",)}
"""Methods whose teachers come from checkpoints, with the names of those."""
AUGMENT = {"use_data_augmentation": True, "data_augmentation_func": flip}
LOSS = {"use_mirror_loss": True, "mirror_loss_coeff": 0.5, "data_augmentation_func": flip}
ITERATIONS = 4
GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
"""What the last update returned and sums of |weight| after it, taken before the methods became lists of terms."""
NO_DIVERGENCE = ("two_stage", "trrd", "gopd", "vopd", "sod", "tcod")
"""Methods without a divergence as a loss on actions."""


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    return str(write_teacher(tmp_path_factory.mktemp("teacher")))


def make(name, teacher_file, student="mlp", symmetry=None):
    entry = {"source": "checkpoint", "checkpoint": teacher_file, "terrain": []}
    nodes = {"algorithm": {"teachers": {key: entry for key in FILES[name]}}} if name in FILES else {}
    cfg = method_cfg(name, ITERATIONS, nodes | student_nodes(student))
    cfg["algorithm"]["symmetry_cfg"] = symmetry
    alg, env = build(cfg)
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
        shares.append(alg.driver.acted.float().mean().item())
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
    if name in GOLDEN:
        # Wide enough for a processor that rounds otherwise.
        assert results[-1] == pytest.approx(GOLDEN[name]["losses"], rel=0.02, abs=2e-3)
        for network, total in GOLDEN[name]["weights"].items():
            weights = alg.save()[f"{network}_state_dict"].values()
            assert sum(float(w.double().abs().sum()) for w in weights if w.is_floating_point()) == pytest.approx(
                total, rel=1e-3
            )
    if name not in NO_DIVERGENCE and name != "sparse_to_dense":
        assert math.isfinite(results[-1]["distillation"])


@pytest.mark.parametrize(("student", "symmetry"), [("gru", None), ("moe", AUGMENT), ("mlp", LOSS)])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_with_other_students_and_from_images(name, student, symmetry, teacher_file):
    if (name, student) == ("gopd", "gru"):
        # Its reference is a copy of the student, whose hidden state at the rollout's start nobody kept.
        with pytest.raises(ValueError, match="reference.role must be teacher where the student is recurrent"):
            make(name, teacher_file, student)
        return
    alg, env = make(name, teacher_file, student, symmetry)
    before = snapshot(alg)
    for _ in range(3):
        rollout(alg, env)
        result = alg.update()
        assert result["skipped_updates"] == 0 and all(math.isfinite(value) for value in result.values()), result
    assert "student." in moved(before, snapshot(alg)) and ("symmetry" in result) == (symmetry is not None)


def test_the_target_for_an_image_is_the_image_of_its_samples_target(teacher_file):
    nodes = {"distillation": {"coef": 1.0, "divergence": "mse"}, "distillation_states": "all"}
    cfg = method_cfg("kdrl", ITERATIONS, {"algorithm": {"learning_rate": 1e-3}})
    cfg["algorithm"] |= nodes | {"teachers": None, "symmetry_cfg": AUGMENT}
    alg, env = build(cfg)
    rollout(alg, env)
    seen = alg.losses(next(alg.batches()))
    n, size = seen.samples.teachers, len(seen.samples)
    assert n == 0 and len(seen.batch) == 2 * size
    target = alg.match.target(seen)
    teacher = alg.teachers["teacher"].distribution(seen.samples.observations)
    torch.testing.assert_close(target.mean, torch.cat([teacher.mean, -teacher.mean]))
    torch.testing.assert_close(target.std, torch.cat([teacher.std, teacher.std]))
    histories = alg.history.at(seen.samples.index)
    encoded = torch.cat([alg.student_policy().latent(sign * histories) for sign in (1.0, -1.0)])
    torch.testing.assert_close(seen.encoded, encoded)


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
        algorithm.student_rollout.reset()
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
    DistillationPlan(
        {key: value for key, value in OmegaConf.to_container(axes, resolve=True).items() if key != "max_iterations"}
    )
