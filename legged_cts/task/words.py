"""Hydra's words, ``key=value``: brought into one form, read, and checked one by one without composing anything.

Hydra takes a second to import, so it is imported where its grammar is needed and not before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legged_cts import beside
from legged_cts.task.check import all_paths, check_path, check_value, open_siblings
from legged_cts.task.fields import suggest
from legged_cts.trust.names import trusting

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

TASKS = beside("tasks")
"""The Hydra tree."""
MOST_VALUES = 1000
"""Of one word of a sweep."""
PATHS = ("resume", "checkpoint", "robot", "hydra.run.dir", "hydra.sweep.dir")
"""Keys whose values are paths, which may hold what Hydra's grammar reads as its own."""
SHORT: dict[str, Callable[[str], list[str]]] = {
    "environments": lambda value: [f"env.scene.num_envs={value}"],
    "pushes": lambda value: _pushes(value),
}
"""Words that all scripts share, and what they mean in the task tree."""
_PLAIN = {
    re.compile(r"[-+]?[0-9]{1,18}"): int,
    re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?"): float,
    re.compile(r"(?i)true|false"): lambda text: text.lower() == "true",
    re.compile(r"(?i)null"): lambda text: None,
    re.compile(r"(?!(?i:nan|inf|true|false|null)$)[A-Za-z_][A-Za-z0-9_]*"): str,
}
"""Values that mean in Hydra's grammar what they seem to."""
_OWN = re.compile(
    r"env\.(rewards|terminations|events|observations\.privileged)\.\w+=\{.*\bfunc\s*:.*"
    r"|terrain\.kinds\.\w+=\{.*\bkind\s*:.*",
    re.DOTALL,
)
_GROUPS = ("stages", "terrain.kinds", "env.rewards", "env.randomization", "env.gait", "env.terminations")
_NAMED = (("stages",), ("terrain", "kinds"))
"""Groups whose parts have names of their own, which the task description does not know."""
_REWARD = re.compile(r"([+]*env\.rewards\.\w+)=([-+]?[\d.][\d.eE+,-]*)")


def _pushes(value: str) -> list[str]:
    """Return what ``pushes=`` means: a velocity [m/s], of which 0 is none at all, or whether there are any."""
    off = [_is_zero(part) for part in value.split(",")]
    if any(off) and len(off) > 1:
        raise ValueError(f"pushes={value}: a sweep cannot hold 0, which is no push at all; run that one for itself")
    if off[0] or value.lower() in ("false", "null"):
        return ["env.pushes.enabled=false"]
    speed = [] if value.lower() == "true" else [f"env.pushes.lin_vel={value}"]
    return ["env.pushes.enabled=true", *speed]


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0.0
    except ValueError:
        return False


def plain_words(words: Sequence[str]) -> list[str]:
    """Return words as Hydra reads them.

    Short words become the keys they stand for; a reward that is given a bare number is given its weight, and keeps its
    parameters; paths that exist are quoted where Hydra's grammar would take them apart.
    """
    result = []
    for word in words:
        key, sign, value = word.partition("=")
        reward = _REWARD.fullmatch(word)
        if sign and key in SHORT:
            result += SHORT[key](value)
        elif key.lstrip("+") == "experiment":
            # The tree's root knows the group, where others have to add it; none is what there is without the word.
            result += [] if value == "null" else [f"experiment={value}"]
        elif reward:
            result.append(f"{reward[1]}.weight={reward[2]}")
        elif _OWN.fullmatch(word):
            result.append(f"++{word}")  # a term of the user's own, which the tree need not have
        elif sign and _needs_quotes(key, value):
            result.append(quoted(key, value))
        else:
            result.append(word)
    return result


def quoted(key: str, value: str) -> str:
    """Return ``key='value'``, which Hydra reads as this very text."""
    return key + "='" + re.sub(r"(\\*)(')", r"\1\1\\\2", value) + "'"


def parse_word(word: str) -> Override:
    """Read one word.

    Raises:
        ValueError: One line that says what is wrong with it.
    """
    key, sign, value = word.partition("=")
    if not sign and not word.startswith("~"):
        raise ValueError(f"'{word}' is no key=value word{_hint(word.lstrip('-'))}")
    if not re.fullmatch(r"[+~]*[\w@/:-]+(\.[\w@/:-]+)*", key):
        raise ValueError(f"{word:.200}: '{key:.100}' is no key")
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(word)
    except (HydraException, RecursionError) as error:
        raise ValueError(f"{word:.200}: cannot be read; put quotes around the value: \"{key}='...'\"") from error


