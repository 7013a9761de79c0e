"""Takes every MJCF and URDF below some folders through draft, doctor, three iterations, export and sim2sim.

`python tests/robots/gauntlet.py <folders> [table=gauntlet.csv] [work=folder] [stages=draft,doctor] [limit=600]
[steps=9]`

Goes breadth first, and on from where an earlier run with the same table stopped; `steps=` ends a run after so many.
What a stage says when it refuses is in the table. A training exports its policy itself, so export only looks for it.
Files with equal content, and equal drafts (a robot and a scene that includes it), are tried once.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGES = ("draft", "doctor", "train", "export", "sim2sim")
COLUMNS = ("file", "hash", "kind", *STAGES, *(f"{stage}_s" for stage in STAGES), "said")
_ROBOT = re.compile(rb"<(mujoco|robot)[\s>/]")
_NO_LEGS = ("no hinge joints", "only one limb", "move the base", "no shape of the robot", "nothing to train")


def robots(folders: list[Path]) -> list[Path]:
    """Files that begin as an MJCF or a URDF does, each content once."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*") if folder.is_dir() else [folder]):
            if path.suffix not in (".xml", ".urdf", ".mjcf", ".xacro") or not path.is_file():
                continue
            content = path.read_bytes()
            if _ROBOT.search(content[:4000]):
                found.setdefault(hashlib.sha256(content).hexdigest(), path)
    return list(found.values())


def commands(path: Path, work: Path) -> dict[str, list[str]]:
    """The command line of each stage."""
    script = [sys.executable]
    robot, run = f"robot={work / 'robot' / 'robot.yaml'}", work / "run"
    return {
        "draft": [*script, "scripts/new_robot.py", str(path), f"output={work / 'robot'}", "overwrite=true"],
        "doctor": [*script, "scripts/doctor.py", robot, "picture=null"],
        "train": [
            *script, "scripts/train.py", robot, f"hydra.run.dir={run}", "max_iterations=3", "env.scene.num_envs=16",
            "evaluation.enabled=false", "runner.num_steps_per_env=8",
        ],
        "export": ["test", "-f", str(run / "policy.onnx")],
        "sim2sim": [
            *script, "scripts/sim2sim.py", f"policy={run}", robot, "duration=3", "episodes=1", "workers=1",
            "response=false",
        ],
    }  # fmt: skip


def run(command: list[str], limit: float) -> tuple[int, str, float]:
    """Exit status (124 for too long), what was printed, seconds."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        text, _ = process.communicate(timeout=limit)
        return process.returncode, text, time.monotonic() - began
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return 124, f"longer than {limit:g} s", time.monotonic() - began


def said(stage: str, status: int, text: str) -> str:
    """The line that tells why a stage refused; for the doctor, the checks that failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if stage == "doctor" and status == 1:
        return "; ".join(re.sub(r"\s{2,}", ": ", line[5:], count=1) for line in lines if line.startswith("fail"))
    errors = [
        line for line in lines if re.match(r"(\w+: )?(error|.*Error|no policy.onnx|new_robot|doctor|sim2sim)\b", line)
    ]
    return (errors or lines or [""])[-1]


def kind_of(status: int, text: str) -> str:
    """What the draft says of a robot: legged, wheels, loops, or none to walk with."""
    if status:
        return "no legs" if any(words in text for words in _NO_LEGS) else "refused"
    return "wheels" if ": wheels." in text else "loops" if "closed loops" in text else "legged"


def load(table: Path) -> dict[str, dict[str, str]]:
    """Rows of an earlier run, by file."""
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def save(table: Path, rows: dict[str, dict[str, str]]) -> None:
    """Write the table; a run that is cut off leaves the old one or the new one."""
    scratch = table.with_suffix(".part")
    with scratch.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows.values())
    scratch.replace(table)


def passed(rows: list[dict[str, str]], stage: str) -> int:
    """How many rows passed a stage."""
    return sum(row[stage] == "ok" for row in rows)


