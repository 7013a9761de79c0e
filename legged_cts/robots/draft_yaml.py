"""The robot.yaml of a draft: works out the fields of one spec and writes them with the reason beside each."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import mujoco
import numpy as np
import yaml

from legged_cts.robots.draft_mjcf import pose_of, servos
from legged_cts.robots.draft_pose import find_pairs, standing_height, standing_pose, swap_words, symmetric
from legged_cts.robots.draft_source import DraftError, Notes, Source
from legged_cts.robots.posed import Array, Posed

# Gains: with the rotor's inertia known, its natural frequency and damping ratio; what the links add makes the joint
# slower and less damped than that. Without, those of all that the joint turns.
_ROTOR_HZ, _ROTOR_DAMPING = 10.0, 2.0
_LINK_HZ, _LINK_DAMPING = 3.0, 0.7
# A joint must not sag further than this under the robot's weight [rad], and must be able to use its torque [1/rad].
_SAG, _LEAST_STIFFNESS = 0.12, 0.5
# The doctor warns of more.
_MOST_HZ = 18.0
_VELOCITY = 20.0
_ACTION_SCALE = 0.25
_ROUND = (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER)


class _Gains(NamedTuple):
    stiffness: float
    damping: float
    velocity: float
    velocity_known: bool
    vendor: str
    reason: str


class Writer:
    """Works out the spec of a model with a ground, whose base and feet have these names; a morphology is asked for."""

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
        # At the pose nearest to 0.
        self.stance = Posed(model, feet=feet)
        self.guesses: list[str] = []
        self.factor = 1.0
        self.servos = servos(source)
        self.legs = [self.stance.chain(foot) for foot in self.stance.feet.tolist()]
        self.pairs = find_pairs(self.stance)
        self._why = ""
        self.morphology = morphology or self._morphology()
        self.pose, self.pose_reason = self._pose()
        height, clearances, lower = standing_height(self.stance, self.pose)
        self.height = math.ceil(height * 1000 - 1e-6) / 1000
        self._check(clearances, lower)
        self._told, self._guessed = len(notes.read), list(self.guesses)

    def text(self, name: str, file: str, factor: float) -> str:
        """Return the robot.yaml, gains of the legs raised by a factor; notes and guesses become those of this text."""
        del self.notes.read[self._told :]
        self.factor, self.guesses[:] = factor, self._guessed
        stance, pairs = self.stance, self.pairs
        self.notes.read.append(
            f"{len(stance.joints)} hinges in the order of the file, their limits, {stance.model.body_mass.sum():.4g} kg"
        )
        morphology = self._marked("morphology", self._why) if self._why else "as asked for"
        bodies = [stance.body_name(i) for i in range(1, stance.model.nbody) if stance.colliders([i])]
        place = "pairs of joints at mirrored places, since their names do not tell"
        penalized = [body for body in bodies if body not in (*self.feet, self.base)]
        lines = [
            f"# First spec of {name}, drafted from {file}. Check what is marked as a guess; see docs/own_robot.md.",
            f"name: {_scalar(name)}",
            f"mjcf: {_scalar(name + '.xml')}",
            f"morphology: {self.morphology} # {morphology}",
            f"base: {_scalar(self.base)} # read: the body with the free joint",
            f"feet: {_flow(list(self.feet))} # {self._marked('feet', 'the leaf bodies that reach lowest')}",
            "# Bodies whose touching the ground is penalised; touching with the base ends the episode.",
            f"penalized_contacts: {_flow(penalized)} # "
            + self._marked("penalized_contacts", "every other body with a collider"),
            "# read: the order of joints in observations, actions and policies, which is the file's.",
            "joints:",
            *(f"  - {_scalar(joint)}" for joint in stance.joints),
            "# The pose that action 0 asks for [rad], and the height of the base above flat ground in it [m].",
            f"nominal_pose: # {self.pose_reason}",
            *(f"  {_scalar(pattern)}: {value:g}" for pattern, value in self._patterns(self.pose)),
            f"nominal_height: {self.height:g} # computed: the lowest foot touches in that pose",
            "# PD gains at the joint [N m/rad], [N m s/rad] and no-load speed [rad/s]; the torque limit is the MJCF's.",
            "actuators:",
            *self._actuators(),
            f"action_scale: {_ACTION_SCALE} # {self._marked('action_scale', 'a common value')}",
            "# Joints are mirrored left to right by swapping names, with these signs.",
            "mirror:",
            f"  swap: {_flow(pairs.words)} # "
            + (self._marked("mirror.swap", place) if pairs.by_place else "read from the names"),
            "  sign: # computed from the axes of the joints"
            + (f", off by up to {pairs.error:.2g} m" if pairs.error > 1e-3 else ""),
            *(f"    {_scalar(pattern)}: {value:g}" for pattern, value in self._patterns(pairs.sign)),
        ]
        return "\n".join(lines) + "\n"

    def _marked(self, field: str, reason: str) -> str:
        self.guesses.append(f"{field}: {reason}")
        return f"guess: {reason}"

    # The fields.

    def _sole(self) -> float:
        """Length [m] of the longest foot; balls and wheels touch at points."""
        self.stance.put(self.stance.pose)
        feet = [self.stance.colliders([foot]) for foot in self.stance.feet]
        return max(float(np.ptp([self._touching(geom) for geom in geoms])) for geoms in feet)

    def _touching(self, geom: int) -> tuple[float, float]:
        """From where to where [m], fore and aft, a shape touches the ground that it stands on."""
        model, data = self.stance.model, self.stance.data
        kind, axis = mujoco.mjtGeom(int(model.geom_type[geom])), data.geom_xmat[geom].reshape(3, 3)[:, 2]
        upright = kind == mujoco.mjtGeom.mjGEOM_CYLINDER and abs(axis[2]) > 0.7
        if kind not in _ROUND or upright:
            return self.stance.extent(geom, 0)
        half = 0.0 if kind == mujoco.mjtGeom.mjGEOM_SPHERE else float(model.geom_size[geom, 1] * abs(axis[0]))
        centre = float(data.geom_xpos[geom, 0])
        return centre - half, centre + half

    def _morphology(self) -> str:
        if len(self.feet) > 2:
            self._why = f"it has {len(self.feet)} feet"
            return "quadruped"
        sole = self._sole()
        self._why = f"{len(self.feet)} feet, soles of {100 * sole:.0f} cm, {len(self.legs[0])} joints a leg"
        flat = sole > 0.12 * self.stance.reach() or min(len(leg) for leg in self.legs) > 4
        return "humanoid" if flat else "point_foot_biped"

    def _pose(self) -> tuple[Array, str]:
        stance, key = self.stance, self.source.key
        if key is not None:
            pose, changed = symmetric(stance, self.pairs, pose_of(self.source, stance))
            _, clearances, lower = standing_height(stance, pose)
            if not lower and max(clearances) <= 0.1 * stance.reach():
                if changed > 1e-3:
                    self.notes.warnings.append(
                        f"the key frame {key!r} was neither symmetric nor within the limits; changed by up to "
                        f"{changed:.2g} rad"
                    )
                self.notes.read.append(f"the nominal pose from the key frame {key!r}")
                return pose, f"read from the key frame {key}"
            what = f"{', '.join(lower[:3])} lower than the feet" if lower else f"a foot {max(clearances):.2f} m up"
            self.notes.warnings.append(f"the key frame {key!r} does not stand ({what}): another pose is searched")
        pose, crouch = stance.pose, 0.0
        for crouch in (0.75, 0.84, 0.92) if len(self.feet) > 2 else (0.92,):
            pose = standing_pose(stance, self.pairs, crouch, flat=self.morphology == "humanoid")
            # Legs that weak motors can hold.
            effort = stance.model.jnt_actfrcrange[stance.ids, 1]
            if (np.abs(self._stood(pose).standing_torques()) < 0.7 * effort).all():
                break
        return pose, self._marked("nominal_pose", f"feet under the weight, legs bent to {100 * crouch:.0f} %")

    def _stood(self, pose: Array) -> Posed:
        """Return the robot with this nominal pose [rad] [d], at the height at which it stands."""
        stood = Posed(self.stance.model, feet=self.feet)
        stood.pose, stood.height = pose, standing_height(self.stance, pose)[0]
        return stood

    def _check(self, clearances: Sequence[float], lower: Sequence[str]) -> None:
        warn, model, pairs = self.notes.warnings.append, self.stance.model, self.pairs
        if max(clearances) > 0.02:
            warn(f"in the nominal pose a foot hangs {100 * max(clearances):.1f} cm above the ground: change the pose")
        if lower:
            warn(f"in the nominal pose {', '.join(lower)} reach lower than the feet: change the pose or the feet")
        if self.height <= 0:
            raise DraftError(
                "the feet are above the base in the pose that was found: give the MJCF a key frame 'stand'"
            )
        if len(self.feet) % 2:
            warn(f"{len(self.feet)} feet found; a walking robot has an even number as a rule: check feet")
        if pairs.unpaired:
            warn(f"no mirror image of {', '.join(pairs.unpaired)}: complete mirror.swap, or rename the joints")
        elif pairs.error > 1e-3:
            warn(
                f"the mirrored robot misses itself by up to {pairs.error:.2g} m: left and right differ in the "
                "model, or a pair in mirror.swap is wrong"
            )
        if not model.dof_armature[self.stance.dofs].all():
            warn("joints without armature: the reflected inertia of motor and gear matters on most robots; look it up")
        if empty := [model.body(i).name for i in range(1, model.nbody) if model.body_mass[i] <= 0]:
            warn(f"bodies without mass: {', '.join(empty)}")

    def _actuators(self) -> list[str]:
        """Group joints of equal gains and speed; each kind of joint (left and right, front and rear) has one gain."""
        stood = self._stood(self.pose)
        holding = np.abs(stood.standing_torques())
        inertia = stood.mass_matrix().diagonal()[stood.dofs]
        groups: dict[tuple, tuple[_Gains, list[str]]] = {}
        for kind in self._kinds().values():
            gains = self._gains(kind, holding, inertia)
            _, joints = groups.get(gains[:-1], (gains, []))
            groups[gains[:-1]] = gains, joints + kind
        self.guesses.append("actuators: gains from the inertia of the joints, see the remarks")
        if any(not gains.velocity_known for gains, _ in groups.values()):
            self.guesses.append(f"actuators: a no-load speed of {_VELOCITY:g} rad/s where the file has none")
        lines = []
        for i, (gains, joints) in enumerate(groups.values(), 1):
            lines += [
                f"  {'all' if len(groups) == 1 else f'group_{i}'}:",
                f"    joints: {_flow(self._cover(joints))}",
                f"    stiffness: {gains.stiffness:g} # {gains.reason}",
                f"    damping: {gains.damping:g} # {gains.reason}",
                f"    velocity_limit: {gains.velocity:g} # "
                + ("read from the file" if gains.velocity_known else "guess: the file has none"),
            ]
        return lines

    def _gains(self, kind: Sequence[str], holding: Array, inertia: Array) -> _Gains:
        """Choose the gains of a kind of joint from what they hold [N m] [d] and turn [kg m^2] [d]."""
        stance, model = self.stance, self.stance.model
        ids = [stance.joints.index(joint) for joint in kind]
        armature = model.dof_armature[stance.dofs[ids]]
        known = armature.min() > 0
        turned = float(armature.max() if known else inertia[ids].max())
        hertz, ratio = (_ROTOR_HZ, _ROTOR_DAMPING) if known else (_LINK_HZ, _LINK_DAMPING)
        stiffness = turned * (2 * math.pi * hertz) ** 2
        # What a strong motor asks for ends where the doctor warns of a high frequency.
        most = float(inertia[ids].min()) * (2 * math.pi * _MOST_HZ) ** 2
        effort = float(model.jnt_actfrcrange[stance.ids[ids], 1].min())
        least = max(float(holding[ids].max()) / _SAG, min(_LEAST_STIFFNESS * effort, most))
        factor = self.factor if {i for leg in self.legs for i in leg} & set(ids) else 1.0
        why = ", raised to carry the weight" if least > stiffness or factor > 1 else ""
        stiffness = float(f"{max(stiffness, least) * factor:.3g}")
        hertz = math.sqrt(stiffness / turned) / (2 * math.pi)
        damping = 2 * ratio * math.sqrt(stiffness * turned)
        damping = float(f"{max(damping - float(model.dof_damping[stance.dofs[ids]].max()), 0.2 * damping):.3g}")
        read = [limit for joint in kind if (limit := self.source.velocity_limit.get(joint)) is not None]
        whole, vendor = len(read) == len(kind), self._vendor(kind)
        of = f"armature {turned:.3g}" if known else f"its links' {turned:.2g} kg m^2"
        reason = f"guess: {hertz:.3g} Hz, damping ratio {ratio:g} with {of}{why}{vendor}"
        return _Gains(stiffness, damping, min(read) if whole else _VELOCITY, whole, vendor, reason)

    def _vendor(self, joints: Sequence[str]) -> str:
        """Return the gains of the servos that the file has, to be compared with the guess."""
        gains = [servo.gains for joint in joints if (servo := self.servos.get(joint)) and servo.gains]
        pairs = sorted({f"{stiffness:g} and {damping:g}" for stiffness, damping in gains})
        return f"; the file's own servos have {', '.join(pairs)}" if pairs else ""

    # Names.

    def _kinds(self) -> dict[str, list[str]]:
        """Joints by what their names have in common once sides and numbers are left out."""
        sides = {word: "*" for pair in self.pairs.words.items() for word in pair}
        joints = self.stance.joints
        whole = any(joint in sides for joint in joints)
        kinds: dict[str, list[str]] = {}
        for joint in joints:
            kind = re.sub(r"\d+", "*", joint if whole else swap_words(joint, sides))
            kinds.setdefault(kind, []).append(joint)
        if whole:
            # Names that are swapped whole tell nothing about kinds, but partners are of one kind.
            for joint, other in zip(joints, self.pairs.partner, strict=True):
                home = next(kind for kind, own in kinds.items() if joint in own)
                away = next(kind for kind, own in kinds.items() if joints[other] in own)
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


def _flow(items: Any) -> str:
    """Return a list or a mapping as YAML in one line."""
    return yaml.safe_dump(items, default_flow_style=True, width=10000, sort_keys=False).strip()
