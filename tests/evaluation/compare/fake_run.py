"""Stands in for scripts/train.py and scripts/evaluate.py where processes are tested: `fake_run.py train key=value ...`.

Arms steer it by overrides: entropy_coef 0.5 fails, 0.25 stops early, 0.125 waits for a signal.
"""

import os
import signal
import sys
import time
from pathlib import Path

import yaml

HEADER = "role,terrain,level,metric,mean,low,high,episodes,seed,robot,task,physics,pushes_m_s,policy\n"


def train(words: dict[str, str]) -> int:
    folder = Path(words.get("resume", words.get("hydra.run.dir", "")).strip("'"))
    if "resume" in words:
        record = yaml.safe_load((folder / "run.yaml").read_text())
        own = dict(word.split("=", 1) for word in record["overrides"])
    else:
        own = words
    kind = own.get("algorithm.entropy_coef")
    stop: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: stop.append(number))
    print("a line of the log", os.environ["OMP_NUM_THREADS"], sorted(os.sched_getaffinity(0)), flush=True)
    if kind == "0.5":
        print("the reason of the failure")
        return 3
    start = max([int(path.stem[6:]) for path in folder.glob("model_*.pt")], default=0)
    last = int(own["max_iterations"])
    if kind == "0.125" and not start:
        (folder / "waiting").touch()
        while not stop:
            time.sleep(0.02)
        last = 1
    if kind == "0.25":
        last -= 1
    with (folder / "metrics.csv").open("a") as file:
        if not start:
            file.write("iteration,total_steps,train_time_s,student/lin_error,student/terrain_level\n")
        for i in range(start + 1, last + 1):
            file.write(f"{i},{i * 24 * 8},{60 * i},{1 / i},{i}\n")
    (folder / f"model_{last}.pt").touch()
    return 0


def evaluate(words: dict[str, str]) -> int:
    output = Path(words["output"])
    output.mkdir(exist_ok=True)
    assert Path(words["checkpoint"]).is_file()
    lines = [
        f"{role},all,all,{metric},0.5,0.4,0.6,{words['episodes']},1,go2,flat,mujoco_cpu,0.4,model.pt\n"
        for role in ("student", "teacher")
        for metric in ("lin_error", "fall", "promoted_level")
    ]
    (output / "evaluation.csv").write_text(HEADER + "".join(lines))
    return 0


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[2:])
    folder = Path(words.get("output", words.get("resume", words.get("hydra.run.dir", ""))).strip("'"))
    run = folder.parent if sys.argv[1] == "evaluate" else folder
    with (run.parents[1] / "calls.txt").open("a") as file:
        how = "resume" if "resume" in words else sys.argv[1]
        file.write(f"{how} {run.parent.name} {run.name}\n")
    sys.exit({"train": train, "evaluate": evaluate}[sys.argv[1]](words))
