"""The command line of a training: what Hydra gets, and everything that can be wrong with it, without torch."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from legged_cts.task.words import (
    TASKS,
    check_early,
    check_word,
    is_search,
    meant_key,
    parse_word,
    plain_words,
    quoted,
    search_word,
    searched,
    tree_folders,
    unknown_flag,
    unknown_option,
    values,
)

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

MOST_JOBS = 16
"""Combinations of a sweep that are checked before the first is trained; each job checks itself too."""


@dataclass(frozen=True)
class CommandLine:
    """Words and Hydra's own options, wherever they stood.

    Attributes:
        words: Overrides in the form that Hydra reads.
        flags: Hydra's options with their values.
    """

    words: list[str]
    flags: list[str] = field(default_factory=list)

    @cached_property
    def options(self) -> argparse.Namespace:
        """What the flags say."""
        return _hydras_parser().parse_args(self.flags)

    @property
    def argv(self) -> list[str]:
        """Words first, because Hydra takes none behind an option."""
        return [*self.words, *self.flags]

    @property
    def search(self) -> list[str]:
        """The override that adds the user's own folders to the task tree, as a list that may be empty."""
        given = [word for word in self.words if is_search(word)]
        folders = searched(given[-1]) if given else []
        if self.flags and self.options.config_dir is not None:
            folders.append(f"file://{Path(self.options.config_dir).resolve()}")
        return [search_word(folders)] if folders else []

    @property
    def shows_only(self) -> bool:
        """Whether nothing is to be composed and trained."""
        options = self.options
        return bool(options.help or options.hydra_help or options.shell_completion or options.experimental_rerun)


def read(argv: Sequence[str]) -> CommandLine:
    """Split a command line into words and options.

    Raises:
        ValueError: If an option is unknown, lacks its value or names no folder.
    """
    for word in argv:
        # Before Hydra is imported, which takes a second.
        if re.match(r"--?\w", word) and meant_key(word):
            raise ValueError(unknown_flag(word, []))
    flagged = any(word.startswith("-") for word in argv)
    actions = _hydras_parser()._actions if flagged else []
    known = {text: action for action in actions for text in action.option_strings}
    words, flags, rest = [], [], list(argv)
    while rest:
        word = rest.pop(0)
        name, sign, _ = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
            continue
        if name not in known:
            raise ValueError(unknown_flag(word, list(known)))
        action, flag = known[name], [word]
        choices = list(action.choices or ())
        if not sign and action.nargs is None and rest:
            flag.append(rest.pop(0))
        elif not sign and action.nargs == "?" and rest and rest[0] in choices:
            flag.append(rest.pop(0))
        given = word.partition("=")[2] if sign else flag[-1] if len(flag) > 1 else None
        if (action.nargs is None and given is None) or (given is not None and choices and given not in choices):
            raise ValueError(f"'{name}' needs {'one of ' + ', '.join(choices) if choices else 'a value'}")
        if action.nargs == 0 and sign:
            raise ValueError(f"'{name}' takes no value")
        flags += flag
    line = CommandLine(plain_words(words), flags)
    tree_folders(line.search)
    return line


def _hydras_parser() -> argparse.ArgumentParser:
    from hydra._internal.utils import get_args_parser

    return get_args_parser()


def check(line: CommandLine) -> None:
    """Check every word alone, then what they make together, for every job of a sweep.

    Raises:
        ValueError: Naming the word, and the nearest right one.
    """
    if not line.flags and not line.search:
        for word in line.words:
            check_early(word)
    if line.shows_only:
        return
    overrides = [parse_word(word) for word in line.words]
    if line.options.config_path is not None:
        return  # another tree, of which Hydra alone knows
    maybe_groups = {"experiment", *(folder.name for folder in TASKS.iterdir() if folder.is_dir())}
    for override in overrides:
        if not line.search and override.key_or_group not in maybe_groups:
            check_word(override)
    swept = [override for override in overrides if override.is_sweep_override()]
    if swept and not (line.options.multirun or line.options.cfg or line.options.info):
        raise ValueError(f"{swept[0].input_line}: several values; add -m to train one run for each")
    _check_options(line, overrides)
    if given(line.words, "resume"):
        return  # its configuration is the checkpoint's
    # Late, because a wrong word should be answered before MuJoCo is imported.
    from legged_cts.envs.fit import check_task_and_robot
    from legged_cts.training.compose import compose_task, plain

    for job in itertools.islice(jobs(line), MOST_JOBS):
        check_task_and_robot(plain(compose_task(job, line.options.config_name or "train")))


def jobs(line: CommandLine) -> list[list[str]]:
    """Return the words of every job: all combinations of what the words sweep over; a glob is left out."""
    choices = []
    for word in [*line.words, *line.search]:
        override = parse_word(word)
        if word.startswith("hydra.") and word not in line.search:
            continue
        if override.is_sweep_override():
            key = override.input_line.partition("=")[0] if override.input_line else override.key_or_group
            choices.append([f"{key}={text}" for text in override.sweep_string_iterator()] if values(override) else [])
        else:
            choices.append([word])
    return [list(job) for job in itertools.product(*(choice for choice in choices if choice))]


def _check_options(line: CommandLine, overrides: Sequence[Override]) -> None:
    from legged_cts.training.compose import group_options, groups

    name = line.options.config_name or "train"
    known = groups(name, line.search)
    for override in overrides:
        group = override.key_or_group
        if group not in known:
            check_word(override)
            continue
        for choice in () if override.is_delete() else values(override):
            if choice is None or isinstance(choice, dict):
                continue  # nothing, or keys of the group's node
            folder, _, option = str(choice).rpartition("/")
            options = group_options(f"{group}/{folder}" if folder else group, name, line.search)
            if option not in options:
                raise ValueError(unknown_option(group, str(choice), options))


def composed(words: Sequence[str]) -> list[str]:
    """Return the words that Hydra composes with the task tree; a run to resume has a configuration of its own.

    What changes that one need not fit the tree's: ``resume=<a run on rough ground> +terrain.columns=13``.
    """
    if given(words, "resume") is None:
        return list(words)
    return [word for word in words if word.startswith(("hydra.", "resume="))]


def in_run_dir(words: Sequence[str]) -> list[str]:
    """Return the words with ``hydra.run.dir`` set to the folder that ``resume=`` continues, unless given."""
    resume = given(words, "resume")
    if resume is None or given(words, "hydra.run.dir") is not None:
        return list(words)
    path = Path(resume)
    folder = path if path.is_dir() else path.parent
    return [*words, quoted("hydra.run.dir", str(folder))] if folder.is_dir() else list(words)


def given(words: Sequence[str], key: str) -> str | None:
    """Return the last value that words give a key, None where there is none or it is null."""
    found = [parse_word(word) for word in words if word.lstrip("+").startswith(f"{key}=")]
    value = values(found[-1])[:1] if found else []
    return str(value[0]) if value and value[0] not in (None, "") else None
