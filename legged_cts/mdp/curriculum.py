"""The terrain curriculum, a game of levels that students alone play."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from isaaclab.managers import ManagerTermBase

from legged_cts.mdp.terrain_columns import terrain_kinds

if TYPE_CHECKING:
    from isaaclab.managers import CurriculumTermCfg

    from legged_cts.envs.env import LeggedEnv


class TerrainLevels(ManagerTermBase):
    """Promotes and demotes environments between terrain levels, by the students' success alone.

    Success is what :class:`legged_cts.mdp.progress.EpisodeProgress` says: a student moves up if it followed its
    commands out of its sub-terrain, and down if it fell there or followed less than half of what it was asked; one that
    solves the last level goes to a random one. Teachers see the terrain ahead and would climb to levels where students
    learn nothing, so a teacher takes the level of a random student on the same kind of terrain. An episode that was cut
    short by a random starting time or by the edge of the ground demotes no one who did not fall.
    """

    _env: LeggedEnv

    columns = ("episodes", "climb", "passed", "steps")
    """Of :attr:`climbs`: number of episodes, metres climbed, how many were promoted, steps of stairs climbed."""

    def __init__(self, cfg: CurriculumTermCfg, env: LeggedEnv):
        super().__init__(cfg, env)
        terrain = env.terrain
        generator = terrain.cfg.terrain_generator
        assert generator is not None
        self.names, kind = terrain_kinds(terrain, env.num_envs)
        """Kinds of terrain present."""
        self.kind = kind.to(env.device)
        """Index into ``names`` of each environment's terrain [N]."""
        self._kind_mask = torch.stack([self.kind == i for i in range(len(self.names))]).float()
        self._start_step = torch.zeros(env.num_envs, dtype=torch.long, device=env.device)
        levels = generator.num_rows
        self.climbs = torch.zeros(len(self.names), levels, len(self.columns), device=env.device)
        """Sums over the students' episodes [kinds, levels, columns] since someone set them to zero."""

    def __call__(self, env: LeggedEnv, env_ids: torch.Tensor | slice) -> dict[str, torch.Tensor]:
        """Move the environments that are about to be reset; returns mean student levels to log."""
        terrain = env.terrain
        ids = torch.arange(env.num_envs, device=env.device)[env_ids] if isinstance(env_ids, slice) else env_ids.long()
        students = self._players()
        if env.common_step_counter > 0:
            up, down = self._moves(ids)
            playing = students[ids]
            self._count(ids, up, playing)
            terrain.update_env_origins(ids, up & playing, down & playing)
            self._follow(ids[~playing], students)
        self._start_step[ids] = env.common_step_counter
        return self._log(students)

    def _moves(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        env = self._env
        steps = env.common_step_counter - self._start_step
        cut_short = ~env.reset_terminated & (steps < env.max_episode_length)
        up, down = env.progress.moves(env.reset_terminated, cut_short)
        # Who was reset in this very step has no episode to judge, whatever its last one ended by.
        sound = ~env.state.exploded & (steps > 0)
        return (up & sound)[ids], (down & sound)[ids]

    def _count(self, ids: torch.Tensor, up: torch.Tensor, playing: torch.Tensor) -> None:
        terrain, climb = self._env.terrain, self._env.progress.climb[ids]
        level, kind = terrain.terrain_levels[ids], self.kind[ids]
        assert terrain.risers is not None
        riser = terrain.risers[level, terrain.terrain_types[ids]]
        steps = torch.where(riser > 0.0, climb / riser, 0.0)
        row = torch.stack((torch.ones_like(climb), climb, up, steps), dim=1) * playing[:, None]
        self.climbs.view(-1, len(self.columns)).index_add_(0, kind * self.climbs.shape[1] + level, row)

    def _players(self) -> torch.Tensor:
        """Bool [N]: the students, or all where there are only teachers, whose levels would never change else."""
        students = self._env.students
        return students if bool(students.any()) else torch.ones_like(students)

    def _follow(self, teachers: torch.Tensor, students: torch.Tensor) -> None:
        if len(teachers) == 0:
            return
        terrain = self._env.terrain
        # One row of weights per teacher: the students on its kind of terrain, or all where there are none.
        same = self._kind_mask[self.kind[teachers]] * students
        same = torch.where(same.sum(dim=1, keepdim=True) > 0, same, students.float().expand_as(same))
        model = torch.multinomial(same, 1).squeeze(1)
        terrain.terrain_levels[teachers] = terrain.terrain_levels[model]
        assert terrain.terrain_origins is not None
        terrain.env_origins[teachers] = terrain.terrain_origins[
            terrain.terrain_levels[teachers], terrain.terrain_types[teachers]
        ]

    def _log(self, students: torch.Tensor) -> dict[str, torch.Tensor]:
        levels = self._env.terrain.terrain_levels.float()
        weight = self._kind_mask * students
        mean = (weight * levels).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)
        overall = (levels * students).sum() / students.sum().clamp(min=1)
        return dict(zip(self.names, mean.unbind(), strict=True)) | {"mean": overall}
