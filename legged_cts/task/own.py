"""Terms of the user's own: ``func: my_terms:jump_height`` where the package has functions by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, model_validator

from legged_cts.task.fields import Flag, Node, Number, PositiveRange, Rule, Unknown, leaf, one_of, suggest
from legged_cts.trust.names import is_function_name, own_function

EVENT_MODES = ("startup", "reset", "interval")
"""When an event happens: once, as episodes begin, or every so many seconds."""
PRIVILEGED_ONLY = (
    "env.observations: a term of your own is privileged, because no robot's runtime could compute it: "
    "env.observations.privileged.{name}={{func: ...}}"
)


class OwnTerm(Node):
    """A function and what it is given."""

    func: Annotated[str, leaf("module:function, as in my_terms:jump_height", is_function_name)]
    params: Annotated[Any, leaf("a mapping from the function's parameters to values", lambda v: _is_params(v))] = None


class OwnReward(OwnTerm):
    """With a weight per second of simulated time; null leaves it out, and 0 does unless a stage gives it one."""

    weight: Number | None


class OwnTermination(OwnTerm):
    """A fall, unless it is a time out: one that says nothing about how well the robot did."""

    time_out: Flag = False


class OwnEvent(OwnTerm):
    """At start-up, at every reset, or every so many seconds."""

    mode: Annotated[str, one_of(*EVENT_MODES)]
    interval_s: PositiveRange | None = None

    @model_validator(mode="after")
    def has_its_interval(self) -> OwnEvent:
        """Refuse an interval where there is none, and none where there is one."""
        if (self.mode == "interval") != (self.interval_s is not None):
            raise ValueError("needs interval_s: [least, most] with mode: interval, and with no other")
        return self


class OwnGroup(Node):
    """Terms that the package knows, and others of the user's own."""

    model_config = ConfigDict(extra="allow", strict=True)

    @model_validator(mode="after")
    def sound_names(self) -> OwnGroup:
        """Refuse names that could be no key on a command line."""
        for name in self.model_extra or {}:
            if not name.isidentifier():
                raise Rule(f"'{name}' cannot name a term of your own; take letters, digits and '_'")
        return self


def own(kind: Any) -> Any:
    """Return the type of a term of the user's own, which has a function, or of null for one that is left out."""

    def has_function(value: Any) -> Any:
        if value is not None and not (isinstance(value, Mapping) and "func" in value):
            raise Unknown
        return value

    return Annotated[kind | None, BeforeValidator(has_function)]


def own_terms(node: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return the terms of the user's own in a group, by name."""
    return {name: term for name, term in (node or {}).items() if isinstance(term, Mapping) and "func" in term}


def own_term(path: str, term: Mapping[str, Any], given: int = 1) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the function of a term and its parameters, checked against those that the function has.

    Args:
        path: Of the term, for messages.
        term: Its node.
        given: Arguments that the environment gives: itself, and for an event the environments it is about.

    Raises:
        ValueError: In one line, if the command line does not trust the module, if the function is not there, lacks a
            parameter or has no such.
    """
    function = own_function(term["func"], f"{path}.func")
    params = dict(term.get("params") or {})
    called: Any = function.__call__ if inspect.isclass(function) else function
    known = list(inspect.signature(called).parameters.values())[given + inspect.isclass(function) :]
    names = [one.name for one in known]
    for name in params:
        if name not in names:
            hint = suggest(name, names) or f"; it has {', '.join(names) or 'none'}"
            raise ValueError(f"{path}.params.{name}: {term['func']} has no such parameter{hint}")
    for one in known:
        if one.default is inspect.Parameter.empty and one.name not in params:
            raise ValueError(f"{path}.params.{one.name} is missing, which {term['func']} needs")
    return function, params


def _is_params(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and all(isinstance(name, str) for name in value))
