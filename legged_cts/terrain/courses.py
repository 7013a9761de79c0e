"""Named courses: ways that a robot must go to their end, each on one sub-terrain, the same in every simulator."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from functools import cached_property

from legged_cts.terrain.grid import SIZE, Entry, lay_ground
from legged_cts.terrain.heights import Heightfield
from legged_cts.terrain.tile import RIM

TREAD = 0.3
"""Depth of a step [m]."""
WAY = SIZE / 2 - RIM
"""From the start, in the middle of the sub-terrain, to the end of the course along x [m]."""
PATIENCE = 2.0
"""Times the commanded speed's own time that a robot may take."""
GRACE = 4.0
"""Seconds that it may take besides, to start."""


@dataclass(frozen=True)
class Course:
    """A way along x, forwards or backwards: both halves of its ground are alike.

    Attributes:
        group: What is crossed.
        size: How much of it: a height [m] or an angle [deg]; 0 where there is none.
        entry: The sub-terrain.
    """

    group: str
    size: float
    entry: Entry

    @cached_property
    def name(self) -> str:
        """The group and the size, in cm or degrees: ``stairs_up_15``."""
        if not self.size:
            return self.group
        return f"{self.group}_{self.size:g}" if self.group.startswith("slope") else f"{self.group}_{self.size * 100:g}"

    @property
    def layouts(self) -> int:
        """How many grounds one should try, because they lie at random: one layout of boxes may have a way through.

        The same policy passed boxes of 15 cm in 66 and in 90 % on two sets of eight.
        """
        return 32 if self.group in ("obstacles", "boxes", "gravel", "curbs") else 1

    @property
    def axis(self) -> str:
        """What the size is, with its unit."""
        return "slope [deg]" if self.group.startswith("slope") else "height [cm]"

    def heights(self, seed: int) -> Heightfield:
        """Return the ground of this course alone; stones and boxes lie where the seed says."""
        ground = lay_ground([self.entry], levels=1, seed=seed)
        return Heightfield(ground.heights.T, ground.cell)


def limit(speed: float) -> float:
    """Return how long a robot may take that is told to go at a speed [s]."""
    return PATIENCE * WAY / abs(speed) + GRACE


def _courses() -> dict[str, Course]:
    found = [Course("flat", 0.0, Entry("flat", {}))]
    for kind in ("stairs_up", "stairs_down"):
        for height in (0.05, 0.07, 0.10, 0.12, 0.15, 0.18, 0.20):
            found.append(Course(kind, height, Entry(kind, {"step_height": height, "step_width": TREAD})))
    for kind in ("slope_up", "slope_down", "slope_across"):
        for angle in (10, 15, 20, 25, 30):
            found.append(Course(kind, angle, Entry(kind, {"slope": math.tan(math.radians(angle))})))
    # In obstacles a box beside a pit is a step of twice their size; among boxes no step is higher than they are.
    found += [Course("boxes", size, Entry("obstacles", {"height": size, "pits": 0.0})) for size in (0.05, 0.10, 0.15)]
    for kind, key, sizes in (
        ("curbs", "step_height", (0.10, 0.15, 0.20)),
        ("obstacles", "height", (0.05, 0.10, 0.15)),
        ("gravel", "height", (0.05, 0.10)),
        ("waves", "amplitude", (0.05, 0.10, 0.20)),
    ):
        found += [Course(kind, size, Entry(kind, {key: size})) for size in sizes]
    return {course.name: course for course in found}


COURSES = _courses()
"""All courses by name."""


def choose(words: str) -> list[Course]:
    """Return the courses of a list of names and groups, in its order: ``stairs_up,slope_across_25,flat``, or ``all``.

    Raises:
        ValueError: If there is no such course.
    """
    groups = dict.fromkeys(course.group for course in COURSES.values())
    found: dict[str, Course] = {}
    for word in (part.strip() for part in words.split(",")):
        named = [course for name, course in COURSES.items() if word in ("all", name, course.group)]
        if not named:
            close = difflib.get_close_matches(word, [*COURSES, *groups, "all"], n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"courses: there is no '{word}'{hint}; there are all, {', '.join(groups)}, {_example()}")
        found |= {course.name: course for course in named}
    return list(found.values())


def _example() -> str:
    return f"or one of a group as in {next(name for name in COURSES if name[-1].isdigit())}"


def speeds(words: str) -> tuple[float, ...]:
    """Return the speeds [m/s] of a list: ``0.4,0.8,-0.4``; negative is backwards.

    Raises:
        ValueError: If one is no speed at which a course can be crossed.
    """
    found = []
    for word in words.split(","):
        try:
            speed = float(word)
        except ValueError:
            speed = math.nan
        if not 0.05 <= abs(speed) <= 10.0:
            raise ValueError(f"speeds: must be numbers of 0.05 to 10 m/s, or as much backwards, got '{word.strip()}'")
        found.append(speed)
    return tuple(found)
