"""The command `legged-cts`: each script of `scripts/` under one name, with nothing imported but the one that runs."""

from __future__ import annotations

import ast
import difflib
import runpy
import sys
from pathlib import Path

from legged_cts import beside


def commands() -> dict[str, Path]:
    """The scripts by the names of their commands."""
    return {path.stem.replace("_", "-"): path for path in sorted(beside("scripts").glob("*.py"))}


def overview() -> str:
    """One line for each command: what its script says of itself."""
    lines = [f"  {name:14}{_summary(path)}" for name, path in commands().items()]
    return "\n".join(["legged-cts <command> key=value ...; <command> --help lists its words", *lines])


def _summary(path: Path) -> str:
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    return first.partition(": `")[0].rstrip(".")


def main() -> None:
    """Run the command that the first word names; a wrong one is one line on stderr and exit status 2."""
    name, *words = sys.argv[1:] or ["help"]
    if name in ("help", "-h", "--help"):
        print(overview())
        return
    found = commands()
    script = found.get(name.replace("_", "-"))
    if script is None:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"the commands are: {', '.join(found)}"
        print(f"legged-cts: there is no command '{name:.40}'; {hint}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [str(script), *words]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except ModuleNotFoundError as error:
        if (error.name or "legged_cts").startswith("legged_cts"):
            raise
        print(f"legged-cts {name}: needs '{error.name}': pip install 'legged_cts[train]'", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