def searched(word: str) -> list[str]:
    """Return the folders that an override of ``hydra.searchpath`` names, as it names them.

    Raises:
        ValueError: If it is no list, or a folder does not exist.
    """
    found = values(parse_word(word))[0]
    if not isinstance(found, list):
        raise ValueError(f"{word}: must be a list, as in hydra.searchpath=[my_folder]")
    for folder in map(str, found):
        path = folder.removeprefix("file://")
        if "://" not in path and not Path(path).is_dir():
            raise ValueError(f"hydra.searchpath, --config-dir: there is no folder {path}")
    return [str(folder) for folder in found]


def search_word(folders: Sequence[str]) -> str:
    """Return the override that adds folders to the task tree."""
    return f"hydra.searchpath=[{','.join(repr(folder) for folder in folders)}]"


def is_search(word: str) -> bool:
    """Whether a word adds folders to the task tree."""
    return word.lstrip("+").startswith("hydra.searchpath=")


def tree_folders(words: Sequence[str]) -> list[Path]:
    """Return the folders of the task tree: ours, then the user's own that the words add."""
    own = [folder.removeprefix("file://") for word in words if is_search(word) for folder in searched(word)]
    return [TASKS, *(Path(folder) for folder in own if "://" not in folder)]


def check_early(word: str) -> None:
    """Check as much of a word as needs neither Hydra's grammar nor the user's own folders.

    Raises:
        ValueError: As for :func:`check_word`.
    """
    match = re.fullmatch(r"\+{0,2}(\w+(?:\.\w+)*)=(.*)", word, re.DOTALL)
    if match is None or match[1].partition(".")[0] in ("hydra", "experiment"):
        return
    key, text = match[1], match[2]
    value = next((read(text) for pattern, read in _PLAIN.items() if pattern.fullmatch(text)), ...)
    options = group_files(key, [TASKS])
    if not options:
        check_path(tuple(key.split(".")))
        if not word.startswith("+") and not trusting():
            _check_open_key(key)
        if value is not ...:
            check_value(tuple(key.split(".")), value)
    elif isinstance(value, str) and value not in options:
        raise ValueError(unknown_option(key, value, list(options)))


def _check_open_key(key: str) -> None:
    """Refuse a key of an algorithm or a network that neither the description nor a file of the tree knows."""
    path = tuple(key.split("."))
    siblings, name = open_siblings(path), path[-1]
    for group in _NAMED:
        if path[: len(group)] == group and len(path) > len(group):
            name, siblings = path[len(group)], _names_within(group[-1])
            key = ".".join((*group, name))
    if siblings and name not in siblings:
        pattern = re.compile(rf"(?<!\w){re.escape(name)}\s*:")
        if not any(pattern.search(path.read_text()) for path in TASKS.rglob("*.yaml")):
            hint = suggest(name, siblings)
            raise ValueError(f"{key} is unknown{hint or '.'} Allowed: {', '.join(siblings)}; +{key}=... adds a key")


def _names_within(group: str) -> list[str]:
    """Return the names that the tree's files have below a group of this name, at whatever depth it stands."""
    from legged_cts.trust.yaml_file import load_yaml  # late: few words ask

    found: dict[str, None] = {}

    def walk(node: Any) -> None:
        if isinstance(node, Mapping):
            found.update(dict.fromkeys(node[group]) if isinstance(node.get(group), Mapping) else {})
            for inner in node.values():
                walk(inner)

    for path in sorted(TASKS.rglob("*.yaml")):
        walk(load_yaml(path))
    return list(found)


def check_word(override: Override) -> None:
    """Check the key and the values of an override that chooses no option of a group.

    Raises:
        ValueError: Naming the nearest key, or what its value may be.
    """
    key = override.key_or_group
    if key.partition(".")[0] == "hydra" or "@" in key or "/" in key:
        return
    path = tuple(key.split("."))
    check_path(path)
    if override.is_delete():
        return
    for value in values(override):
        if value == {} and (key := override.key_or_group) in _GROUPS:
            raise ValueError(f"{key}={{}} changes nothing; {key}=null leaves out what it has")
        if value is None and path[:-1] in _NAMED and override.is_add() and not override.is_force_add():
            raise ValueError(f"+{'.'.join(path)}=null changes nothing; without the + it leaves out what has that name")
        if not isinstance(value, str) or ("${" not in value and value != "???"):
            check_value(path, value)


