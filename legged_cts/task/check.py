"""Configurations and command-line words against the description, with one line for what is wrong."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from legged_cts.task.fields import Rule, Unknown, shown, suggest
from legged_cts.task.own import OwnGroup
from legged_cts.task.schema import Task
from legged_cts.task.stages import check_stages
from legged_cts.trust.names import trusting

Path = tuple[str, ...]


def check_task(config: Mapping[str, Any]) -> None:
    """Check keys, types and ranges of a whole, resolved configuration.

    Raises:
        ValueError: One line that names the first key that is wrong, its value and what it may be.
    """
    try:
        Task.model_validate(config)
    except ValidationError as error:
        raise ValueError(_first(error, ())) from None
    for name, then in check_stages(config):
        try:
            Task.model_validate(then)
        except ValidationError as error:
            raise ValueError(f"stages.{name}: {_first(error, ())}") from None


def renewed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's configuration with the names of today: some that older versions wrote are gone."""
    config = {key: value for key, value in config.items() if key != "video"}
    evaluation = config.get("evaluation")
    if isinstance(evaluation, Mapping) and "duration_s" in evaluation:
        config["evaluation"] = {"duration" if key == "duration_s" else key: one for key, one in evaluation.items()}
    env = config.get("env")
    if isinstance(env, Mapping) and isinstance(env.get("rewards"), Mapping):
        # Weights that changed after so many steps; stages took their place.
        terms = {
            name: {key: one for key, one in term.items() if key != "later"} if isinstance(term, Mapping) else term
            for name, term in env["rewards"].items()
        }
        config["env"] = {**env, "rewards": terms}
    return config


def check_value(path: Path, value: Any) -> None:
    """Check a key and its value, without the rest of a configuration.

    Args:
        path: The key's parts.
        value: Plain value; of a mapping only what it holds is checked, for it may be merged into more.

    Raises:
        ValueError: As for :func:`check_task`.
    """
    check_path(path)
    nested: Any = value
    for part in reversed(path):
        nested = {part: nested}
    try:
        Task.model_validate(nested)
    except ValidationError as error:
        # The axes of distillation are one value to the description, which checks them in any part.
        message = _first(error, path[:2] if path[:2] == ("algorithm", "distillation") else path)
        if message:
            raise ValueError(message) from None


def check_path(path: Path) -> None:
    """Check that a key may exist; below a mapping of patterns or an algorithm's own options any may.

    So may terms of the user's own, where the command line trusts their module.

    Raises:
        ValueError: Naming the nearest key that does.
    """
    model: type[BaseModel] | None = Task
    for depth, part in enumerate(path):
        if model is None:
            return
        if part not in model.model_fields:
            of_ones_own = issubclass(model, OwnGroup)
            if model.model_config.get("extra") == "forbid" or (of_ones_own and not trusting()):
                raise ValueError(unknown(path[: depth + 1], path[depth + 1 :], list(model.model_fields)))
            return
        model = _model_of(model.model_fields[part].annotation)


def open_siblings(path: Path) -> list[str]:
    """Return the known keys beside one whose group may hold others; none where its group may not."""
    model: type[BaseModel] | None = Task
    for part in path[:-1]:
        field = None if model is None else model.model_fields.get(part)
        model = None if field is None else _model_of(field.annotation)
    return list(model.model_fields) if model is not None and model.model_config.get("extra") == "allow" else []


def unknown(path: Path, rest: Path, siblings: Sequence[str]) -> str:
    """Return the line about a key that does not exist.

    Args:
        path: Up to the part that is unknown.
        rest: What was written behind it.
        siblings: The keys that there are in its place.
    """
    return _unknown(path, rest, siblings) + _own_hint(path)


def _own_hint(path: Path) -> str:
    model: Any = Task
    for part in path[:-1]:
        field = model.model_fields.get(part) if model else None
        model = None if field is None else _model_of(field.annotation)
    if model is None or not issubclass(model, OwnGroup):
        return ""
    return f" (one of your own: {path[-1]}={{func: my_module:function, ...}} and trust=my_module)"


