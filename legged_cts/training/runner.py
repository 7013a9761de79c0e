"""rsl_rl's runner with exact resume, whole checkpoints, statistics per role and a clean way out."""

from __future__ import annotations

import logging
import math
import shlex
import sys
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

from legged_cts.algorithms.exact_symmetry import make_exact
from legged_cts.algorithms.interface import RoleAware
from legged_cts.algorithms.losses import normalize_advantages
from legged_cts.algorithms.ppo import RolePPO
from legged_cts.models.mirrored import ExactSymmetry
from legged_cts.training.average import PolicyAverage
from legged_cts.training.checkpoint import (
    BEST,
    CheckpointError,
    load_checkpoint,
    numbered_checkpoints,
    remove_drafts,
    save_checkpoint,
    trained_steps,
)
from legged_cts.training.display import Display, NoDisplay, make_display, say
from legged_cts.training.distributed import Processes, fingerprint, join, own_state, to_cpu
from legged_cts.training.env_state import capture_env, has_own_state, restore_env
from legged_cts.training.faults import FaultGuard, NetworkFault
from legged_cts.training.foreign import check_weights
from legged_cts.training.interrupt import GracefulStop
from legged_cts.training.machine import Machine
from legged_cts.training.random_state import random_state, seed_everything, set_random_state
from legged_cts.training.rates import apply_new_rates
from legged_cts.training.revision import git_revision
from legged_cts.training.rollback import Rollback
from legged_cts.training.run_folder import FolderError, FolderGone, FolderWatch, newest_good, set_aside, writing
from legged_cts.training.stages import Stages
from legged_cts.training.statistics import RoleStatistics, student_score
from legged_cts.training.teachers import supply_teachers
from legged_cts.training.widen import let_statistics_follow, widen_inputs, with_fitting_student
from legged_cts.training.writers import CsvWriter, Writer, make_writer
from legged_cts.trust.plain import building

_log = logging.getLogger(__name__)


class Ending(Enum):
    """Why a training ended."""

    DONE = "all iterations done"
    TIME = "max_minutes are over"
    SIGNAL = "stopped by a signal"


class PolicyError(FloatingPointError):
    """The networks are not finite, and going back to finite ones did not help."""