def summary(rows: list[dict[str, str]]) -> str:
    """Shares of the legged robots, and the table in markdown."""
    legged = [row for row in rows if row["kind"] in ("legged", "refused") and row["draft"] not in ("", "twin")]
    drafted, trained = passed(legged, "draft"), passed(legged, "train")
    tried = sum(row["train"] != "" for row in legged)
    head = [
        f"{len(rows)} files; {len(legged)} of legged robots without wheels and closed loops: {drafted} drafted, "
        f"{passed(legged, 'doctor')} pass the doctor, {trained} of {tried} train three iterations",
        "",
        f"| file | kind | {' | '.join(STAGES)} | said |",
        "|---|---|" + "---|" * len(STAGES) + "---|",
    ]
    lines = []
    for row in rows:
        results = " | ".join(row[stage] for stage in STAGES)
        lines.append(f"| {row['file']} | {row['kind']} | {results} | {row['said'].replace('|', '/')} |")
    return "\n".join([*head, *lines]) + "\n"


def main(argv: list[str]) -> int:
    """Returns 0; the table is the result."""
    words = dict(word.split("=", 1) for word in argv if "=" in word)
    folders = [Path(word).resolve() for word in argv if "=" not in word]
    unknown = [key for key in words if key not in ("table", "work", "stages", "limit", "steps")]
    missing = [str(folder) for folder in folders if not folder.exists()]
    if unknown or missing or not folders:
        print(f"gauntlet: {'unknown ' + unknown[0] if unknown else 'no folder ' + ' '.join(missing)}\n{__doc__}")
        return 2
    table = Path(words.get("table", "gauntlet.csv"))
    work = Path(words.get("work", f"{table.with_suffix('')}_work")).resolve()
    limit = float(words.get("limit", 600))
    rows, left = load(table), int(words.get("steps", 10**6))
    paths = {os.path.relpath(path): path for path in robots(folders)}
    for name in paths:
        rows.setdefault(name, dict.fromkeys(COLUMNS, "") | {"file": name})
    for stage in words.get("stages", ",".join(STAGES)).split(","):
        before = STAGES[STAGES.index(stage) - 1] if stage != "draft" else None
        for name, path in paths.items():
            row = rows[name]
            # A robot that the doctor fails is trained all the same: doctor green must mean that it trains.
            if row[stage] or (before and row[before] != "ok" and (stage != "train" or row["doctor"] != "fails")):
                continue
            if left == 0:
                break
            left -= 1
            step(stage, path, row, rows, work / hashlib.sha256(name.encode()).hexdigest()[:12], limit)
            save(table, rows)
            print(f"{stage}: {name}: {row[stage]} {row['said']}", flush=True)
    table.with_suffix(".md").write_text(summary(list(rows.values())))
    return 0


def step(stage: str, path: Path, row: dict[str, str], rows: dict, work: Path, limit: float) -> None:
    """Take one robot through one stage."""
    work.mkdir(parents=True, exist_ok=True)
    status, text, seconds = run(commands(path, work)[stage], limit)
    if stage == "export" and status:
        text = (work / "train.log").read_text()  # where the training says why it exported nothing
    (work / f"{stage}.log").write_text(text)
    row[stage] = "ok" if status == 0 else "fails" if stage == "doctor" and status == 1 else "no"
    row[f"{stage}_s"] = f"{seconds:.0f}"
    if status:
        row["said"] = said(stage, status, text)
    if stage == "draft":
        row["kind"] = kind_of(status, text)
        if status == 0:
            drafted = [
                line for line in (work / "robot" / "robot.yaml").read_text().splitlines()[1:] if "mjcf:" not in line
            ]
            content = "\n".join(line for line in drafted if not line.startswith("name:"))
            row["hash"] = hashlib.sha256(content.encode()).hexdigest()[:12]
            twin = next((r["file"] for r in rows.values() if r is not row and r["hash"] == row["hash"]), None)
            if twin:
                row["draft"], row["said"] = "twin", f"drafts to the same as {twin}"
    if status == 124:
        row["said"] = text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
