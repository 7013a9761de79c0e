"""Draws a training's diagnostics: `python scripts/dashboard.py logs/go2_flat_cts/<date> [more ...] [output=...]`.

A run is its folder or its metrics.csv; several are drawn on top of each other. `--watch` draws anew every minute.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
import time

from legged_cts.deploy.words import user_errors
from legged_cts.evaluation.dashboard import draw, parse_options

PERIOD_S = 60.0


def main(argv: list[str]) -> None:
    """Draw once, or until Ctrl-C; a wrong word or file is one line on stderr and exit status 2."""
    if not argv or {"help", "-h", "--help"} & set(argv):
        print(__doc__)
        return
    with user_errors():
        options = parse_options(argv)
        print(f"picture: {draw(options.runs, options.output)}", flush=True)
        while options.watch:
            time.sleep(PERIOD_S)
            draw(options.runs, options.output)


if __name__ == "__main__":
    main(sys.argv[1:])