def check_overrides(words: Sequence[str], own: Iterable[str] = ()) -> None:
    """Check overrides of a configuration that is already composed.

    Args:
        words: The overrides.
        own: Words of the script itself, which may have been meant.

    Raises:
        ValueError: Naming the word and the nearest right one.
    """
    folders = tree_folders(words)
    for word in words:
        if word.startswith("-"):
            raise ValueError(unknown_flag(word, [f"--{name}" for name in own]))
        near = suggest(word.partition("=")[0], own)
        try:
            if len(folders) == 1:
                check_early(word)
            override = parse_word(word)
            if override.is_sweep_override():
                raise ValueError(f"{word}: a sweep over values is not possible here; give one value")
            options = group_files(override.key_or_group, folders)
            if not (options and isinstance(override.value(), str)):
                check_word(override)
            elif override.value() not in options:
                raise ValueError(unknown_option(override.key_or_group, str(override.value()), list(options)))
        except ValueError as error:
            text = str(error)
            raise ValueError(f"'{word}' is unknown{near}" if near and "is unknown" in text else text) from None


def group_files(group: str, folders: Sequence[Path]) -> dict[str, Path]:
    """Return the files of a group's options, by option, in folders of the task tree; the first folder's hold."""
    # A comparison's file is another script's; a path of its own would lead out of the folders.
    inside = [] if group.startswith(("/", "compare")) else [folder / group for folder in folders]
    found = [path for folder in inside for path in sorted(folder.glob("*.yaml"))]
    return {path.stem: path for path in reversed(found)}


def unknown_option(group: str, option: str, options: Sequence[str]) -> str:
    """Return the line about an option that a group lacks."""
    hint = suggest(option, options)
    return f"{group}='{option}' is unknown{hint or '.'} Allowed: {', '.join(sorted(options)) or '(there are none)'}"


def values(override: Override) -> list[Any]:
    """Return the plain value of an override, or the values that it sweeps over.

    Raises:
        ValueError: If they are too many.
    """
    swept = override.value()
    if not override.is_sweep_override():
        return [_unquoted(swept)]
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import RangeSweep
    from hydra.errors import HydraException

    if isinstance(swept, RangeSweep):
        start, stop = swept.start or 0, swept.stop or 0
        if not swept.step or not abs(stop - start) <= MOST_VALUES * abs(swept.step):
            raise ValueError(f"{override.input_line}: a sweep over more than {MOST_VALUES} values")
    try:
        return [
            _unquoted(OverridesParser.create().parse_override(f"key={text}").value())
            for text in override.sweep_string_iterator()
        ]
    except (HydraException, NotImplementedError):
        return []  # a glob, which Hydra expands


def given_keys(words: Sequence[str]) -> list[str]:
    """Return the keys, with dots, of the leaves that words give; what takes a group away gives all below it."""
    return [key for override in map(parse_word, words) for key in _keys(override)]


def _keys(override: Override) -> list[str]:
    given = _unquoted(override.value()) if not override.is_sweep_override() and not override.is_delete() else None
    return _below(override.key_or_group, given)


def _below(key: str, given: Any) -> list[str]:
    if not isinstance(given, dict):
        return [key]
    return [below for name, value in given.items() for below in _below(f"{key}.{name}", value)]


def unknown_flag(flag: str, flags: Sequence[str]) -> str:
    """Return the line about an option that starts with dashes and is none."""
    name = flag.partition("=")[0]
    near = _hint(_key_of(name))
    return f"'{name}' is no option{near or suggest(name, flags) or '; words are key=value, without dashes'}"


def meant_key(flag: str) -> str | None:
    """Return the key of the task that is written as an option, None where it is none."""
    return next((path for path in [*SHORT, *all_paths()] if path.rpartition(".")[2] == _key_of(flag)), None)


def _key_of(flag: str) -> str:
    return flag.partition("=")[0].lstrip("-").replace("-", "_")


def _hint(key: str) -> str:
    last = meant_key(key)
    if last:
        return f"; did you mean '{last}=...'?"
    return suggest(key, [*SHORT, *all_paths()]) if key else ""


def _needs_quotes(key: str, value: str) -> bool:
    plain = re.fullmatch(r"[\w./~:$*%+@?|-]*", value) or value[:1] in ("'", '"') or "${" in value
    if plain or (key.lstrip("+") not in PATHS and "/" not in value):
        return False
    try:
        return Path(value).exists()
    except OSError:
        return False


def _unquoted(value: Any) -> Any:
    """Plain values of what Hydra's parser returns, whose quoted texts are objects of their own, also as keys."""
    if isinstance(value, dict):
        return {str(_unquoted(key)): _unquoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    return getattr(value, "text", value) if type(value).__name__ == "QuotedString" else value
