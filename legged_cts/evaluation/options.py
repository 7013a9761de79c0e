"""The words of the evaluation, read before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from legged_cts.deploy.words import WordError, need_checkpoint, option, parse_words
from legged_cts.task.words import check_overrides, plain_words, search_word
from legged_cts.terrain.courses import choose, speeds

ROLES = ("student", "teacher", "both")


@dataclass(frozen=True)
class EvaluateOptions:
    """The words of the script itself; every other word is an override of the task."""

    checkpoint: str | None = option(None, "checkpoint, or the folder of a run")
    policy: str | None = option(None, "instead: ONNX file, a folder with one, or a shipped policy's name")
    role: str = option("both", "student, teacher or both")
    episodes: int = option(64, "episodes per role")
    duration: float = option(20.0, "length of an episode [s]")
    response: bool = option(True, "also measure standing, and commanded against achieved speed")
    courses: str | None = option(None, "instead of episodes: all, or names and groups of courses, as stairs_up,flat")
    speeds: str = option("0.4,0.8", "commanded on courses [m/s], negative backwards")
    output: str | None = option(
        None, "folder for evaluation.csv, .json and .png and response.csv and .json; none is that of the policy"
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            ValueError: Naming the word and what it may be.
        """
        if (self.checkpoint is None) == (self.policy is None):
            raise WordError("give either checkpoint=<file or run folder> or policy=<ONNX file, folder or shipped name>")
        if self.role not in ROLES:
            raise WordError(f"role must be one of {', '.join(ROLES)}, got '{self.role}'")
        if self.episodes < 1:
            raise WordError(f"episodes must be at least 1, got {self.episodes}")
        if self.courses is not None:
            choose(self.courses)
        speeds(self.speeds)
        need_checkpoint(self.checkpoint)
        if self.policy is not None:
            from legged_cts.deploy.policy_file import policy_file  # late: it imports MuJoCo

            policy_file(self.policy)


def split_words(argv: Sequence[str]) -> tuple[EvaluateOptions, list[str]]:
    """Split the command line into the script's own words and overrides of the task.

    Raises:
        ValueError: If a word is wrong, or not exactly one of ``checkpoint`` and ``policy`` is given.
    """
    own = {field.name for field in fields(EvaluateOptions)}
    overrides = plain_words(_searching([word for word in argv if word.partition("=")[0] not in own]))
    check_overrides(overrides, own)
    return parse_words([word for word in argv if word.partition("=")[0] in own], EvaluateOptions), overrides


def _searching(words: Sequence[str]) -> list[str]:
    """Return words with ``--config-dir`` as the override of ``hydra.searchpath`` that it stands for."""
    rest, result = list(words), []
    while rest:
        word = rest.pop(0)
        name, sign, folder = word.partition("=")
        if name != "--config-dir" or not (sign or rest):
            result.append(word)
            continue
        folder = folder if sign else rest.pop(0)
        result.insert(0, search_word([f"file://{Path(folder).resolve()}"]))
    return result
