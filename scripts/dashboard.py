"""Draws trainings: `python scripts/dashboard.py logs/go2_flat_cts/<date> [more ...] [output=...] [refresh=30]`.

A run is its folder or its metrics.csv; several are drawn on top of each other. `output=` is a page (.html, which a
browser opens from disk, without a network) or a picture (.png); without it the page is `dashboard.html` in the run's
folder. `refresh=30` draws anew every 30 seconds until Ctrl-C, and the page loads itself anew.
"""

from __future__ import annotations

from legged_cts.training import ctrl_c  # noqa: F401

# isort: split
import sys
import time

from legged_cts.deploy.words import user_errors


def main(argv: list[str]) -> None:
    """Draw once, or until Ctrl-C; a wrong word or file is one line on stderr and exit status 2."""
    if not argv or {"help", "-h", "--help"} & set(argv):
        print(__doc__)
        return
    from legged_cts.evaluation.dashboard import draw, parse_options

    with user_errors():
        options = parse_options(argv)
        print(f"{'page' if options.output.suffix == '.html' else 'picture'}: "
              f"{draw(options, again=options.refresh is not None)}", flush=True)  # fmt: skip
        try:
            while options.refresh is not None:
                time.sleep(options.refresh)
                draw(options, again=True)
        except KeyboardInterrupt:
            draw(options)  # a page that waits for no other
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
