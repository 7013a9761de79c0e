"""A robot that the project has never seen: six legs, written here, trained, exported, and run in plain MuJoCo."""

import json
from pathlib import Path

import pytest

from legged_cts.deploy.contract import check
from legged_cts.deploy.policy import OnnxPolicy
from legged_cts.deploy.sim2sim import Sim2SimOptions, sim2sim
from legged_cts.deploy.words import parse_words
from legged_cts.envs.morphology import morphology_override
from legged_cts.robots.feet import foot_pairs
from legged_cts.robots.spec import load_robot
from legged_cts.train import resolve_task, train
from legged_cts.training.checkpoint import load_checkpoint
from legged_cts.training.compose import compose_task

ROWS = {"front": 0.25, "middle": 0.0, "rear": -0.25}
SIDES = {"left": 1, "right": -1}
LEGS = [f"{row}_{side}" for row in ROWS for side in SIDES]

LEG = """
      <body name="{leg}_hip" pos="{x} {y} 0">
        <inertial pos="0 {dy} 0" mass="0.3" diaginertia="3e-4 3e-4 3e-4"/>
        <joint name="{leg}_hip_joint" axis="1 0 0" range="-0.8 0.8" actuatorfrcrange="-20 20" armature="0.01"/>
        <geom type="capsule" fromto="0 0 0 0 {out} 0" size="0.02" contype="0" conaffinity="0"/>
        <body name="{leg}_thigh" pos="0 {out} 0">
          <inertial pos="0 0 -0.07" mass="0.4" diaginertia="9e-4 9e-4 1e-4"/>
          <joint name="{leg}_thigh_joint" axis="0 1 0" range="-1 2.5" actuatorfrcrange="-20 20" armature="0.01"/>
          <geom type="capsule" fromto="0 0 0 0 0 -0.15" size="0.02"/>
          <body name="{leg}_calf" pos="0 0 -0.15">
            <inertial pos="0 0 -0.08" mass="0.2" diaginertia="4e-4 4e-4 5e-5"/>
            <joint name="{leg}_calf_joint" axis="0 1 0" range="-2.6 -0.3" actuatorfrcrange="-20 20" armature="0.01"/>
            <geom type="capsule" fromto="0 0 0 0 0 -0.14" size="0.012"/>
            <body name="{leg}_foot" pos="0 0 -0.16">
              <inertial pos="0 0 0" mass="0.03" diaginertia="5e-6 5e-6 5e-6"/>
              <geom type="sphere" size="0.02"/>
            </body>
          </body>
        </body>
      </body>"""

MODEL = """
<mujoco model="six">
  <compiler angle="radian" autolimits="true"/>
  <worldbody>
    <body name="trunk" pos="0 0 0.3">
      <freejoint/>
      <inertial pos="0 0 0" mass="6" diaginertia="0.03 0.14 0.16"/>
      <geom type="box" size="0.3 0.08 0.04"/>{legs}
    </body>
  </worldbody>
</mujoco>
"""

SPEC = """
name: six
mjcf: six.xml
morphology: quadruped
base: trunk
feet: [{feet}]
penalized_contacts: [{penalized}]
joints: [{joints}]
nominal_pose: {{.*_hip_joint: 0.0, .*_thigh_joint: 0.7, .*_calf_joint: -1.4}}
nominal_height: 0.257
actuators:
  legs: {{joints: [.*], stiffness: 20.0, damping: 0.5, velocity_limit: 20.0}}
action_scale: 0.25
mirror:
  swap: {{left: right}}
  sign: {{.*_hip_joint: -1, .*_thigh_joint: 1, .*_calf_joint: 1}}
"""


def write_robot(folder: Path) -> Path:
    """Write MJCF and spec; returns the spec's path."""
    legs = [
        LEG.format(leg=f"{row}_{side}", x=x, y=0.09 * sign, out=0.06 * sign, dy=0.03 * sign)
        for row, x in ROWS.items()
        for side, sign in SIDES.items()
    ]
    (folder / "six.xml").write_text(MODEL.format(legs="".join(legs)))
    spec = folder / "robot.yaml"
    spec.write_text(
        SPEC.format(
            feet=", ".join(f"{leg}_foot" for leg in LEGS),
            penalized=", ".join(f"{leg}_{part}" for leg in LEGS for part in ("thigh", "calf")),
            joints=", ".join(f"{leg}_{part}_joint" for leg in LEGS for part in ("hip", "thigh", "calf")),
        )
    )
    return spec


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("six")
    spec = write_robot(folder)
    words = [f"robot={spec}", "device=cpu", "env.scene.num_envs=8", "max_iterations=3", "evaluation.enabled=false"]
    train(resolve_task(compose_task(words), words), folder / "run")
    return spec, folder / "run"


def test_its_spec_is_complete(tmp_path):
    path = write_robot(tmp_path)
    spec = load_robot(path)
    assert len(spec.feet) == 6 and len(spec.joints) == 18
    assert foot_pairs(spec) == [(0, 1), (2, 3), (4, 5)]
    assert morphology_override([f"robot={path}"]) == ["morphology=quadruped"]


def test_it_trains(trained):
    _, folder = trained
    content = load_checkpoint(folder / "model_3.pt")
    assert content["config"]["robot"].endswith("robot.yaml")
    info = content["env_info"]
    assert info["robot"] == "six" and info["actions"] == 18 and info["proprioception"] == 9 + 3 * 18 + 2
    # Clean frame, velocity, force and height of six feet, torques, accelerations, friction, mass, shift, gains, delay,
    # push.
    assert info["privileged"] == 65 + 3 + 6 + 6 + 18 + 18 + 1 + 1 + 3 + 36 + 1 + 3


def test_it_exports_and_runs_in_plain_mujoco(trained, tmp_path):
    spec, folder = trained
    policy, metrics = folder / "policy.onnx", tmp_path / "metrics.json"
    check(OnnxPolicy(policy).contract, load_robot(spec))
    words = [f"policy={policy}", f"robot={spec}", "episodes=2", "duration=2", "workers=1", f"output={metrics}"]
    sim2sim(parse_words(words, Sim2SimOptions))
    result = json.loads(metrics.read_text())
    assert result["robot"] == "six" and len(result["episodes"]) == 2
    # Three iterations teach nothing, but an almost untrained policy stands on six legs.
    assert result["metrics"]["fall"]["mean"] == 0.0
