"""The words of the comparing script, read before torch is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legged_cts.deploy.words import WordError, need_file, option, parse_words


@dataclass(frozen=True)
class CompareOptions:
    """The words of the script."""

    jobs: int = option(1, "runs at a time, each on its own share of the cores")
    output: str | None = option(None, "folder for runs and report; none is logs/compare/<name of the file>")
    report_only: bool = option(False, "true: report what is there, train nothing")

    def __post_init__(self) -> None:
        """Refuse fewer than one job."""
        if self.jobs < 1:
            raise ValueError(f"jobs: must be at least 1, got {self.jobs}")


def split_words(argv: Sequence[str]) -> tuple[Path, CompareOptions, list[str]]:
    """Split the command line into the comparison's file, the options, and Hydra's own words, which choose a launcher.

    Raises:
        WordError: If a word is malformed, or there is not exactly one file.
    """
    files = [word for word in argv if "=" not in word]
    if len(files) != 1:
        raise WordError("give one comparison file, such as tasks/compare/cts_ablation.yaml")
    need_file("comparison", files[0])
    hydras = [word for word in argv if word.lstrip("+").startswith(("hydra/", "hydra."))]
    words = [word for word in argv if "=" in word and word not in hydras]
    return Path(files[0]), parse_words(words, CompareOptions), hydras
