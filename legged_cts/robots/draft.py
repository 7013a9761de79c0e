"""A first spec of anyone's robot: read what its MJCF or URDF says, guess the rest, and mark every guess."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legged_cts.robots.doctor import Row, Status, examine_spec
from legged_cts.robots.draft_mjcf import clean
from legged_cts.robots.draft_plain import Plain, numbers
from legged_cts.robots.draft_source import DraftError, Notes, Source, listed, read_source
from legged_cts.robots.draft_yaml import Writer
from legged_cts.robots.spec import MORPHOLOGIES, RobotSpec, RobotSpecError, load_robot

# Joints of the legs get so many times the first gains, the least that stand: rows of the doctor that tell.
_FACTORS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
_SOFT = ("springs against", "stands still", "sag", "stable")


@dataclass
class Draft:
    """A first spec, not yet written."""

    name: str  # of the robot and of its folder
    source: Source  # the vendor's file as read
    plain: Plain  # the model for training
    yaml: str  # text of the robot.yaml
    notes: Notes  # what was read, changed, and is doubtful
    guesses: list[str]  # what was guessed, a line each

    def summary(self) -> str:
        """Return what was read, changed, guessed and doubted, as lines of text."""
        parts = (
            ("read", self.notes.read),
            ("changed in the copy of the model", self.notes.changed),
            ("guessed", self.guesses),
            ("warnings", self.notes.warnings),
        )
        return "\n".join(f"{title}:\n" + "\n".join(f"  - {line}" for line in lines) for title, lines in parts if lines)


def draft_robot(path: str | Path, name: str | None = None, morphology: str | None = None) -> Draft:
    """Draft the spec of a robot.

    Args:
        path: An MJCF or a URDF.
        name: Name of the robot; None takes the file's.
        morphology: One of `MORPHOLOGIES`; None guesses.

    Raises:
        DraftError: If the file cannot be read, or holds nothing that could be trained to walk.
    """
    path = Path(path).expanduser()
    if morphology is not None and morphology not in MORPHOLOGIES:
        raise DraftError(f"morphology: unknown {morphology!r} (allowed: {', '.join(MORPHOLOGIES)})")
    name = re.sub(r"[^\w-]", "_", path.stem) if name is None else name
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        raise DraftError(f"name: {name!r} does not name a folder and a robot; use letters, digits, - and _")
    notes = Notes()
    source = read_source(path, notes)
    plain, base, feet = clean(source, notes)
    writer = Writer(source, plain.compile(ground=True), notes, base, feet, morphology)
    plain.body(base).set("pos", numbers((0.0, 0.0, writer.height)))
    _even_motors(plain, writer)
    draft = Draft(name, source, plain, "", notes, writer.guesses)
    _stiffen(draft, writer)
    return draft


def _even_motors(plain: Plain, writer: Writer) -> None:
    """Give left and right the same motors: the larger armature and the smaller torque limit of a pair."""
    stance, model, elements, uneven = writer.stance, writer.stance.model, plain.joints(), []
    armature, effort = model.dof_armature[stance.dofs], model.jnt_actfrcrange[stance.ids, 1]
    for i, (joint, other) in enumerate(zip(stance.joints, writer.pairs.partner, strict=True)):
        turned, limit = max(armature[i], armature[other]), min(effort[i], effort[other])
        if (turned, limit) == (armature[i], effort[i]):
            continue
        uneven.append(joint)
        elements[joint].set("armature", numbers([turned]))
        elements[joint].set("actuatorfrcrange", numbers((-limit, limit)))
        model.dof_armature[stance.dofs[i]], model.jnt_actfrcrange[stance.ids[i]] = turned, (-limit, limit)
    if uneven:
        writer.notes.warnings.append(
            f"motors differ left and right in the file; a pair gets the larger armature and the smaller torque limit: "
            f"{listed(uneven)}"
        )


def _stiffen(draft: Draft, writer: Writer) -> None:
    """Write the YAML with the least gains that pass the doctor; say what it still finds wrong."""
    found = {_FACTORS[0]: _examined(draft, writer, _FACTORS[0])}
    for factor in _FACTORS[1:]:
        if not _soft(found[max(found)], Status.WARN, Status.FAIL):
            break
        found[factor] = _examined(draft, writer, factor)
    # Gains that help nothing stay what they were.
    good = [factor for factor, rows in found.items() if not _soft(rows, Status.FAIL)]
    best = max(found) if max(found) in good and not _soft(found[max(found)], Status.WARN) else min(good, default=1.0)
    rows = found[best] if writer.factor == best else _examined(draft, writer, best)
    draft.notes.warnings += [
        f"the doctor fails {row.name!r} ({row.measured}): {row.hint}" for row in rows if row.status is Status.FAIL
    ]


def _examined(draft: Draft, writer: Writer, factor: float) -> tuple[Row, ...]:
    """Write the YAML with gains raised by a factor, and let the doctor look at it."""
    draft.yaml = writer.text(draft.name, draft.source.path.name, factor)
    with tempfile.TemporaryDirectory(prefix="new_robot-") as scratch:
        made = _files(draft, Path(scratch) / draft.name, looks=False)
        return examine_spec(_loaded(draft, made), usd=False)[0]


def _soft(rows: Sequence[Row], *grades: Status) -> bool:
    """Whether a row that stiffer legs may mend has one of these grades, or gains are too stiff to simulate."""
    return any(row.status in grades and row.name.startswith(_SOFT) for row in rows)


def _loaded(draft: Draft, folder: Path) -> RobotSpec:
    try:
        return load_robot(folder)
    except RobotSpecError as error:
        raise DraftError(f"the drafted spec does not load: {str(error).replace(str(folder), draft.name)}") from error


def _files(draft: Draft, folder: Path, looks: bool = True) -> Path:
    """Write a draft into a new folder, with meshes to look at or without, and return the folder."""
    folder.mkdir()
    header = f"Made from {draft.source.path.name} for training. Check what is marked as a guess."
    if looks:
        draft.plain.write_meshes(folder / "meshes")
    text = draft.plain.text(draft.name, header) if looks else draft.plain.bare()
    (folder / f"{draft.name}.xml").write_text(text)
    (folder / "robot.yaml").write_text(draft.yaml)
    return folder


def write_draft(draft: Draft, folder: str | Path, overwrite: bool = False) -> Path:
    """Write robot.yaml, the MJCF and its meshes, once they are known to load.

    Args:
        draft: What to write.
        folder: Folder to make.
        overwrite: Whether files in an existing folder may be replaced; others there stay.

    Returns:
        Path of the robot.yaml.

    Raises:
        DraftError: If the folder exists already, or what would be written does not load.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and not (overwrite and folder.is_dir()):
        raise DraftError(f"{folder}: exists already; give overwrite=true to replace its files, or another output=")
    if (folder / f"{draft.name}.xml").resolve() == draft.source.path.resolve():
        itself = f"{draft.source.path.name} itself, which would be replaced"
        raise DraftError(f"{folder}: holds {itself}; give another output=")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new_robot-") as scratch:
        made = _files(draft, Path(scratch) / draft.name)
        _loaded(draft, made)
        folder.mkdir(exist_ok=True)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder / "robot.yaml"
