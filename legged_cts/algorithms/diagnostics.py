"""Numbers that show concurrent teacher-student training failing early, from tensors that the update has anyway."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from rsl_rl.storage import RolloutStorage
from torch import nn

from legged_cts.models.latent_model import LATENT


class Diagnostics:
    """Collects the diagnostics of one update; no network is run for them.

    After an update ``scalars`` holds, by name (``<role>`` is ``teacher`` or ``student``, left out where it has no
    environment):

    - ``value/explained_variance_<role>``: of the returns by the values of the rollout, see ``explained_variance``;
    - ``latent/std_<role>``, ``latent/dimension_<role>``: spread of the latents that the group acted on;
    - ``latent/error``, ``latent/cosine``: mean over students of ||z^s - z^t||^2 and of cos(z^s, z^t), where z^s is what
      the student acted on and z^t is E^t's latent of the same state after the PPO epochs;
    - ``latent/explained_variance``: 1 - the latent error over that of the best constant, the mean of z^t. Latents that
      lie close together have a high cosine whatever E^s does; this number is 0 for an E^s that has learned their mean;
    - ``policy/clip_fraction_<role>``, ``policy/kl_<role>``: means over the mini-batches that took a step;
    - ``policy/surrogate_gain_<role>``: by how much the clipped objective of the group's samples is above that of the
      policy that acted, mean over those mini-batches; 0 or less where the gradient does not listen to the group;
    - ``gradient/policy`` (the actor without E^t), ``gradient/teacher_encoder``, ``gradient/critic`` and
      ``gradient/student_encoder``: mean L2 norms before clipping.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        """Remember the networks: ``policy`` (the actor, E^t included), ``teacher_encoder`` and the others by name."""
        self.scalars: dict[str, float] = {}
        """Diagnostics of the last update."""
        self.latent_error: torch.Tensor | None = None
        """Mean over the rollout of ||z^s - z^t||^2 of each student environment [K]; None without a regression."""
        self.latent_cosine: torch.Tensor | None = None
        """Mean over the rollout of cos(z^s, z^t) of each student environment [K]; None without a regression."""
        self._modules = modules
        self._once: dict[str, torch.Tensor] = {}
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, int] = {}

    def start(self, storage: RolloutStorage, teachers: torch.Tensor) -> None:
        """Begin an update with a full storage of T steps and N environments, whose roles are ``teachers``, bool [N]."""
        self._once, self._sums, self._counts = {}, {}, {}
        self.latent_error = self.latent_cosine = None
        latents = storage.observations[LATENT]
        for role, mask in (("teacher", teachers), ("student", ~teachers)):
            if not bool(mask.any()):
                continue
            explained = explained_variance(storage.values[:, mask], storage.returns[:, mask])
            self._once[f"value/explained_variance_{role}"] = explained
            acted = latents[:, mask].flatten(0, 1)
            self._once[f"latent/std_{role}"] = latent_std(acted)
            self._once[f"latent/dimension_{role}"] = effective_dimension(acted)

    def compare_latents(
        self, storage: RolloutStorage, targets: torch.Tensor, ids: torch.Tensor, teachers: torch.Tensor
    ) -> None:
        """Set the latent errors of the rollout's students.

        Args:
            storage: The rollout, with the latents that students acted on.
            targets: z^t [T, K, d] of the environments ``ids``.
            ids: Indices [K] of environments; teachers among them are passed over.
            teachers: Role of each environment, bool [N].
        """
        students = ~teachers[ids]
        if not bool(students.any()):
            return
        acted = storage.observations[LATENT][:, ids[students]]
        targets = targets[:, students]
        error = (acted - targets).square().sum(-1)
        cosine = nn.functional.cosine_similarity(acted, targets, dim=-1)
        spread = (targets - targets.mean(dim=(0, 1))).square().sum(-1)
        self.latent_error, self.latent_cosine = error.mean(0), cosine.mean(0)
        self._once["latent/error"] = error.mean()
        self._once["latent/cosine"] = cosine.mean()
        self._once["latent/explained_variance"] = 1.0 - error.mean() / spread.mean()

    def note(self, values: Mapping[str, torch.Tensor | float]) -> None:
        """Remember numbers of the rollout."""
        self._once |= {name: torch.as_tensor(value) for name, value in values.items()}

    def add(self, values: Mapping[str, torch.Tensor]) -> None:
        """Add the numbers of a mini-batch that took a step; the result is their mean."""
        for name, value in values.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def gradient_norms(self, modules: list[nn.Module]) -> dict[str, torch.Tensor]:
        """L2 norms by name of the gradients of ``modules`` and of their known parts; call before they are clipped."""
        # By parameter, because a compiled module is another object than the one it wraps.
        given = {id(parameter) for module in modules for parameter in module.parameters()}
        norms = {
            name: _gradient_norm(module)
            for name, module in self._modules.items()
            if all(id(parameter) in given for parameter in module.parameters())
        }
        if "policy" in norms and "teacher_encoder" in norms:
            norms["policy"] = (norms["policy"].square() - norms["teacher_encoder"].square()).clamp(min=0.0).sqrt()
        return {f"gradient/{name}": norm for name, norm in norms.items()}

    def finish(self) -> None:
        """Close the update: read all numbers at once into ``scalars``."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        tensors = {**self._once, **means}
        device = next(iter(tensors.values())).device if tensors else None
        found = [value.detach().float().to(device) for value in tensors.values()]
        values = torch.stack(found).tolist() if found else []
        self.scalars = dict(zip(tensors, values, strict=True))


@torch.no_grad()
def clipped(log_prob: torch.Tensor, old_log_prob: torch.Tensor, clip: float) -> torch.Tensor:
    """Return 1 for each sample whose probability ratio left [1 - clip, 1 + clip], else 0.

    Args:
        log_prob: Log-probabilities [B] under the current policy.
        old_log_prob: Log-probabilities [B] when the actions were taken.
        clip: Half-width of the trust interval of the ratio.
    """
    return ((torch.exp(log_prob - old_log_prob) - 1.0).abs() > clip).float()


def role_means(name: str, values: torch.Tensor, teachers: int) -> dict[str, torch.Tensor]:
    """Return the mean over each role's samples as ``<name>_<role>``; a role without samples is left out.

    Args:
        name: What the values are.
        values: One number per sample [B]; the first ``teachers`` are the teachers'.
        teachers: Number of teacher samples.
    """
    groups = {f"{name}_teacher": values[:teachers], f"{name}_student": values[teachers:]}
    return {key: group.mean() for key, group in groups.items() if len(group)}


def explained_variance(values: torch.Tensor, returns: torch.Tensor) -> torch.Tensor:
    """Share of the returns' variance that the values explain: 1 - Var(returns - values) / Var(returns).

    1 is perfect, 0 as good as a constant, below 0 worse than that; a constant bias does not show. NaN where the returns
    do not vary.
    """
    variance = returns.var(unbiased=False)
    explained = 1.0 - (returns - values).var(unbiased=False) / variance
    return torch.where(variance > 0.0, explained, torch.full_like(explained, math.nan))


def latent_std(latents: torch.Tensor) -> torch.Tensor:
    """Standard deviation over the finite samples of latents [B, d], mean over the components."""
    return _finite(latents).std(dim=0, unbiased=False).mean()


def effective_dimension(latents: torch.Tensor) -> torch.Tensor:
    """Participation ratio (tr C)^2 / tr(C^2) of the covariance C of latents [B, d].

    d if all directions vary alike, 1 if all samples are on a line, NaN if they do not vary. Samples that are not finite
    are passed over.
    """
    latents = _finite(latents)
    centred = latents - latents.mean(dim=0)
    covariance = centred.T @ centred / max(len(latents), 1)
    return covariance.trace().square() / covariance.square().sum()


def _finite(latents: torch.Tensor) -> torch.Tensor:
    return latents[latents.isfinite().all(dim=-1)]


def _gradient_norm(module: nn.Module) -> torch.Tensor:
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    if not gradients:
        return torch.zeros((), device=next(module.parameters()).device)
    return nn.utils.get_total_norm(gradients)
