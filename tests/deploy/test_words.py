from dataclasses import dataclass, field

import pytest

from legged_cts.deploy.words import WordError, describe, option, parse_words


@dataclass(frozen=True)
class Options:
    path: str = field(metadata={"help": "a file"})
    count: int = option(3, "how many")
    length: float = option(0.5, "how long")
    loud: bool = option(True, "how")
    limit: int | None = option(None, "at most")


def test_words_become_fields() -> None:
    words = ["path=a=b", "count=7", "length=1e-3", "loud=false", "limit=4"]
    assert parse_words(words, Options) == Options("a=b", 7, 1e-3, False, 4)
    assert parse_words(["path=x", "limit=none"], Options) == Options("x")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["path=x", "coutn=3"], "unknown key 'coutn' in 'coutn=3'; did you mean 'count'?"),
        (["path=x", "zzz=3"], "the keys are: path, count"),
        (["path=x", "count"], "'count' is no key=value word"),
        (["path=x", "count=three"], "count: expected int, got 'three'"),
        (["path=x", "loud=yes"], "loud: expected true or false"),
        (["path=x", "path=y"], "'path' is given twice"),
        (["count=3"], "'path' is missing"),
    ],
)
def test_bad_words_are_named(words: list[str], message: str) -> None:
    with pytest.raises(WordError) as caught:
        parse_words(words, Options)
    assert message in str(caught.value)


def test_help_lists_every_key() -> None:
    assert describe(Options).splitlines()[:2] == [
        "  path=...  a file (required)",
        "  count=...  how many (default: 3)",
    ]
