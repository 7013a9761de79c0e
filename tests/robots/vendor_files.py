"""Small robots in the styles of vendors: a dog as an MJCF, a biped as a URDF, each with one thing changed."""

from __future__ import annotations

from pathlib import Path

from legged_cts.robots.draft import Draft, draft_robot, write_draft
from legged_cts.robots.spec import RobotSpec, load_robot

LEGS = {"FL": (0.19, 0.05), "FR": (0.19, -0.05), "RL": (-0.19, 0.05), "RR": (-0.19, -0.05)}


def dog(
    scale: float = 1.0, base: str = "base", torso: str = "", geom: str = "", collider: str = "", end: str = "", rise=0.0
) -> str:
    """MJCF of a quadruped of 14.6 kg times `scale`: boxes, capsules and a ball as the shape of each shank's end."""

    def inertial(mass: float, x: float, y: float, z: float, at: str) -> str:
        moments = " ".join(f"{scale * value:.6g}" for value in (x, y, z))
        return f'<inertial pos="{at}" mass="{scale * mass:.6g}" diaginertia="{moments}"/>'

    def leg(n: str, x: float, y: float) -> str:
        return f"""<body name="{n}_hip" pos="{x} {y} {rise}">{inertial(0.7, 1e-3, 1e-3, 1e-3, "0 0 0")}
<joint name="{n}_hip" axis="1 0 0" range="-1 1"/>
<geom type="capsule" fromto="0 -.02 0 0 .02 0" size=".03" {collider}/>
<body name="{n}_thigh" pos="0 {0.08 if y > 0 else -0.08} 0">{inertial(1.0, 6e-3, 6e-3, 1e-3, "0 0 -.1")}
<joint name="{n}_thigh" axis="0 1 0" range="-1.5 3"/>
<geom type="capsule" fromto="0 0 -.03 0 0 -.18" size=".02" {collider}/>
<body name="{n}_calf" pos="0 0 -.21">{inertial(0.2, 1e-3, 1e-3, 1e-4, "0 0 -.1")}
<joint name="{n}_calf" axis="0 1 0" range="-2.7 -.5"/>
<geom type="capsule" fromto="0 0 -.03 0 0 -.15" size=".015" {collider}/>
<geom name="{n}" pos="0 0 -.21" size=".022" {collider}/></body></body></body>"""

    motors = "".join(f'<motor joint="{n}_{part}"/>' for n in LEGS for part in ("hip", "thigh", "calf"))
    return f"""<mujoco model="dog"><compiler autolimits="true" angle="radian"/>
<default><geom {geom}/><joint armature="{0.01 * scale:g}" damping="{0.1 * scale:g}"/>
<motor ctrlrange="{-25 * scale:g} {25 * scale:g}"/></default>
<worldbody><body name="{base}" pos="0 0 .4"><freejoint/>{inertial(7, 0.03, 0.1, 0.12, f"0 0 {rise}")}
<geom type="box" size=".2 .07 .05" pos="0 0 {rise}" {collider}/>{torso}
{"".join(leg(n, *place) for n, place in LEGS.items())}</body></worldbody>
<actuator>{motors}</actuator>{end}</mujoco>"""


def biped(
    extra: str = "",
    hips: str = "torso",
    limits: str = 'effort="30" velocity="20"',
    ankle: str = 'type="revolute"',
    ankle_limit: str = 'lower="-1" upper="1" effort="20" velocity="20"',
    foot: str = '<origin xyz="0.03 0 -0.03"/><geometry><box size=".2 .08 .02"/></geometry>',
) -> str:
    """URDF of a torso of 8 kg on two legs with hip, knee and ankle pitch."""

    def link(name: str, mass: float, inertia: str, shape: str, z: float = 0.0) -> str:
        xx, yy, zz = inertia.split()
        return f"""<link name="{name}"><inertial><origin xyz="0 0 {z}"/><mass value="{mass}"/>
<inertia ixx="{xx}" iyy="{yy}" izz="{zz}" ixy="0" ixz="0" iyz="0"/></inertial><collision>{shape}</collision></link>"""

    def box(size: str, z: float) -> str:
        return f'<origin xyz="0 0 {z}"/><geometry><box size="{size}"/></geometry>'

    def hinge(name: str, parent: str, child: str, xyz: str, limit: str, kind: str = 'type="revolute"') -> str:
        return f"""<joint name="{name}" {kind}><parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz}"/>
<axis xyz="0 1 0"/><limit {limit}/></joint>"""

    def leg(s: str, y: float) -> str:
        return (
            link(f"{s}_thigh", 1, ".01 .01 .002", box(".06 .06 .25", -0.15), -0.15)
            + hinge(f"{s}_hip", hips, f"{s}_thigh", f"0 {y} 0", f'lower="-1.5" upper="1.5" {limits}')
            + link(f"{s}_shank", 0.5, ".005 .005 .001", box(".05 .05 .2", -0.15), -0.15)
            + hinge(f"{s}_knee", f"{s}_thigh", f"{s}_shank", "0 0 -.3", f'lower="0" upper="2.5" {limits}')
            + link(f"{s}_foot", 0.2, ".001 .001 .001", foot)
            + hinge(f"{s}_ankle", f"{s}_shank", f"{s}_foot", "0 0 -.3", ankle_limit, ankle)
        )

    torso = link("torso", 8, ".1 .1 .05", box(".15 .25 .4", 0.2), 0.2)
    return f'<robot name="biped">{torso}{leg("left", 0.1)}{leg("right", -0.1)}{extra}</robot>'


def drafted(tmp_path: Path, text: str, name: str | None = None, **words) -> tuple[Draft, RobotSpec]:
    """Draft a robot from text, write it and load what was written."""
    path = tmp_path / (name or ("robot.urdf" if text.startswith("<robot") else "robot.xml"))
    path.write_text(text)
    draft = draft_robot(path, "drafted", **words)
    return draft, load_robot(write_draft(draft, tmp_path / "out"))
