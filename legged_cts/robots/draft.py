"""A first spec of anyone's robot: read what its MJCF or URDF says, guess the rest, and mark every guess."""

# MuJoCo's bindings carry no types that pyright can read.
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import yaml

from legged_cts.robots.doctor.examine import examine_spec
from legged_cts.robots.doctor.report import Row, Status
from legged_cts.robots.draft_mjcf import clean, servos
from legged_cts.robots.draft_plain import Plain, numbers
from legged_cts.robots.draft_source import DraftError, Notes, Source, listed, read_source
from legged_cts.robots.draft_stance import (
    Array,
    Stance,
    find_mirror,
    holding_torque,
    joint_inertia,
    standing_height,
    standing_pose,
    swap_words,
    symmetric,
)
from legged_cts.robots.spec import RobotSpec, RobotSpecError, load_robot

MORPHOLOGIES = ("quadruped", "point_foot_biped", "humanoid")

# Gains: with the rotor's inertia known, its natural frequency and damping ratio; what the links add makes the joint
# slower and less damped than that. Without, those of all that the joint turns.
_ROTOR_HZ, _ROTOR_DAMPING = 10.0, 2.0
_LINK_HZ, _LINK_DAMPING = 3.0, 0.7
# Joints of the legs get so many times these gains, the least that stand: rows of the doctor that tell.
_FACTORS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
_SOFT = ("springs against", "stands still", "sag", "stable")
# A joint must not sag further than this under the robot's weight [rad], and must be able to use its torque [1/rad].
_SAG, _LEAST_STIFFNESS = 0.12, 0.5
# The doctor warns of more.
_MOST_HZ = 18.0
_VELOCITY = 20.0
_ACTION_SCALE = 0.25


@dataclass(frozen=True)
class _Group:
    name: str
    joints: tuple[str, ...]
    stiffness: float
    damping: float
    velocity: float
    velocity_known: bool
    reason: str


@dataclass
class Draft:
    """A first spec, not yet written.

    Attributes:
        name: Name of the robot and of its folder.
        source: The vendor's file as read.
        plain: The model for training.
        yaml: Text of the robot.yaml.
        notes: What was read, changed, and is doubtful.
        guesses: What was guessed, a line each.
    """

    name: str
    source: Source
    plain: Plain
    yaml: str
    notes: Notes
    guesses: list[str]

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
    writer = _Writer(source, plain.compile(), notes, base, feet, morphology)
    plain.body(base).set("pos", numbers((0.0, 0.0, writer.height)))
    _even_motors(plain, writer)
    draft = Draft(name, source, plain, "", notes, writer.guesses)
    _stiffen(draft, writer)
    return draft


def _even_motors(plain: Plain, writer: _Writer) -> None:
    """Give left and right the same motors: the larger armature and the smaller torque limit of a pair."""
    stance, model = writer.stance, writer.stance.model
    armature, effort = model.dof_armature[stance.dofs], model.jnt_actfrcrange[stance.ids, 1]
    place = {joint: i for i, joint in enumerate(stance.joints)}
    elements = {joint.get("name", ""): joint for joint in plain.root.iter("joint")}
    uneven = []
    for joint, i in place.items():
        other = place[writer.mirror.partner[joint]]
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


def _stiffen(draft: Draft, writer: _Writer) -> None:
    """Write the YAML with the least gains that pass the doctor; say what it still finds wrong."""
    first = _examined(draft, writer, _FACTORS[0])
    found = {_FACTORS[0]: first}
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


