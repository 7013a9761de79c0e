"""What the site's builder does to a page: files outside the documentation are named, not linked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]*)\]\((\.\./[^)#]*)(?:#[^)]*)?\)")
ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Replace links to the repository's files by their text and path.

    Raises:
        ValueError: If there is no such file.
    """

    def named(match: re.Match[str]) -> str:
        path = (ROOT / "docs" / match[2]).resolve()
        if not path.exists():
            raise ValueError(f"docs/{page.file.src_uri}: {match[2]} does not exist")
        place = path.relative_to(ROOT).as_posix()
        return match[1] if place in match[1] else f"{match[1]} (`{place}`)"

    return LINK.sub(named, markdown)
