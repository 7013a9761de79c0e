"""docs/distillation.md keeps up with the files and the axes."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from legged_cts.algorithms.teachers import SOURCES
from legged_cts.distillation.config import DistillationConfig

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "distillation.md").read_text()
FILES = {path.stem: path.read_text() for path in (ROOT / "tasks" / "algorithm").glob("*.yaml")}


def test_every_method_has_a_row_and_every_row_a_file():
    table = DOCUMENT.split("## Methods")[1].split("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(FILES)


@pytest.mark.parametrize("name", sorted(name for name, text in FILES.items() if "distilled:Distillation" in text))
def test_every_method_says_where_it_is_from_and_what_is_adapted(name):
    head = FILES[name].split("defaults:")[0]
    assert "dapted" in head or "ours" in head
    assert name == "bc" or "Source" in head or "source" in head


def test_every_axis_and_source_is_explained():
    for item in fields(DistillationConfig):
        assert f"`{item.name}`" in DOCUMENT, item.name
    for source in SOURCES:
        assert f"| `{source}` |" in DOCUMENT


def test_the_compared_methods_exist():
    text = (ROOT / "tasks" / "compare" / "distillation.yaml").read_text()
    assert set(re.findall(r"algorithm=(\w+)", text)) <= set(FILES)