def _examined(draft: Draft, writer: _Writer, factor: float) -> tuple[Row, ...]:
    """Write the YAML with gains raised by a factor, and let the doctor look at it."""
    del draft.guesses[:], draft.notes.read[writer.told :]
    writer.factor = factor
    draft.yaml = writer.text(draft.name, draft.source.path.name)
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
        raise DraftError(
            f"{folder}: holds {draft.source.path.name} itself, which would be replaced; give another output="
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new_robot-") as scratch:
        made = _files(draft, Path(scratch) / draft.name)
        _loaded(draft, made)
        folder.mkdir(exist_ok=True)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder / "robot.yaml"


class _Writer:
    """Works out the fields of one spec and writes them as YAML with the reason beside each."""

    def __init__(
        self,
        source: Source,
        model: mujoco.MjModel,
        notes: Notes,
        base: str,
        feet: Sequence[str],
        morphology: str | None,
    ):
        self.source, self.notes, self.base, self.feet = source, notes, base, feet
        self.stance = Stance(model)
        model = self.stance.model
        self.foot_ids = [model.body(foot).id for foot in feet]
        self.guesses: list[str] = []
        self.factor = 1.0
        self.servos = servos(source)
        self.legs = [self.stance.chain(foot) for foot in self.foot_ids]
        self.mirror = find_mirror(self.stance)
        self.given = morphology
        self.morphology = morphology or self._morphology()
        self.pose, self.pose_reason = self._pose()
        height, clearances, lower = standing_height(self.stance, self.pose, self.foot_ids)
        self.height = math.ceil(height * 1000 - 1e-6) / 1000
        self._check(clearances, lower)
        self.told = len(notes.read)
        self.pose_guess = list(self.guesses)

    def text(self, name: str, file: str) -> str:
        """Return the robot.yaml."""
        model, mirror = self.stance.model, self.mirror
        self.guesses += self.pose_guess
        self.notes.read.append(
            f"{len(self.stance.joints)} hinges in the order of the file, their limits, {model.body_mass.sum():.4g} kg"
        )
        morphology = self._marked("morphology", self._morphology_reason()) if self.given is None else "as asked for"
        penalized = [
            model.body(i).name
            for i in range(1, model.nbody)
            if model.body(i).name not in (*self.feet, self.base) and self.stance.colliders([i])
        ]
        lines = [
            f"# First spec of {name}, drafted from {file}. Check what is marked as a guess; see docs/own_robot.md.",
            f"name: {_scalar(name)}",
            f"mjcf: {_scalar(name + '.xml')}",
            f"morphology: {self.morphology} # {morphology}",
            f"base: {_scalar(self.base)} # read: the body with the free joint",
            f"feet: {_flow(self.feet)} # {self._marked('feet', 'the leaf bodies that reach lowest')}",
            "# Bodies whose touching the ground is penalised; touching with the base ends the episode.",
            f"penalized_contacts: {_flow(penalized)} # "
            + self._marked("penalized_contacts", "every other body with a collider"),
            "# read: the order of joints in observations, actions and policies, which is the file's.",
            "joints:",
            *(f"  - {_scalar(joint)}" for joint in self.stance.joints),
            "# The pose that action 0 asks for [rad], and the height of the base above flat ground in it [m].",
            f"nominal_pose: # {self.pose_reason}",
            *(f"  {_scalar(pattern)}: {value:g}" for pattern, value in self._patterns(self.pose)),
            f"nominal_height: {self.height:g} # computed: the lowest foot touches in that pose",
            "# PD gains at the joint [N m/rad], [N m s/rad] and no-load speed [rad/s]; the torque limit is the MJCF's.",
            "actuators:",
        ]
        for group in self._groups():
            lines += [
                f"  {_scalar(group.name)}:",
                f"    joints: {_flow(self._cover(group.joints))}",
                f"    stiffness: {group.stiffness:g} # {group.reason}",
                f"    damping: {group.damping:g} # {group.reason}",
                f"    velocity_limit: {group.velocity:g} # "
                + ("read from the file" if group.velocity_known else "guess: the file has none"),
            ]
        signs = np.array([mirror.sign[joint] for joint in self.stance.joints])
        lines += [
            f"action_scale: {_ACTION_SCALE} # {self._marked('action_scale', 'a common value')}",
            "# Joints are mirrored left to right by swapping names, with these signs.",
            "mirror:",
            f"  swap: {_flow_mapping(mirror.words)} # {self._swap_reason()}",
            "  sign: # computed from the axes of the joints"
            + (f", off by up to {mirror.error:.2g} m" if mirror.error > 1e-3 else ""),
            *(f"    {_scalar(pattern)}: {value:g}" for pattern, value in self._patterns(signs)),
        ]
        return "\n".join(lines) + "\n"

    def _marked(self, field: str, reason: str) -> str:
        self.guesses.append(f"{field}: {reason}")
        return f"guess: {reason}"

    # The fields.

    def _sole(self) -> float:
        """Length [m] of the longest foot; balls and wheels touch at points."""
        self.stance.place(self.stance.zero)
        spans = [0.0]
        for foot in self.foot_ids:
            sides = [self._touching(geom) for geom in self.stance.colliders([foot])]
            spans.append(float(np.ptp(np.array(sides))))
        return max(spans)

    def _touching(self, geom: int) -> tuple[float, float]:
        """From where to where [m], fore and aft, a shape touches the ground that it stands on."""
        model, data = self.stance.model, self.stance.data
        kind = mujoco.mjtGeom(int(model.geom_type[geom]))
        if kind not in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
            return self.stance.extent(geom, 0)
        axis = data.geom_xmat[geom].reshape(3, 3)[:, 2]
        if kind == mujoco.mjtGeom.mjGEOM_CYLINDER and abs(axis[2]) > 0.7:
            return self.stance.extent(geom, 0)
        half = 0.0 if kind == mujoco.mjtGeom.mjGEOM_SPHERE else float(model.geom_size[geom, 1] * abs(axis[0]))
        centre = float(data.geom_xpos[geom, 0])
        return centre - half, centre + half

    def _morphology(self) -> str:
        if len(self.feet) > 2:
            return "quadruped"
        flat = self._sole() > 0.12 * self.stance.reach()
        return "humanoid" if flat or min(len(leg) for leg in self.legs) > 4 else "point_foot_biped"

    def _morphology_reason(self) -> str:
        if len(self.feet) > 2:
            return f"it has {len(self.feet)} feet"
        return f"{len(self.feet)} feet, soles of {100 * self._sole():.0f} cm, {len(self.legs[0])} joints a leg"

    def _pose(self) -> tuple[Array, str]:
        stance, source = self.stance, self.source
        if source.key is not None:
            given = stance.pose_of(source.pose)
            pose, changed = symmetric(stance, self.mirror, given)
            _, clearances, lower = standing_height(stance, pose, self.foot_ids)
            if max(clearances) > 0.1 * stance.reach() or lower:
                what = f"{', '.join(lower[:3])} lower than the feet" if lower else f"a foot {max(clearances):.2f} m up"
                self.notes.warnings.append(
                    f"the key frame {source.key!r} does not stand ({what}): another pose is searched"
                )
            else:
                if changed > 1e-3:
                    self.notes.warnings.append(
                        f"the key frame {source.key!r} was neither symmetric nor within the limits; changed by up to "
                        f"{changed:.2g} rad"
                    )
                self.notes.read.append(f"the nominal pose from the key frame {source.key!r}")
                return pose, f"read from the key frame {source.key}"
        flat = self.morphology == "humanoid"
        pose, crouch = stance.zero, 0.0
        for crouch in (0.75, 0.84, 0.92) if len(self.feet) > 2 else (0.92,):
            pose = standing_pose(stance, self.mirror, self.foot_ids, crouch, flat)
            effort = stance.model.jnt_actfrcrange[stance.ids, 1]
            # Legs that weak motors can hold.
            if (np.abs(holding_torque(stance, pose, self.foot_ids)) < 0.7 * effort).all():
                break
        return pose, self._marked("nominal_pose", f"feet under the weight, legs bent to {100 * crouch:.0f} %")

    def _check(self, clearances: Sequence[float], lower: Sequence[str]) -> None:
        warn = self.notes.warnings.append
        if max(clearances) > 0.02:
            warn(f"in the nominal pose a foot hangs {100 * max(clearances):.1f} cm above the ground: change the pose")
        if lower:
            warn(f"in the nominal pose {', '.join(lower)} reach lower than the feet: change the pose or the feet")
        if self.height <= 0:
            raise DraftError(
                "the feet are above the base in the pose that was found: give the MJCF a key frame 'stand'"
            )
        if len(self.feet) in (1, 3):
            warn(f"{len(self.feet)} feet found; a walking robot has an even number as a rule: check feet")
        if self.mirror.unpaired:
            warn(f"no mirror image of {', '.join(self.mirror.unpaired)}: complete mirror.swap, or rename the joints")
        elif self.mirror.error > 1e-3:
            warn(
                f"the mirrored robot misses itself by up to {self.mirror.error:.2g} m: left and right differ in the "
                "model, or a pair in mirror.swap is wrong"
            )
        if not self.stance.model.dof_armature[self.stance.dofs].all():
            warn("joints without armature: the reflected inertia of motor and gear matters on most robots; look it up")
        model = self.stance.model
        if not all(math.isfinite(mass) and mass > 0 for mass in model.body_mass[1:]):
            empty = [model.body(i).name for i in range(1, model.nbody) if model.body_mass[i] <= 0]
            warn(f"bodies without mass: {', '.join(empty)}")

    def _swap_reason(self) -> str:
        mirror = self.mirror
        if mirror.by_place:
            return self._marked("mirror.swap", "pairs of joints at mirrored places, since their names do not tell")
        return "read from the names"

    def _groups(self) -> list[_Group]:
        """Group joints of equal gains and speed; each kind of joint (left and right, front and rear) has one gain."""
        stance, model = self.stance, self.stance.model
        armature = model.dof_armature[stance.dofs]
        effort = model.jnt_actfrcrange[stance.ids, 1]
        holding = np.abs(holding_torque(stance, self.pose, self.foot_ids))
        inertia = joint_inertia(stance, self.pose)
        groups: dict[tuple, list[str]] = {}
        reasons: dict[tuple, str] = {}
        legged = {i for leg in self.legs for i in leg}
        for kind in self._kinds().values():
            ids = [stance.joints.index(joint) for joint in kind]
            known = armature[ids].min() > 0
            turned = float(armature[ids].max() if known else inertia[ids].max())
            hertz, ratio = (_ROTOR_HZ, _ROTOR_DAMPING) if known else (_LINK_HZ, _LINK_DAMPING)
            stiffness = turned * (2 * math.pi * hertz) ** 2
            # What a strong motor asks for ends where the doctor warns of a high frequency.
            most = float(inertia[ids].min()) * (2 * math.pi * _MOST_HZ) ** 2
            least = max(float(holding[ids].max()) / _SAG, min(_LEAST_STIFFNESS * float(effort[ids].min()), most))
            factor = self.factor if legged & set(ids) else 1.0
            raised = least > stiffness or factor > 1
            stiffness = float(f"{max(stiffness, least) * factor:.3g}")
            hertz = math.sqrt(stiffness / turned) / (2 * math.pi)
            passive = float(model.dof_damping[stance.dofs[ids]].max())
            damping = 2 * ratio * math.sqrt(stiffness * turned)
            damping = float(f"{max(damping - passive, 0.2 * damping):.3g}")
            speeds = [self.source.velocity_limit.get(joint) for joint in kind]
            read = [speed for speed in speeds if speed is not None]
            speed = min(read) if len(read) == len(kind) else _VELOCITY
            of = f"armature {turned:.3g}" if known else f"its links' {turned:.2g} kg m^2"
            why = ", raised to carry the weight" if raised else ""
            vendor = self._vendor(kind)
            key = (stiffness, damping, speed, float(len(read) == len(kind)), vendor)
            groups.setdefault(key, []).extend(kind)
            reasons[key] = f"guess: {hertz:.3g} Hz, damping ratio {ratio:g} with {of}{why}{vendor}"
        self.guesses.append("actuators: gains from the inertia of the joints, see the remarks")
        if any(not key[3] for key in groups):
            self.guesses.append(f"actuators: a no-load speed of {_VELOCITY:g} rad/s where the file has none")
        ordered = [(key, tuple(j for j in stance.joints if j in joints)) for key, joints in groups.items()]
        return [
            _Group(
                "all" if len(ordered) == 1 else f"group_{i}", joints, key[0], key[1], key[2], bool(key[3]), reasons[key]
            )
            for i, (key, joints) in enumerate(ordered, 1)
        ]

    def _vendor(self, joints: Sequence[str]) -> str:
        """Return the gains of the servos that the file has, to be compared with the guess."""
        gains = [servo.gains for joint in joints if (servo := self.servos.get(joint)) and servo.gains]
        if not gains:
            return ""
        pairs = sorted({f"{stiffness:g} and {damping:g}" for stiffness, damping in gains})
        return f"; the file's own servos have {', '.join(pairs)}"

    # Names.

    def _kinds(self) -> dict[str, list[str]]:
        """Joints by what their names have in common once sides and numbers are left out."""
        sides = {word: "*" for pair in self.mirror.words.items() for word in pair}
        whole = any(joint in sides for joint in self.stance.joints)
        kinds: dict[str, list[str]] = {}
        for joint in self.stance.joints:
            kind = re.sub(r"\d+", "*", joint if whole else swap_words(joint, sides))
            kinds.setdefault(kind, []).append(joint)
        if whole:
            # Names that are swapped whole tell nothing about kinds, but partners are of one kind.
            for joint, other in self.mirror.partner.items():
                home = next(kind for kind, joints in kinds.items() if joint in joints)
                away = next(kind for kind, joints in kinds.items() if other in joints)
                if home != away:
                    kinds[home] += kinds.pop(away)
        return kinds

    def _patterns(self, values: Array) -> list[tuple[str, float]]:
        """Return patterns that give each joint its value, one for the joints of a kind that have the same."""
        given = dict(zip(self.stance.joints, values.tolist(), strict=True))
        found = []
        for kind in self._kinds().values():
            by_value: dict[float, list[str]] = {}
            for joint in kind:
                by_value.setdefault(given[joint] + 0.0, []).append(joint)
            found += [(self._pattern(joints), value) for value, joints in by_value.items()]
        return found

    def _cover(self, joints: Sequence[str]) -> list[str]:
        if set(joints) == set(self.stance.joints):
            return [".*"]
        parts = [[joint for joint in kind if joint in joints] for kind in self._kinds().values()]
        return [self._pattern(part) for part in parts if part]

    def _pattern(self, joints: Sequence[str]) -> str:
        """Return a regular expression, as short as possible, that fits these joints' names and no other's."""
        if len(joints) == 1:
            return re.escape(joints[0])
        ordered = sorted(joints, key=self.stance.joints.index)
        prefix = os.path.commonprefix(ordered)
        suffix = os.path.commonprefix([joint[len(prefix) :][::-1] for joint in ordered])[::-1]
        # Whole words read better: `.*_knee_joint`, not `.*t_knee_joint` for left and right.
        words = re.sub(r"[^\W_]+$", "", prefix), re.sub(r"^[^\W_]+", "", suffix)
        for start, end in (words, (prefix, suffix)):
            pattern = f"{re.escape(start)}.*{re.escape(end)}"
            if [joint for joint in self.stance.joints if re.fullmatch(pattern, joint)] == ordered:
                return pattern
        middles = [re.escape(joint[len(prefix) : len(joint) - len(suffix)]) for joint in ordered]
        return f"{re.escape(prefix)}({'|'.join(middles)}){re.escape(suffix)}"


def _scalar(text: str) -> str:
    """Return a string as YAML, quoted where it has to be."""
    return yaml.safe_dump(text, width=10000).splitlines()[0]


def _flow(items: Sequence[str]) -> str:
    return yaml.safe_dump(list(items), default_flow_style=True, width=10000).strip()


def _flow_mapping(items: dict[str, str]) -> str:
    return yaml.safe_dump(items, default_flow_style=True, width=10000, sort_keys=False).strip()
