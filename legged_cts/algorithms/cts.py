"""Concurrent teacher-student PPO (arXiv 2405.10830): figure 2 of the paper as a list of terms."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from legged_cts.algorithms.losses import latent_distance, ramp
from legged_cts.algorithms.minibatches import sample_batches
from legged_cts.algorithms.options import check_options
from legged_cts.algorithms.ppo import RolePPO
from legged_cts.algorithms.reduce import joint_shares
from legged_cts.algorithms.rollout import Parts
from legged_cts.algorithms.symmetry import observation_images
from legged_cts.algorithms.terms import Entropy, MirrorLoss, Seen, Surrogate, Term, Value
from legged_cts.distillation.drivers import Driver


class CTS(RolePPO):
    """PPO in which teacher and student environments train one policy and one critic in the same iteration.

    A fixed share of the environments are teachers: their latent z comes from the privileged encoder E^t. The others are
    students: their z comes from the history encoder E^s. Gradients go where the paper's figure 2 sends them:

    - surrogate of both groups, value loss and entropy train policy, action std and critic;
    - E^t gets the surrogate gradient of teacher samples and nothing else, unless ``latent_pull`` is on;
    - E^s gets no PPO gradient: after the PPO epochs it regresses z^t = stopgrad(E^t(s)) on the same rollout;
    - the critic sees stopgrad(z).

    Options, beside those of ``RolePPO``:

    - ``teacher_fraction``: share of teacher environments in [0, 1];
    - ``student_encoder_gradient``: ``reconstruction``, ``surrogate``, or ``auto``: reconstruction if there is a
      teacher, else surrogate. With ``surrogate`` there is no regression and E^s gets the surrogate gradient of student
      samples instead; with no teachers at all that is blind, asymmetric PPO on a history encoder. Asking for
      reconstruction without teachers fits a random, frozen E^t;
    - ``reconstruction_envs``: regress on ``student`` environments or on ``all``;
    - ``reconstruction_epochs``, ``reconstruction_mini_batches``: passes over the rollout for E^s, and mini-batches of
      each;
    - ``latent_pull``, ``latent_pull_start``, ``latent_pull_ramp``: see ``LatentPull``; weight 0 turns it off.
    """

    def __init__(
        self,
        parts: Parts,
        teacher_fraction: float = 0.75,
        student_encoder_gradient: str = "auto",
        reconstruction_envs: str = "student",
        reconstruction_epochs: int = 5,
        reconstruction_mini_batches: int = 4,
        latent_pull: float = 0.0,
        latent_pull_start: int = 0,
        latent_pull_ramp: int = 1,
        driver: Driver | None = None,
        **options: Any,
    ) -> None:
        """Set up both groups.

        Args:
            parts: Networks and storage.
            teacher_fraction ... latent_pull_ramp: See the class.
            driver: Who acts; by default ``teacher_fraction`` of the environments, for good.
            **options: Of ``RolePPO``.

        Raises:
            ValueError: If an option is unknown or out of range, or the options contradict each other.
        """
        envs, steps = parts.storage.num_envs, parts.storage.num_transitions_per_env
        driver = driver or Driver(envs, "env", teacher_fraction, options.get("device", "cpu"), steps=steps)
        words = {
            "student_encoder_gradient": student_encoder_gradient, "reconstruction_envs": reconstruction_envs,
            "reconstruction_epochs": reconstruction_epochs, "reconstruction_mini_batches": reconstruction_mini_batches,
            "latent_pull": latent_pull, "latent_pull_start": latent_pull_start, "latent_pull_ramp": latent_pull_ramp,
        }  # fmt: skip
        check_options(words, *driver.sizes)
        super().__init__(parts, driver, **options)
        self.pull = LatentPull(self, latent_pull, latent_pull_start, latent_pull_ramp)
        self.regression = Regression(self, reconstruction_epochs, reconstruction_mini_batches)
        self.terms = [Surrogate(self), Value(self), Entropy(self), MirrorLoss(self), self.pull, self.regression]
        self._regression_envs = reconstruction_envs
        self.set_student_encoder_gradient(student_encoder_gradient)

    def store_needed_histories(self) -> None:
        """Store the histories of the students, or of all where roles change or E^s is fitted on all."""
        everyone = range(self.storage.num_envs)
        acting = everyone if self.driver.can_change else self.driver.student_ids
        regressed = everyone if self._regression_envs == "all" and not self.trains_student else acting
        self.store_histories(regressed, acting)

    def set_student_encoder_gradient(self, gradient: str) -> None:
        """Change what trains E^s, between two iterations; then its Adam begins anew.

        Steps by the small squares of the regression's gradients are leaps: a TRON1's error went from 0.21 to 0.33 m/s.

        Args:
            gradient: As the option ``student_encoder_gradient``.

        Raises:
            ValueError: If it is none of them.
        """
        check_options({"student_encoder_gradient": gradient}, *self.driver.sizes)
        if gradient == "auto":
            gradient = "reconstruction" if len(self.driver.teacher_ids) else "surrogate"
        if self.trains_student is not (gradient == "surrogate"):
            self.student_optimizer.state.clear()
        self.trains_student = gradient == "surrogate"
        self.regression.coef = 0.0 if self.trains_student else 1.0
        self.store_needed_histories()

    def set_teacher_fraction(self, fraction: float) -> None:
        """Change how many environments are teachers, between two iterations.

        Histories are stored for the new students from the next rollout on; hidden states of E^s begin anew.

        Args:
            fraction: Share of teacher environments in [0, 1], with which the objective must still make sense.

        Raises:
            ValueError: If an option needs a group that would have no environment.
        """
        teachers = round(self.storage.num_envs * fraction)
        options = {"kl_samples": self.kl_samples, "latent_pull": self.pull.weight}
        check_options(options, teachers, self.storage.num_envs - teachers)
        if not teachers and not self.trains_student:
            raise ValueError("algorithm.teacher_fraction: without a teacher there is nothing that E^s could regress")
        self.driver.configure("env", fraction)
        self.store_needed_histories()


class LatentPull(Term):
    """Draws E^t to what E^s can follow: mean ``|E^t(s) - stopgrad(z^s)|^2`` of student samples (ROA's idea)."""

    def __init__(self, alg: RolePPO, weight: float, start: int, length: int) -> None:
        """Be 0 before iteration ``start``, then grow to ``weight`` over ``length`` iterations."""
        super().__init__(alg)
        self.weight, self._start, self._length = weight, start, length

    @property
    def weight_now(self) -> float:
        """Weight in this iteration."""
        return self.weight * ramp(self.alg.iteration, self._start, self._length)

    def loss(self, seen: Seen) -> torch.Tensor | None:
        """Return the weighted distance, while there is a weight and a student."""
        n, batch = seen.batch.teachers, seen.batch
        if not self.weight_now or n == len(batch):
            return None
        followed = self.alg.teacher_latents(batch.observations[n:])
        seen.report["latent_pull"] = pull = latent_distance(followed, seen.latent[n:].detach())
        return self.weight_now * pull * seen.shares[1]


class Regression(Term):
    """Fits z^s to z^t = stopgrad(E^t(s)), of the E^t that the PPO epochs have updated, on the rollout.

    The loss is the mean (z^s - z^t)^2 over samples and latent entries. A recurrent E^s is trained on whole sequences,
    with gradient through the rollout and no further back.
    """

    def __init__(self, alg: RolePPO, epochs: int, mini_batches: int) -> None:
        """Take ``epochs`` passes over the rollout, of ``mini_batches`` each."""
        super().__init__(alg)
        self.epochs, self.mini_batches, self.coef = epochs, mini_batches, 1.0

    def finish(self, means: dict[str, list[float]]) -> int:
        """Regress, and report ``reconstruction``, ``latent_cosine`` and what E^s reports."""
        alg, student, ids = self.alg, self.alg.student_rollout, self.alg.history.ids
        if not len(ids) or not self.coef:
            return 0
        images = alg.history_images if alg.symmetry is not None and alg.symmetry.use_data_augmentation else None
        targets = self.targets(with_images=images is not None)
        alg.diagnostics.compare_latents(alg.storage, targets[0], ids, alg.teacher_mask)  # without images
        steps, count = targets.shape[1:3]
        position = (torch.arange(steps, device=ids.device).unsqueeze(1) * alg.storage.num_envs + ids).flatten()
        targets, skipped = targets.flatten(1, 2), 0
        for index in sample_batches(steps, count, self.mini_batches, self.epochs, ids.device, student.is_recurrent):
            encoded, target = student.encode(position[index], images), targets[:, index].flatten(0, 1)
            error = nn.functional.mse_loss(encoded.latents, target) * joint_shares((len(index),), ids.device)[0]
            with torch.no_grad():
                cosine = nn.functional.cosine_similarity(encoded.latents, target).mean()
            loss = error if encoded.penalty is None else error + encoded.penalty
            if not alg.step_student(self.coef * loss):
                skipped += 1
                continue
            for key, value in {"reconstruction": error, "latent_cosine": cosine, **encoded.report}.items():
                means[key].append(value.item())
        return skipped

    @torch.no_grad()
    def targets(self, with_images: bool) -> torch.Tensor:
        """Return z^t [copies, T, K, latent_dim] of the stored environments: of the samples, then of their images."""
        alg, ids = self.alg, self.alg.history.ids
        states: Any = alg.storage.observations[:, ids].flatten(0, 1).select(*alg._raw_actor.teacher_groups)
        if with_images:
            assert alg.symmetry is not None
            states = observation_images(alg.symmetry, states)
        found = alg.teacher_policy().latent(alg._raw_actor.teacher_input(states))
        return found.unflatten(0, (-1, alg.storage.num_transitions_per_env, len(ids)))
