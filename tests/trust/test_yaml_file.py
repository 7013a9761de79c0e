"""YAML of strangers is read once, within bounds, or refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from legged_cts.trust.yaml_file import YamlError, load_yaml, parse_yaml

BOMB = "a0: &a0 [x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))


def test_plain_values_are_read() -> None:
    assert parse_yaml("a: {b: [1, 2.5, true, null, text]}\n") == {"a": {"b": [1, 2.5, True, None, "text"]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "line 1: '&' and"),
        ("a: &a [*a]", "'&' and"),
        ("[" * 3000, "line 1: more than 32 levels"),
        ("".join(f"{' ' * i}a:\n" for i in range(200)), "more than 32 levels"),
        (f"a: {'9' * 400}", "line 1: a number of 400 digits"),
        (f"a: {'9' * 5000}", "a number of 5000 digits"),
        ("a: 1\nb: 2\na: 3\n", "'a' in line 3 is there twice"),
        ("x: {y: 1, y: 2}", "'y' in line 1 is there twice"),
        ("? [a]\n: 1\n", "line 1: a list or mapping cannot be a key"),
        ("a: !!python/object/apply:os.system [touch canary]", "not valid YAML"),
        ("a: 2024-13-45", "not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("--- 1\n--- 2\n", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"a: \x00", "not valid YAML"),
        ("- \t\x07", "not valid YAML"),
        ("a: 0x", None),
        ("a: 1:99:99", None),
        ("a: !!binary @@@", "not valid YAML"),
        ("a: !!int x", "not valid YAML"),
        ("a: !!float ''", "not valid YAML"),
        ("a: !!timestamp 1", "not valid YAML"),
        ("<<: 3", "not valid YAML"),
        ("a: !!set {b, b}", "twice"),
    ],
)
def test_what_could_hang_or_hide_something_is_refused_in_one_line(text: str | bytes, message: str | None) -> None:
    if message is None:
        parse_yaml(text)
        return
    with pytest.raises(YamlError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_or_never_ends_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("# " + "x" * 300_000)
    with pytest.raises(YamlError, match="has 300,002 bytes, more than"):
        load_yaml(tmp_path / "large.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        with pytest.raises(YamlError, match="is no regular file"):
            load_yaml(path)
