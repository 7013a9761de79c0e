"""A short real training, four minutes on a core, in which the student must learn, by the right gradients.

With the routing broken on purpose (90 iterations on an AMD EPYC, means of the last 30; the test looks at the last two
columns):

========================================  ====  ================  =========================  ====================
training                                  seed  student tracking  latent explained variance  surrogate gain ratio
========================================  ====  ================  =========================  ====================
correct                                   1     0.480              0.55                       3.2
correct                                   2     0.455              0.62                       2.4
correct                                   3     0.476              0.55                       2.9
E^s takes no step                         1     0.450             -1.29                       2.8
E^s regresses onto other samples' z^t     1     0.446             -0.51                       2.4
no surrogate of the students              1     0.457              0.44                      -0.4
========================================  ====  ================  =========================  ====================

After so few iterations tracking alone tells nothing: the shared policy hardly uses the latent yet.

Another processor rounds differently, and so trains another robot. On an Intel Xeon seed 1 tracked with 0.419 after
90 iterations and with 0.452 after 150 (seed 2: 0.419 and 0.465), hence 150. There, in the last 30 of them, the
correct one has an explained variance of 0.58 and a ratio of 2.3; without a step of E^s it is -1.31, and without the
students' surrogate the ratio is -0.5.
"""

import csv
import math
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TASK = ["device=cpu", "env.scene.num_envs=256", "max_iterations=150", "algorithm.desired_kl=0.016"]
REST = ["logger=none", "evaluation.enabled=false"]
LAST = 30
"""Iterations that are averaged."""


def mean(rows: list[dict[str, str]], name: str) -> float:
    values = [float(row[name]) for row in rows[-LAST:] if row[name]]
    return sum(values) / len(values) if values else math.nan


def test_the_student_learns_to_follow_commands(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *TASK, *REST, f"hydra.run.dir={tmp_path}"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, last = rows[0], rows[-1]
    # Share of the possible tracking reward: 0.33 to 0.35 without training, 0.50 to 0.57 after 550,000 steps.
    assert float(first["student/tracking"]) < 0.38
    assert float(last["student/tracking"]) > 0.43
    # The student encoder knows the teacher's latent better than by its mean ...
    assert mean(rows, "latent/explained_variance") > 0.3
    # ... and the samples of the few students move the policy more than those of the many teachers, as the sum of both
    # groups' means wants it.
    gain = mean(rows, "policy/surrogate_gain_student") / mean(rows, "policy/surrogate_gain_teacher")
    assert gain > 1.0
    assert (tmp_path / "diagnostics.png").read_bytes()[:4] == b"\x89PNG"
