"""The file that says what is compared."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from legged_cts.evaluation.compare.comparison import ComparisonError, load_comparison, parse_comparison
from legged_cts.evaluation.compare.runs import plan

ROOT = Path(__file__).parents[3]
GOOD: dict[str, Any] = {
    "common": ["robot=go2"],
    "arms": {"a": ["algorithm.gamma=0.9"], "b": ["algorithm.gamma=0.8"], "c": ["algorithm.gamma=0.7"]},
    "seeds": [1, 2],
    "baseline": "a",
    "metrics": {"fall": "lower"},
}


def changed(**fields: Any) -> dict[str, Any]:
    content = copy.deepcopy(GOOD) | fields
    return {key: value for key, value in content.items() if value is not ...}


def test_a_good_file_and_its_defaults():
    got = parse_comparison(GOOD, "name")
    assert got.common == ("robot=go2",) and got.seeds == (1, 2) and list(got.arms) == ["a", "b", "c"]
    assert got.contrasts == (("b", "a"), ("c", "a")) and got.evaluation == ()
    assert parse_comparison(changed(contrasts=[["a", "c"]]), "name").contrasts == (("a", "c"),)
    assert parse_comparison(changed(contrasts=[]), "name").contrasts == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": [1]}, "'seed' is unknown. Allowed: common, arms"),
        ({"arms": ...}, "arms: is missing or empty"),
        ({"arms": ["a"]}, "arms: expected a mapping"),
        ({"arms": {"a": None}}, "arms.a: is empty"),
        ({"arms": {"a/b": ["x=1"]}}, "arms: 'a/b' names a folder"),
        ({"arms": {"..": ["x=1"]}}, "arms: '..' names a folder"),
        ({"arms": {"a": "x=1"}}, "arms.a: expected a list"),
        ({"arms": {"a": ["x"]}}, "arms.a: 'x' is no key=value"),
        ({"arms": {"a": ["x=1", "+x=2"]}}, "arms.a: 'x' is given twice"),
        ({"arms": {"a": ["x=1"], "b": ["x=1"]}}, "arms.b: has the same overrides as 'a'"),
        ({"arms": {"a": ["seed=3"]}}, "arms.a: 'seed' is set by the comparison itself"),
        ({"common": ["hydra.run.dir=x"]}, "common: 'hydra.run.dir' is set by the comparison itself"),
        ({"common": ["max_minutes=3"]}, "common: 'max_minutes'"),
        ({"seeds": []}, "seeds: is missing or empty"),
        ({"seeds": [1, 1]}, "seeds: a seed is given twice"),
        ({"seeds": [1, True]}, "seeds: expected a list of whole numbers"),
        ({"seeds": list(range(17))}, "seeds: at most 16"),
        ({"baseline": "d"}, "baseline: 'd' is no arm. Allowed: a, b, c"),
        ({"contrasts": [["a"]]}, r"contrasts: \['a'\] is no pair"),
        ({"contrasts": [["a", "a"]]}, "is no pair of two different arms"),
        ({"contrasts": [["a", "d"]]}, "contrasts: 'd' is no arm"),
        ({"contrasts": [["a", "b"], ["b", "a"]]}, "contrasts: b and a are compared twice"),
        ({"metrics": {"speed": "lower"}}, "metrics: 'speed' is unknown. Allowed: lin_error"),
        ({"metrics": {"fall": "down"}}, "metrics.fall: must be lower or higher"),
        ({"metrics": ["fall"]}, "metrics: expected a mapping"),
        ({"evaluation": "x=1"}, "evaluation: expected a list"),
    ],
)
def test_errors_name_the_field(fields, message):
    with pytest.raises(ComparisonError, match=message):
        parse_comparison(changed(**fields), "name")


def test_what_is_no_comparison(tmp_path):
    with pytest.raises(ComparisonError, match="there is no comparison file"):
        load_comparison(tmp_path / "none.yaml")
    for text, message in [
        ("arms:\n  a: [x=1]\n  a: [x=2]\n", "'a' in line 3 is there twice"),
        ("arms: [", "while parsing"),
        ("- 1", "a comparison is a mapping"),
        ("arms: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ]:
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ComparisonError, match=message):
            load_comparison(tmp_path / "bad.yaml")


def test_shipped_comparisons_are_valid():
    files = sorted((ROOT / "tasks" / "compare").glob("*.yaml"))
    assert files
    for file in files:
        assert load_comparison(file).name == file.stem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"common": ["+hydra={callbacks:{x:{_target_:os.mkdir}}}"]}, "common: 'hydra' is set by"),
        ({"common": ["hydra/launcher=basic"]}, "common: 'hydra/launcher' is set by"),
        ({"common": ["--config-dir=evil"]}, "is no key=value override of the task"),
        ({"common": ["-m=1"]}, "is no key=value"),
        ({"common": ["="]}, "is no key=value"),
        ({"common": ["solver={threads:3}"]}, "common: 'solver' is set by the comparison itself"),
        ({"common": ["evaluation={enabled:true}"]}, "common: 'evaluation' is set by the comparison itself"),
        ({"common": ["algorithm.class_name=os:system"]}, "class_name 'os:system' is none of the classes"),
        ({"common": ["+x={class_name:os.system}"]}, "class_name 'os.system' is none of the classes"),
        ({"common": ["+x._target_=os.mkdir"]}, "_target_"),
        ({"common": ["wandb_project=${oc.env:HOME}"]}, "is no key=value"),
        ({"common": ["trust=os"]}, "common: 'trust' is set by the comparison itself or the command line"),
        ({"common": ["env.decimation=1,2"]}, "gives no single value"),
        ({"common": ["algorithm@hydra.x=cts"]}, "gives no single value"),
        ({"common": ["x=" + "[" * 300]}, "is no key=value"),
        ({"evaluation": ["output=/tmp"]}, "evaluation: 'output' is set by"),
        ({"evaluation": ["checkpoint=x.pt"]}, "evaluation: 'checkpoint' is set by"),
        ({"baseline": [["a"]]}, r"baseline: \[\['a'\]\] is no arm"),
        ({"contrasts": [[["a"], "b"]]}, "is no arm"),
        ({"seeds": [2**40]}, "seeds: expected a list"),
    ],
)
def test_words_are_judged_by_what_hydra_makes_of_them(fields, message):
    with pytest.raises(ComparisonError, match=message):
        parse_comparison(changed(**fields), "name")


@pytest.mark.parametrize("path", sorted((ROOT / "tasks" / "compare").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_comparison_composes(path, tmp_path):
    """One of them named a reward's option that was gone since, and nobody saw."""
    compared = load_comparison(path)
    runs = plan(compared, tmp_path)
    assert len(runs) == len(compared.arms) * len(compared.seeds) and all(run.planned_steps > 0 for run in runs)