class Runner(OnPolicyRunner):
    """Trains any rsl_rl algorithm whose roles, if it has some, are in ``teacher_mask``.

    ``current_learning_iteration`` counts finished iterations, here and in checkpoints, so a resumed run repeats none.

    Under ``torchrun`` every process runs one with environments of its own; :meth:`learn`, :meth:`save` and :meth:`load`
    are then for all of them together. Rank 0 writes and shows, and what it shows is of all.
    """

    processes: Processes

    def __init__(
        self,
        env: VecEnv,
        train_cfg: dict[str, Any],
        log_dir: str | None = None,
        device: str = "cpu",
        *,
        config: Mapping[str, Any] | None = None,
        env_info: Mapping[str, Any] | None = None,
        display: Display | None = None,
        keep: int = 3,
        best_interval: int = 10,
    ) -> None:
        """Build the algorithm.

        Args:
            env: The vectorised environment.
            train_cfg: Configuration of ``OnPolicyRunner``, see ``legged_cts.algorithms.config.runner_cfg``.
            log_dir: The run's folder, None to write nothing.
            device: Device of the learner.
            config: The whole resolved configuration, kept in every checkpoint. ``logger``, ``wandb_project`` and
                ``max_iterations`` are read from it.
            env_info: What the environment was, kept in every checkpoint.
            display: What shows the progress; None picks by whether stdout is a terminal.
            keep: How many of the latest ``model_<iteration>.pt`` stay.
            best_interval: Iterations between two looks at the student's score.
        """
        super().__init__(env, train_cfg, log_dir, device)
        self._roles = self.alg if isinstance(self.alg, RoleAware) else None
        self._exact: ExactSymmetry | None = None
        if self.cfg.get("exact_symmetry"):
            self._exact = self.alg.exact_symmetry if isinstance(self.alg, RolePPO) else make_exact(self.alg, env)
        supply_teachers(self.alg, env)
        self.log_dir = Path(log_dir) if log_dir else None
        self.config = dict(config or {})
        self.env_info = dict(env_info or {})
        main = self.processes.is_main
        self.display = (display or make_display(sys.stdout)) if main else NoDisplay()
        self.keep = keep
        self.best_interval = best_interval
        self.total_steps = 0
        self.previous_steps = 0
        """Of the training that the networks are from, before this run."""
        self.train_time = 0.0
        self.best_score = -math.inf
        nobody = torch.zeros(env.num_envs, dtype=torch.bool)
        self._teachers = nobody if self._roles is None else self._roles.teacher_mask
        self._statistics = RoleStatistics(env, self._teachers)
        context = {"config": self.config, "env_info": self.env_info}
        dumps = self.log_dir if self._writes else None
        self._guard = FaultGuard(env, dumps, self.cfg.get("check_for_nan", True), context)
        self._rollback = Rollback(self.alg)
        self._average = PolicyAverage(self.cfg.get("average_iterations", 0))
        self._best_is_due = False
        self._wandb_run_id: str | None = None
        self._stages = Stages(self.config, self.env_info, env.unwrapped, self.alg)
        self._machine = Machine(self.device)
        self._source: Path | None = None
        """Folder of the run that this one goes on with."""
        self._check_equal_sizes()

    def learn(
        self, num_learning_iterations: int, init_at_random_ep_len: bool = False, max_minutes: float | None = None
    ) -> Ending:
        """Run training iterations until they are done, the time is over, or a signal asks to stop.

        A last checkpoint is written whatever ends the training normally. Single worlds whose numbers are not finite are
        reset, see :mod:`legged_cts.training.faults`; networks that are not finite are restored once, as they were at
        most ten iterations ago, with half the learning rate.

        Args:
            num_learning_iterations: How many more iterations.
            init_at_random_ep_len: Start the environments at random times of their episodes.
            max_minutes: Stop after the iteration in which this many minutes have passed since the call.

        Raises:
            PolicyError: If the networks fail again; the state is saved to ``crash_<iteration>.pt`` first.
            EnvironmentFault: If the observations of all worlds are not finite.
            FolderError: If the run's folder can no longer be written, naming the newest good checkpoint.
        """
        if init_at_random_ep_len:
            self.env.episode_length_buf = torch.randint_like(
                self.env.episode_length_buf, high=int(self.env.max_episode_length)
            )
        obs = self.env.get_observations().to(self.device)
        self.alg.train_mode()
        if self.is_distributed:
            self.alg.broadcast_parameters()
        first = self.current_learning_iteration
        last = first + num_learning_iterations
        self.processes.check_equal("the first and last iteration (resume, max_iterations)", (first, last))
        deadline = math.inf if max_minutes is None else time.monotonic() + 60.0 * max_minutes
        if self._rollback.sound():
            self._rollback.keep(first)
        self._guard.start()
        try:
            with writing(self.log_dir):
                ending = self._train(obs, first, last, deadline)
        except FolderGone as gone:
            assert self.log_dir is not None
            path = self.log_dir / f"model_{self.current_learning_iteration}.pt"
            with writing(self.log_dir):
                self._write(str(path), None, self._own_state())  # by this process alone
            raise FolderError(f"{gone}; {newest_good(self.log_dir)}") from None
        except KeyboardInterrupt:
            where = newest_good(self.log_dir) if self.log_dir else "nothing is saved"
            raise KeyboardInterrupt(f"interrupted at once; {where}") from None
        if ending is Ending.SIGNAL and self._writes:
            again = f"{self.processes.told('train')} resume={shlex.quote(str(self.log_dir))}"
            say(f"stopped and saved; continue with: {again}")
        return ending

    def _train(self, obs: TensorDict, first: int, last: int, deadline: float) -> Ending:
        """Run iterations until the last one, the deadline or a signal, and save at the end; returns why it ended."""
        writers = self._writers(first)
        self._show("start", first, last)
        for text in self._stages.plan():
            self._show("note", first, text)
        ending = Ending.DONE
        try:
            with GracefulStop() as stop:
                for _ in range(first, last):
                    obs, metrics = self._iteration(obs)
                    for writer in writers:
                        writer.write(metrics, self.current_learning_iteration)
                    self._show("update", self.current_learning_iteration, metrics)
                    for text in self._stages.look(metrics, self.current_learning_iteration):
                        self._show("note", self.current_learning_iteration, text)
                        self.best_score = -math.inf  # of other rewards or pushes: a score from before says nothing now
                    self._show("stage", self._stages.progress(metrics, self.current_learning_iteration))
                    # After the writers: whoever resumes from a checkpoint finds the rows up to it.
                    self._save_best()
                    if self.current_learning_iteration % self.cfg["save_interval"] == 0:
                        self._save_numbered()
                    stopped, late = self.processes.any(stop.requested, time.monotonic() >= deadline)
                    if stopped or late:
                        ending = Ending.SIGNAL if stopped else Ending.TIME
                        break
                self._save_numbered()
        finally:
            self._show("stop")
            for writer in writers:
                writer.close()
        return ending

    def save(self, path: str, infos: dict | None = None) -> None:
        """Write a checkpoint of everything that a resumed run needs.

        Every process must call it; rank 0 writes. ``rank_states`` holds the random numbers and the environment of each.
        """
        self._show("phase", "save")
        states = self.processes.gather(to_cpu(self._own_state()))
        if states is not None:
            self._write(path, infos, states[0] | ({"rank_states": states} if self.processes.many else {}))

    def _own_state(self) -> dict[str, Any]:
        """Return what is this process's alone: the rest of a checkpoint is the same on all."""
        return {
            "random_state": random_state(),
            "env_state": capture_env(self.env),
            "statistics": self._statistics.state_dict(episodes=has_own_state(self.env)),
            "faults": dict(self._guard.counts),
        }

    def _write(self, path: str, infos: dict | None, states: Mapping[str, Any]) -> None:
        save_checkpoint(
            path,
            {
                **self.alg.save(),
                **self._average.save(),
                **states,
                "iter": self.current_learning_iteration,
                "total_steps": self.total_steps,
                "previous_steps": self.previous_steps,
                "train_time": self.train_time,
                "best_score": self.best_score,
                "stages": self._stages.state_dict(),
                "config": self.config,
                "env_info": self.env_info,
                "git_revision": git_revision(),
                "wandb_run_id": self._wandb_run_id,
                "infos": infos,
            },
        )

    @building("checkpoint: what it holds does not fit this run")
    def load(
        self, path: str, load_cfg: dict | None = None, strict: bool = True, map_location: str | None = None
    ) -> dict[str, Any]:
        """Continue from a checkpoint, or take parts of it.

        Args:
            path: The checkpoint.
            load_cfg: Parts for the algorithm to load; None takes all of them, and with them the iteration, the random
                number generators and the state of the environment. Networks of which only parts are taken may now read
                more observation groups, see :func:`legged_cts.training.widen.widen_inputs`.
            strict: Whether parameter names must match exactly.
            map_location: Device to load to, the learner's by default.

        Returns:
            The ``infos`` given to :meth:`save`.

        Raises:
            CheckpointError: If the file is no checkpoint, its networks are not those of this configuration, or they are
                to commute with the mirror and do not.
            ValueError: If its networks are not finite, or another entry is of the wrong kind.
        """
        content = load_checkpoint(path, map_location or self.device)
        check_weights(content)
        if load_cfg is not None:
            content = self._with_new_inputs(let_statistics_follow(content))
        try:
            take_iteration = self.alg.load(content, load_cfg, strict)
        except (RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(
                f"checkpoint: the networks in {path} are not those of this configuration; algorithm, networks and "
                f"env.observations must be as in its training: {reason}"
            ) from error
        if self._exact is not None and not self._exact.holds():
            raise CheckpointError(
                f"checkpoint: the networks in {path} do not commute with the mirror, for they were not trained with "
                "symmetry=exact; go on with symmetry=none, augment or loss"
            )
        states: list[dict[str, Any]] = content.get("rank_states") or [content]
        state, exact = own_state(states, self.processes)
        if take_iteration:
            self._take_counts(content, state)
            self._source = Path(path).resolve().parent
        if load_cfg is not None:
            self.previous_steps = trained_steps(content)
            # From a robot that walks: what was to change once it does has changed.
            for text in self._stages.take_over(content.get("stages")):
                self._show("note", 0, text)
        else:
            self._restore_own_state(state, exact)
            apply_new_rates(self.alg, content["config"].get("algorithm"), self.config.get("algorithm"))
        return content.get("infos") or {}

    def _take_counts(self, content: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Go on counting where a checkpoint stopped; ``state`` is this process's part of it."""
        self.current_learning_iteration = content["iter"]
        self.total_steps = content["total_steps"]
        self.previous_steps = content.get("previous_steps", 0)
        self.train_time = content.get("train_time", 0.0)
        self.best_score = content.get("best_score", -math.inf)
        self._wandb_run_id = content.get("wandb_run_id")
        self._statistics.load_state_dict(state.get("statistics", {}))
        self._guard.counts.update(state.get("faults") or {})
        self._stages.load_state_dict(content.get("stages"))
        self._average.load(content)

    def _with_new_inputs(self, content: Mapping[str, Any]) -> dict[str, Any]:
        stored = self.alg.storage.observations
        groups: dict[str, list[str]] = self.cfg["obs_groups"]
        widths = {name: stored[name].shape[-1] for members in groups.values() for name in members if name in stored}
        now = self.alg.save()
        widened, new = widen_inputs(content, now, groups, widths)
        fitting, told = with_fitting_student(widened, now)
        if new and self.processes.is_main:
            print(f"checkpoint: its networks did not see {', '.join(new)}; weights for that start at zero")
        if told and self.processes.is_main:
            print(f"checkpoint: {told}")
        return fitting

    def _restore_own_state(self, state: Mapping[str, Any], exact: bool) -> None:
        """Continue this process's environments and random numbers, or those of one like it.

        With another number of processes there is no exact continuation: random numbers start anew, but not those that
        the run began with.
        """
        left = restore_env(self.env, state.get("env_state", {}))
        if left and self.processes.is_main:
            print(f"resume: drawn anew, because the environment is not the checkpoint's: {', '.join(left)}")
        if not exact:
            if self.processes.is_main:
                print("the checkpoint is of another number of processes, so its training is not continued exactly")
            seed = self.config.get("seed", 0)
            seed_everything(self.processes.seed(seed, self.current_learning_iteration))
        elif "random_state" in state:
            set_random_state(state["random_state"])

    def _configure_multi_gpu(self) -> None:
        # rsl_rl knows NCCL and one GPU per process alone.
        self.processes = join()
        self.gpu_world_size, self.is_distributed = self.processes.world_size, self.processes.many
        self.gpu_global_rank, self.gpu_local_rank = self.processes.rank, self.processes.local_rank
        self.cfg["multi_gpu"] = None
        if self.is_distributed:
            self.cfg["multi_gpu"] = {
                "global_rank": self.processes.rank,
                "local_rank": self.processes.local_rank,
                "world_size": self.processes.world_size,
            }
            if torch.device(self.device).type == "cuda":
                torch.cuda.set_device(self.device)

    def _iteration(self, obs: TensorDict) -> tuple[TensorDict, dict[str, float]]:
        """Collect a rollout and learn from it, as rsl_rl's ``learn`` does; returns observations and metrics."""
        start = time.perf_counter()
        log: list[dict[str, Any]] = []
        steps = self.cfg["num_steps_per_env"]
        self._guard.iteration = self.current_learning_iteration
        self._follow_roles()
        with torch.inference_mode():
            obs = self._collect(obs, log)
            collected = time.perf_counter()
            self._show("phase", "learn")
            self.alg.compute_returns(obs)
            if self.is_distributed:
                self._normalize_jointly(self.alg)
        losses = self.alg.update()
        if self._exact is not None:
            self._exact.settle()
        self._guard.counts["skipped_updates"] += int(losses.get("skipped_updates", 0))
        self.current_learning_iteration += 1
        if self._rollback.sound():
            self._rollback.keep(self.current_learning_iteration)
            self._average.add(self.alg.save())
        else:
            self._go_back()
        finished = time.perf_counter()
        self.total_steps += steps * self.env.num_envs * self.gpu_world_size
        self.train_time += finished - start
        metrics = {
            "total_steps": float(self.total_steps),
            "train_time_s": self.train_time,
            **self._statistics.summary(),
            **self._stages.metrics(),
            "perf/env_steps_per_s": steps * self.env.num_envs / (finished - start),
            "perf/collect_s": collected - start,
            "perf/learn_s": finished - collected,
            "learning_rate": float(self.alg.learning_rate),
            **_action_std(self.alg.get_policy().output_std),
            **{f"loss/{name}": float(value) for name, value in losses.items()},
            **self._diagnostics(),
            **self._guard.metrics(),
            **self._machine.metrics(),
        }
        metrics = self.processes.mean({**metrics, "score": math.nan, "best_score": math.nan, **_mean_log(log)})
        for name in metrics:
            if name == "perf/env_steps_per_s" or (name.startswith("faults/") and name != "faults/skipped_updates"):
                metrics[name] *= self.processes.world_size  # counts of all, where the others are means
        metrics["score"] = student_score(metrics)
        iteration = self.current_learning_iteration
        due = iteration % self.best_interval == 0 and self._stages.settled(iteration)
        self._best_is_due = due and math.isfinite(metrics["score"]) and metrics["score"] > self.best_score
        if self._best_is_due:
            self.best_score = metrics["score"]
        metrics["best_score"] = self.best_score if math.isfinite(self.best_score) else math.nan
        return obs, metrics

    def _follow_roles(self) -> None:
        """Let the statistics and the curriculum know if other environments are teachers in this iteration."""
        if self._roles is None:
            return
        mask = self._roles.begin_iteration()
        if not torch.equal(mask, self._teachers):
            self._teachers = mask
            self._statistics.regroup(mask)
            self.env.unwrapped.student_mask = (~mask).to(self.env.device)

    def _diagnostics(self) -> dict[str, float]:
        """Return what the algorithm says about its last update, and its latent errors by the students' terrain."""
        if self._roles is None:
            return {}
        diagnostics = self._roles.diagnostics
        by_environment = {"latent/error": diagnostics.latent_error, "latent/cosine": diagnostics.latent_cosine}
        return {**diagnostics.scalars, **self._statistics.by_terrain(by_environment)}

    def _collect(self, obs: TensorDict, log: list[dict[str, Any]]) -> TensorDict:
        """Fill the algorithm's storage with one rollout; returns the last observations."""
        step = 0
        while step < self.cfg["num_steps_per_env"]:
            self._show("phase", "collect", step, self.cfg["num_steps_per_env"])
            try:
                seen, actions = self._guard.act(self.alg, obs)
            except NetworkFault:
                self._go_back(alone=True)
                self.alg.storage.clear()
                self.alg.transition.clear()
                step = 0
                continue
            self._statistics.before_step()
            result = self.env.step(actions.to(self.env.device))
            obs, rewards, dones, extras = self._guard.after_step(self.alg, seen, actions, result)
            self._statistics.after_step(rewards, dones, extras)
            obs, rewards, dones = obs.to(self.device), rewards.to(self.device), dones.to(self.device)
            self.alg.process_env_step(obs, rewards, dones, extras)
            if extras.get("log"):
                log.append(dict(extras["log"]))
            step += 1
        return obs

    def _show(self, what: str, *values: Any) -> None:
        """Let the display show something; a terminal or pipe that is gone ends the display, not the work."""
        try:
            getattr(self.display, what)(*values)
        except OSError:
            self.display = NoDisplay()

    def _save_best(self) -> None:
        if self._best_is_due and self.log_dir is not None:
            self.save(str(self.log_dir / BEST))

    def _save_numbered(self) -> None:
        self._check_equal_networks()
        if self.log_dir is None:
            return
        self.save(str(self.log_dir / f"model_{self.current_learning_iteration}.pt"))
        if not self._writes:
            return
        for _, old in numbered_checkpoints(self.log_dir)[: -self.keep]:
            old.unlink(missing_ok=True)

    def _go_back(self, alone: bool = False) -> None:
        """Restore networks that were finite, or raise.

        Args:
            alone: Whether other ranks may go on; parameters must stay the same on all of them.

        Raises:
            PolicyError: If there are none, if it is the second failure in a short time, or if other ranks go on.
        """
        if (alone and self.is_distributed) or not self._rollback.restore(self.current_learning_iteration):
            self._fail()
        _log.warning(
            "iteration %d: the networks were not finite; went back to the last sound ones, learning rate %g",
            self.current_learning_iteration, self.alg.learning_rate,
        )  # fmt: skip

    def _check_equal_sizes(self) -> None:
        self.processes.check_equal("env.scene.num_envs", self.env.num_envs)
        self.processes.check_equal("runner.num_steps_per_env", self.cfg["num_steps_per_env"])
        self.processes.check_equal("the number of teachers (algorithm.teacher_fraction)", int(self._teachers.sum()))

    def _check_equal_networks(self) -> None:
        """Check that all processes hold the same bits, which unlike processors or libraries could prevent."""
        if self.is_distributed:
            self.processes.check_equal("networks and optimizers", fingerprint(self.alg.save()))

    def _normalize_jointly(self, alg: PPO) -> None:
        """Let the statistics of all processes normalise the advantages; rsl_rl's PPO takes each process's own."""
        if isinstance(alg, RolePPO) or alg.normalize_advantage_per_mini_batch:
            return
        alg.storage.advantages = normalize_advantages(alg.storage.returns - alg.storage.values)

    def _fail(self) -> None:
        where = ""
        if self.log_dir is not None:
            # By this process alone, for the others do not know of it.
            path = self.log_dir / self.processes.file(f"crash_{self.current_learning_iteration}.pt")
            self._write(str(path), None, self._own_state())
            where = f"; its state is in {path}"
        raise PolicyError(
            f"the policy's output is not finite in iteration {self.current_learning_iteration}{where}. Resume from the "
            "last model_<iteration>.pt, with a lower algorithm.learning_rate or algorithm.desired_kl"
        )

    @property
    def _writes(self) -> bool:
        return self.log_dir is not None and self.gpu_global_rank == 0

    def _writers(self, start: int) -> list[Writer]:
        if not self._writes:
            return []
        assert self.log_dir is not None
        self.log_dir.mkdir(parents=True, exist_ok=True)
        remove_drafts(self.log_dir)
        goes_on = self._source == self.log_dir.resolve()
        aside = set_aside(self.log_dir, start if goes_on else None)
        if aside is not None:
            what = f"the checkpoints beyond iteration {start}" if goes_on else "the run that was in this folder"
            say(f"moved aside: {what}; to go on with it: resume={aside}")
        self._source = self.log_dir.resolve()
        name = self.config.get("logger", "none")
        project = self.config.get("wandb_project") or "legged_cts"
        chosen = make_writer(name, self.log_dir, start, self.config, project, self._wandb_run_id)
        self._wandb_run_id = getattr(chosen, "run_id", None)
        own = [FolderWatch(self.log_dir), CsvWriter(self.log_dir / "metrics.csv", start)]
        return [*own, *([chosen] if chosen else [])]


def _action_std(std: torch.Tensor) -> dict[str, float]:
    """Mean, smallest and largest standard deviation over the joints of an action distribution's std [..., d]."""
    per_joint = std.detach().reshape(-1, std.shape[-1]).mean(dim=0)
    values = torch.stack([per_joint.mean(), per_joint.min(), per_joint.max()]).tolist()
    return dict(zip(("action_std", "action_std_min", "action_std_max"), values, strict=True))


def _mean_log(log: list[dict[str, Any]]) -> dict[str, float]:
    """Mean of each entry that Isaac Lab's managers logged at resets during the iteration."""
    result: dict[str, float] = {}
    for key in dict.fromkeys(key for entry in log for key in entry):
        values = [torch.as_tensor(entry[key], dtype=torch.float32).mean() for entry in log if key in entry]
        result[f"env/{key}"] = float(torch.stack([value.cpu() for value in values]).mean())
    return result
