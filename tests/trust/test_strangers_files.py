"""Over a thousand spoilt files through the scripts that read them: one line or an answer, in seconds, and nothing run.

The scripts run in this process up to where the simulator, a browser or a film would start.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import random
import re
import runpy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import yaml
from deploy_policies import make_contract, make_recurrent_contract, write_counting_policy, write_linear_policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stranger_files import checkpoint_content

from legged_cts.deploy.contract import CONTRACT_KEY, CONTRACT_VERSION
from legged_cts.robots.spec import RobotSpec, load_robot
from legged_cts.trust.names import TRUST

ROOT = Path(__file__).parents[2]
SECONDS = 10.0
CANARY = "canary_of_strangers"

NASTY: list[Any] = [
    None, True, False, 0, -1, -0.5, 1e-300, 1e300, math.inf, -math.inf, math.nan, 10**400, 2**63, "", " ", "os:system",
    f"touch {CANARY}", f"__import__('os').system('touch {CANARY}')", "../../evil", "/dev/zero", "/etc/passwd", "a\nb",
    "\u202e", "\0", "x" * 20_000, "${oc.env:HOME}", "(a+)+$", "(([A-Z_a-z]+)+)+X", "(", ".*", [], {}, [[]], ["a"],
    [1e400], {"a": {}}, {"class_name": "os:system"}, {"_target_": "os.mkdir", "name": CANARY}, [0] * 5000,
    {"a": [{}] * 100},
]  # fmt: skip
WORDS = [
    "+hydra={callbacks:{x:{_target_:distutils.spawn.spawn,cmd:[touch,canary_of_strangers]}}}", "hydra.run.dir=/tmp/x",
    "hydra/launcher=basic", "+hydra/launcher@hydra.launcher=basic", "--config-dir=evil", "-m=1", "=", "=1", "~hydra",
    "solver={threads:3}", "evaluation={enabled:true}", "algorithm.class_name=os:system", "wandb_project=${oc.env:HOME}",
    "+algorithm.symmetry_cfg={data_augmentation_func:os.system}", "trust=os", "++hydra.x=1", "a=1,2", "a=range(3)",
    "x=" + "[" * 200, "x={" * 60, "resume=logs", "policy=x", "output=/tmp", "seed=3", "+x._target_=os.mkdir", "x@y=1",
    "experiment@hydra=x", "'hydra'=1", "a.b=[1,2]", "+a={b:1}", "~a", "env.sim.dt=1e-300", "\u202e=1", "a\n=1",
]  # fmt: skip

lawful = settings(
    derandomize=True, deadline=None, database=None, print_blob=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


class Started(BaseException):
    """The simulator, the browser or the film would begin here."""


def _start(*args: Any, **options: Any) -> Any:
    raise Started


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No simulator, no trust, and an empty folder in which a canary would show."""
    monkeypatch.setenv(TRUST, "")
    monkeypatch.setenv("LEGGED_CTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for place in (
        "legged_cts.envs.launch.make_env", "legged_cts.viewer.isaac_session.make_env", "legged_cts.viewer.app.App",
        "legged_cts.viewer.headless.record", "legged_cts.deploy.sim2sim.evaluate",
        "legged_cts.evaluation.compare.app.plan",
        "legged_cts.export.checkpoint.export_policy", "legged_cts.evaluation.dashboard.write_page",
    ):  # fmt: skip
        monkeypatch.setattr(place, _start)
    yield
    assert not list(tmp_path.rglob(f"*{CANARY}*"))


_MAINS: dict[str, Callable[[list[str]], Any]] = {}


def answer(script: str, *words: str) -> bool:
    """Run a script's main; whether it took the file. What it says about one that it does not take is a line."""
    if script not in _MAINS:
        _MAINS[script] = runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))["main"]
    said, began = io.StringIO(), time.process_time()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = _MAINS[script](list(words)) or 0
    except Started:
        status = 0
    except SystemExit as error:
        status = error.code
    assert time.process_time() - began < SECONDS
    assert status in (0, 1, 2), said.getvalue()
    if status == 2:
        lines = [line for line in said.getvalue().splitlines() if line and "HYDRA_FULL_ERROR" not in line]
        assert len(lines) == 1 and "Traceback" not in lines[0] and len(lines[0]) < 3000, said.getvalue()
    return status == 0


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places in lists and mappings, and the whole."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_of(item, (*path, key))


