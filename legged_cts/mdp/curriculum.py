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
    """Promotes and demotes environments between terrain levels, as legged_gym does, by the students' success alone.

    A student that ends an episode farther from its start than half a sub-terrain moves up a level; one that got less
    than half as far as its command asked moves down; one that solves the last level goes to a random one. Teachers see
    the terrain ahead and would climb to levels where students learn nothing, so a teacher takes the level of a random
    student on the same kind of terrain. Episodes that were cut short by a random starting time do not count.
    """

    _env: LeggedEnv

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
        self._half_size = 0.5 * generator.size[0]

    def __call__(self, env: LeggedEnv, env_ids: torch.Tensor | slice) -> dict[str, torch.Tensor]:
        """Move the environments that are about to be reset; returns mean student levels to log."""
        terrain = env.terrain
        ids = torch.arange(env.num_envs, device=env.device)[env_ids] if isinstance(env_ids, slice) else env_ids.long()
        students = self._players()
        if env.common_step_counter > 0:
            up, down = self._moves(ids)
            playing = students[ids]
            terrain.update_env_origins(ids, up & playing, down & playing)
            self._follow(ids[~playing], students)
        self._start_step[ids] = env.common_step_counter
        return self._log(students)

    def _moves(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        env = self._env
        position = env.state.current().root_pos_w[ids, :2]
        walked = (position - env.scene.env_origins[ids, :2]).norm(dim=1)
        asked = env.command[ids, :2].norm(dim=1) * env.max_episode_length_s
        steps = env.common_step_counter - self._start_step[ids]
        cut_short = env.reset_time_outs[ids] & (steps < env.max_episode_length)
        sound = ~env.state.exploded[ids]
        up = (walked > self._half_size) & sound
        down = (walked < 0.5 * asked) & ~up & ~cut_short & sound
        return up, down

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
