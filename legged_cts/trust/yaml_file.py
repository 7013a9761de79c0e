"""YAML of a stranger: plain values of bounded size, no references, no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from legged_cts.trust.plain import MAX_DEPTH, one_line, read_bounded

MAX_BYTES = 200_000
MAX_DIGITS = 40


class YamlError(ValueError):
    """A YAML file that cannot be read; the message is one line, without the file's name."""


def load_yaml(path: Path) -> Any:
    """Read a file of plain values.

    Raises:
        YamlError: If it is too large or too deep, refers to parts of itself, has a key twice or is no YAML.
        OSError: If it cannot be read.
    """
    try:
        return parse_yaml(read_bounded(path, MAX_BYTES))
    except YamlError:
        raise
    except ValueError as error:
        raise YamlError(one_line(error)) from error


def parse_yaml(text: bytes | str) -> Any:
    """Read plain values.

    Raises:
        YamlError: As :func:`load_yaml` does.
    """
    try:
        _check_events(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {one_line(error)}") from error
    except YamlError:
        raise
    except (ValueError, RecursionError, LookupError, OverflowError, TypeError, AttributeError) as error:
        raise YamlError(f"not valid YAML: {one_line(error)}") from error


def _check_events(text: bytes | str) -> None:
    """Refuse what would make the loader run long or deep, in one pass that does neither."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise YamlError(f"line {line}: '&' and '*', which refer to another part of the file, are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and not event.style and len(event.value) > MAX_DIGITS:
            if event.value.lstrip("+-").replace("_", "").isdigit():
                raise YamlError(f"line {line}: a number of {len(event.value)} digits")
        if depth > MAX_DEPTH:
            raise YamlError(f"line {line}: more than {MAX_DEPTH} levels of lists and mappings")


class _Loader(yaml.SafeLoader):
    """YAML lets a later key replace an earlier one of the same name, which would lose it silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise YamlError(f"line {line}: a list or mapping cannot be a key")
            if key in seen:
                raise YamlError(f"'{key}' in line {line} is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep)