def spoil(value: Any, draw: Callable[..., Any], nasty: list[Any] = NASTY) -> Any:
    """Replace, remove or add something somewhere."""
    places = list(paths_of(value))[1:]
    path = draw(st.sampled_from(places))
    node = value
    for key in path[:-1]:
        node = node[key]
    how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    if how == "remove":
        del node[path[-1]]
    elif how == "add" and isinstance(node, dict):
        node[draw(st.sampled_from(["x", "class_name", "_target_", "hydra", ""]))] = draw(st.sampled_from(nasty))
    else:
        node[path[-1]] = draw(st.sampled_from(nasty))
    return value


def spoil_bytes(data: bytes, draw: Callable[..., Any]) -> bytes:
    """Flip, cut out, double or insert bytes."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    for _ in range(chance.choice([1, 1, 2, 20])):
        at, size = chance.randrange(len(data)), chance.choice([1, 1, 8, 300])
        piece = chance.choice([bytes(chance.randrange(256) for _ in range(size)), data[at : at + size] * 2, b""])
        data = data[:at] + piece + data[at + size :] or b"\0"
    return data


ROBOT = yaml.safe_load((ROOT / "assets/robots/go2/robot.yaml").read_text())
ROBOT["mjcf"] = str(ROOT / "assets/robots/go2/go2.xml")


def finite(spec: RobotSpec) -> bool:
    rows = (spec.nominal_pose, spec.stiffness, spec.damping, spec.velocity_limit, spec.effort_limit, spec.armature)
    numbers = [*sum(rows, ()), spec.nominal_height, spec.action_scale, spec.total_mass, *spec.mirror_sign.values()]
    return all(math.isfinite(number) for number in numbers)


@settings(lawful, max_examples=250)
@given(data=st.data())
def test_spoilt_specs(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "robot.yaml"
    if data.draw(st.booleans()):
        path.write_text(yaml.dump(spoil(copy.deepcopy(ROBOT), data.draw), Dumper=yaml.Dumper))
    else:
        path.write_bytes(spoil_bytes(yaml.safe_dump(ROBOT).encode(), data.draw))
    with contextlib.suppress(ValueError):
        assert finite(load_robot(path))
    if data.draw(st.integers(0, 9)) == 0:
        answer("doctor", f"robot={path}", "usd=false", "picture=null")


MJCF = (ROOT / "assets/robots/go2/go2.xml").read_text()
NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "0",
    "1e300",
    "1e-300",
    "9" * 400,
    "",
    "x",
    "1 2 3 4 5 6 7 8 9",
    "-1e15",
]
ELEMENTS = [
    '<include file="/etc/passwd"/>', '<include file="robot.xml"/>', '<include file="/dev/zero"/>', '<include file=""/>',
    '<worldbody><replicate count="1000000000"><geom size="1"/></replicate></worldbody>',
    '<worldbody>' + '<replicate count="100">' * 5 + '<geom size="1"/>' + "</replicate>" * 5 + "</worldbody>",
    '<asset><hfield name="h" nrow="100000" ncol="100000" size="1 1 1 1"/></asset>',
    '<asset><texture name="t" type="2d" builtin="flat" width="100000" height="100000"/></asset>',
    '<asset><mesh name="m" file="../../../../../../etc/passwd"/></asset>', '<size memory="1000000G"/>',
    '<size njmax="-5"/>', '<option timestep="1e-300"/>', '<option timestep="nan"/>',
    '<option iterations="2000000000"/>',
    '<extension><plugin plugin="evil.so"/></extension>', '<compiler angle="x"/>', "<body>" * 300, "<![CDATA[",
    "<evil/>",
    '<worldbody><flexcomp name="f" type="grid" count="1000 1000 1000" dim="3"/></worldbody>', "&lol;", "\0",
    '<custom><numeric name="n" size="2000000000"/></custom>', '<keyframe><key qpos="nan"/></keyframe>',
]  # fmt: skip
BOMB = '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


def spoil_mjcf(draw: Callable[..., Any]) -> str:
    how = draw(st.sampled_from(["number", "number", "number", "element", "element", "remove", "doctype"]))
    if how == "doctype":
        return BOMB + MJCF
    if how == "element":
        at = MJCF.index(">", MJCF.index("<mujoco")) + 1
        return MJCF[:at] + draw(st.sampled_from(ELEMENTS)) + MJCF[at:]
    places = list(re.finditer(r'(\w+)="([^"]*)"', MJCF))
    place = draw(st.sampled_from(places))
    if how == "remove":
        return MJCF[: place.start()] + MJCF[place.end() :]
    return MJCF[: place.start(2)] + draw(st.sampled_from(NUMBERS)) + MJCF[place.end(2) :]


@settings(lawful, max_examples=200)
@given(data=st.data())
def test_spoilt_mjcfs(data: st.DataObject, tmp_path: Path) -> None:
    folder = tmp_path / "robot"
    folder.mkdir(exist_ok=True)
    (folder / "robot.yaml").write_text(yaml.safe_dump(ROBOT | {"mjcf": "robot.xml"}))
    text = spoil_mjcf(data.draw)
    (folder / "robot.xml").write_bytes(
        text.encode() if data.draw(st.booleans()) else spoil_bytes(text.encode(), data.draw)
    )
    with contextlib.suppress(ValueError):
        assert finite(load_robot(folder))
    if data.draw(st.integers(0, 9)) == 0:
        answer("doctor", f"robot={folder}", "usd=false", "picture=null")


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> list[onnx.ModelProto]:
    folder = tmp_path_factory.mktemp("policies")
    write_linear_policy(folder / "a.onnx", make_contract(version=CONTRACT_VERSION))
    write_counting_policy(folder / "b.onnx", make_recurrent_contract(version=CONTRACT_VERSION))
    return [onnx.load(folder / name) for name in ("a.onnx", "b.onnx")]


@settings(lawful, max_examples=200)
@given(data=st.data())
def test_spoilt_policies(data: st.DataObject, tmp_path: Path, policies: list[onnx.ModelProto]) -> None:
    model = copy.deepcopy(data.draw(st.sampled_from(policies)))
    path = tmp_path / "policy.onnx"
    how = data.draw(st.sampled_from(["contract", "contract", "bytes", "node", "weights"]))
    if how == "contract":
        fields = spoil(json.loads(model.metadata_props[0].value), data.draw)
        onnx.helper.set_model_props(model, {CONTRACT_KEY: json.dumps(fields)})
    elif how == "node":
        kinds = ["Loop", "If", "ConstantOfShape", "Expand", "MatMul", "Evil", "RandomNormal", "Add"]
        name = data.draw(st.sampled_from(kinds))
        model.graph.node[data.draw(st.integers(0, len(model.graph.node) - 1))].op_type = name
    elif how == "weights":
        tensor = model.graph.initializer[0]
        place = data.draw(st.sampled_from(["external", "huge", "nan"]))
        if place == "external":
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="/etc/passwd")
        elif place == "huge":
            tensor.dims[0] = 10**12
        else:
            tensor.raw_data = b"\xff" * len(tensor.raw_data)
    content = model.SerializeToString()
    path.write_bytes(spoil_bytes(content, data.draw) if how == "bytes" else content)
    script = data.draw(st.sampled_from([["play", "video=a.mp4"], ["play"], ["sim2sim"], ["evaluate"]]))
    taken = answer(script[0], f"policy={path}", *script[1:])
    if how in ("bytes", "node", "weights") and path.read_bytes() != content:
        assert not taken or script[0] == "sim2sim"


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return checkpoint_content()


@settings(lawful, max_examples=200)
@given(data=st.data())
def test_spoilt_checkpoints(data: st.DataObject, tmp_path: Path, content: dict[str, Any]) -> None:
    part = data.draw(st.sampled_from(["config", "config", "env_info", "whole", "bytes"]))
    spoilt = {**content, "config": copy.deepcopy(content["config"]), "env_info": copy.deepcopy(content["env_info"])}
    if part == "whole":
        spoilt[data.draw(st.sampled_from(sorted(spoilt)))] = data.draw(st.sampled_from(NASTY))
    elif part != "bytes":
        spoil(spoilt[part], data.draw)
    buffer = io.BytesIO()
    torch.save(spoilt, buffer)
    path = tmp_path / "model_7.pt"
    path.write_bytes(spoil_bytes(buffer.getvalue(), data.draw) if part == "bytes" else buffer.getvalue())
    words = [["export"], ["play", "video=a.mp4"], ["play", "physics=auto"], ["evaluate"], ["evaluate", "role=teacher"]]
    script, *others = data.draw(st.sampled_from(words))
    answer(script, f"checkpoint={path}", *others)


@settings(lawful, max_examples=80)
@given(data=st.data())
def test_spoilt_dumps_of_faults(data: st.DataObject, tmp_path: Path, content: dict[str, Any]) -> None:
    state = {"seed": 0, "physics": {"mass": torch.ones(3)}, "before": {"joint_pos": torch.zeros(12)}}
    dump = {"version": 1, "kind": "obs", "world": 0, "iteration": 3, "action": torch.zeros(12), "state": state}
    dump = {**dump, "config": copy.deepcopy(content["config"]), "env_info": copy.deepcopy(content["env_info"])}
    spoil(dump, data.draw)
    torch.save(dump, tmp_path / "0_0.pt")
    answer("replay_fault", f"file={tmp_path / '0_0.pt'}")


COMPARISON = {
    "common": ["robot=go2", "terrain=flat", "env.scene.num_envs=256"],
    "arms": {"a": ["algorithm.gamma=0.9"], "b": ["+algorithm.x={y: 1}", "~env.gait"]},
    "seeds": [1, 2],
    "baseline": "a",
    "contrasts": [["b", "a"]],
    "metrics": {"fall": "lower"},
    "evaluation": ["env.pushes.enabled=false"],
}


@settings(lawful, max_examples=200)
@given(data=st.data())
def test_spoilt_comparisons(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    if data.draw(st.booleans()):
        path.write_text(yaml.dump(spoil(copy.deepcopy(COMPARISON), data.draw, [*NASTY, *WORDS, [WORDS[0]]])))
    else:
        path.write_bytes(spoil_bytes(yaml.safe_dump(COMPARISON).encode(), data.draw))
    answer("compare", str(path), "report_only=true")


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("field", ["common", "arms", "evaluation"])
def test_no_word_of_a_comparison_reaches_more_than_the_task(tmp_path: Path, word: str, field: str) -> None:
    value: Any = {"a": [word], "b": ["x=1"]} if field == "arms" else [word]
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({**COMPARISON, field: value}))
    harmless = ("a.b=", "+a=", "~a", "env.sim.dt=", "resume=") if field == "x" else ("a.b=", "+a=", "~a", "env.sim.dt=")
    assert answer("compare", str(path), "report_only=true") == word.startswith(harmless)


@settings(lawful, max_examples=150)
@given(data=st.data())
def test_spoilt_metrics(data: st.DataObject, tmp_path: Path) -> None:
    from legged_cts.training.writers import CsvWriter

    rows = [["iteration", "score", "total_steps"], *([str(i), "0.5", str(100 * i)] for i in range(1, 6))]
    if data.draw(st.booleans()):
        row = data.draw(st.sampled_from(rows))
        nasty = [
            "",
            "nan",
            "inf",
            "1e999",
            "x",
            "-1",
            "1.5",
            '"',
            "a" * 200_000,
            "9" * 400,
            "1,2,3",
            ";",
            "\ufeff",
            "\0",
        ]
        row[data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(nasty))
        content = "\n".join(",".join(row) for row in rows).encode() + b"\n"
    else:
        content = spoil_bytes("\n".join(",".join(row) for row in rows).encode() + b"\n", data.draw)
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    answer("dashboard", str(path))
    with contextlib.suppress(ValueError):
        writer = CsvWriter(path, 5)
        writer.write({"score": 1.0, "new": 2.0}, 6)
        writer.close()