def _unknown(path: Path, rest: Path, siblings: Sequence[str]) -> str:
    hint = suggest(path[-1], siblings)
    if hint:
        parent = ".".join(path[:-1])
        name = hint.split("'")[1]
        full = ".".join((parent, name, *rest)) if parent and rest else name
        return f"{'.'.join((*path, *rest))} is unknown; did you mean '{full}'? Allowed: {', '.join(siblings)}"
    last = (*path, *rest)[-1]
    found = [key for key in all_paths() if key.rpartition(".")[2] == last]
    if not found:
        # Elsewhere in the tree: only what is close enough to be a typing error.
        near = difflib.get_close_matches(last, {key.rpartition(".")[2] for key in all_paths()}, n=1, cutoff=0.75)
        found = [key for key in all_paths() if key.rpartition(".")[2] in near]
    text = ".".join((*path, *rest))
    if found:
        return f"{text} is unknown; did you mean '{found[0]}'?"
    return f"{text} is unknown. Allowed: {', '.join(siblings) or 'none'}"


def all_paths() -> list[str]:
    """Return all keys of the description, with dots, shallow ones first."""
    return sorted((".".join(path) for path in _paths(Task, ())), key=lambda key: (key.count("."), key))


def _paths(model: type[BaseModel], above: Path) -> Iterator[Path]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        below = _model_of(field.annotation)
        if below is not None:
            yield from _paths(below, (*above, name))


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is about, through ``Annotated`` and ``| None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            found = _model_of(part)
            if found is not None:
                return found
    return None


def _first(error: ValidationError, below: Path) -> str:
    """The line about the first error; unknown keys come before wrong values, for one may explain the other.

    Args:
        error: Of the whole description.
        below: Where nothing above this key was given: only errors below it count, and nothing is missing.
    """
    partial = bool(below)
    found = []
    for entry in error.errors(include_url=False):
        loc = tuple(str(part) for part in entry["loc"])
        if partial and (loc[: len(below)] != below or entry["type"] == "missing"):
            continue
        found.append((not _is_unknown(entry), loc, entry))
    if not found:
        return ""
    _, loc, entry = min(found, key=lambda item: item[0])
    return _line(loc, entry)


def _is_unknown(entry: Any) -> bool:
    return entry["type"] == "extra_forbidden" or isinstance(entry.get("ctx", {}).get("error"), Unknown)


def _line(loc: Path, entry: Any) -> str:
    path, kind = ".".join(loc), entry["type"]
    if _is_unknown(entry):
        return unknown(loc, (), _fields_at(loc[:-1]))
    if kind == "missing":
        return f"{path} is missing"
    if kind == "value_error":
        reason = entry["ctx"]["error"]
        if isinstance(reason, Rule):
            return str(reason)
        text = str(reason)
        return f"{path}={text}" if text.startswith("'") else f"{path} {text}"
    return f"{path} must be a group with the keys {', '.join(_fields_at(loc))}, got {shown(entry['input'])}"


def _fields_at(path: Path) -> list[str]:
    annotation: Any = Task
    for part in path:
        model, items = _model_of(annotation), _items_of(annotation)
        field = None if model is None else model.model_fields.get(part)
        if model is not None and field is None and issubclass(model, OwnGroup):
            annotation = _items_of(typing.get_type_hints(model, include_extras=True)["__pydantic_extra__"])
        else:
            annotation = items if model is None else None if field is None else field.annotation
    model = _model_of(annotation)
    return [] if model is None else list(model.model_fields)


def _items_of(annotation: Any) -> Any:
    """What a mapping with names of the user's own holds, None for anything else."""
    if typing.get_origin(annotation) is dict:
        return typing.get_args(annotation)[1]
    if typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        return next(filter(None, map(_items_of, typing.get_args(annotation))), None)
    return None
