"""Takes the networks of a checkpoint over into a new training, which may let them read more groups, or further back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

SAMPLES_KEPT = 2**20
"""What the samples of a checkpoint count for at most in the statistics of its normalisers in a new training."""

# Prefix of parameter names -> observation set that they read; the first that fits counts.
_SETS = {
    "actor_state_dict": {"teacher_encoder.": "teacher", "": "actor"},
    "critic_state_dict": {"": "critic"},
}


def widen_inputs(
    content: Mapping[str, Any],
    now: Mapping[str, Any],
    obs_groups: Mapping[str, Sequence[str]],
    widths: Mapping[str, int],
) -> tuple[dict[str, Any], list[str]]:
    """Give the networks of a checkpoint inputs for the observation groups that are new.

    On flat ground teachers and critic see no ``height_scan``; on rough ground they do. The weights of its columns start
    at zero, so that at first the networks compute what they did; statistics of the normalisers start at mean 0 and
    standard deviation 1; see :func:`let_statistics_follow`.

    Args:
        content: The checkpoint, with its ``config``.
        now: What the algorithm that shall load it would save.
        obs_groups: Groups of each observation set now.
        widths: Features of each group now.

    Returns:
        The checkpoint, with widened networks where that makes them fit and unchanged elsewhere, and the new groups.
    """
    before = ((content.get("config") or {}).get("runner") or {}).get("obs_groups") or {}
    widened, new = dict(content), []
    for part, sets in _SETS.items():
        if part not in content or part not in now:
            continue
        widened[part] = dict(content[part])
        for name, saved in content[part].items():
            obs_set = next(obs_set for prefix, obs_set in sets.items() if name.startswith(prefix))
            old, groups = before.get(obs_set, ()), obs_groups.get(obs_set, ())
            added = [group for group in groups if group not in old]
            target = now[part].get(name)
            if target is None or target.shape == saved.shape or not added or not set(old) <= set(groups):
                continue
            columns = _columns(old, groups, widths)
            rest = target.shape[-1] - sum(widths[group] for group in groups)  # the latent, at the end
            if target.shape[:-1] == saved.shape[:-1] and rest >= 0 and saved.shape[-1] == len(columns) + rest:
                columns += range(target.shape[-1] - rest, target.shape[-1])
                wide = torch.zeros_like(target) if name.endswith(".weight") else target.clone()
                wide[..., columns] = saved.to(wide)
                widened[part][name] = wide
                new += added
    return widened, list(dict.fromkeys(new))


def with_fitting_student(content: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Let a student encoder look further back, and one of another kind or size begin anew.

    What reads a longer history starts with weights of zero for its older frames, so that it computes what it did. An
    encoder that begins anew learns from the teachers that a checkpoint has.

    Args:
        content: The checkpoint, with its ``env_info``.
        now: What the algorithm that shall load it would save.

    Returns:
        The checkpoint, with a student encoder that fits, and a line about it, empty where it fits as it is.
    """
    part = "student_encoder_state_dict"
    if part not in content or part not in now:
        return dict(content), ""
    frames = (content.get("env_info") or {}).get("history_length") or 1
    fitting = {name: _further_back(value, now[part].get(name), frames) for name, value in content[part].items()}
    before, longer, new = (
        {name: value.shape for name, value in state.items()} for state in (content[part], fitting, now[part])
    )
    if before == new:
        return dict(content), ""
    if longer == new:
        return {**content, part: fitting}, "its student encoder looks further back now; weights for that start at zero"
    anew = "its student encoder is another; this one begins anew and learns from the teachers"
    return {**content, part: now[part]}, anew


def _further_back(saved: torch.Tensor, target: torch.Tensor | None, frames: int) -> torch.Tensor:
    """Return weights of ``frames`` frames, the newest last, as those of more; or as they are, where that is no fit."""
    if target is None or not saved.ndim or saved.shape[:-1] != target.shape[:-1]:
        return saved
    older, width = target.shape[-1] - saved.shape[-1], saved.shape[-1] // frames
    if older <= 0 or saved.shape[-1] % frames or older % width:
        return saved
    return torch.cat([saved.new_zeros(*saved.shape[:-1], older), saved], dim=-1)


def let_statistics_follow(content: Mapping[str, Any]) -> dict[str, Any]:
    """Let the normalisers of a checkpoint follow what a new training sees.

    They hold the mean and the variance of all samples so far. Of ten million samples on level ground, ten million more
    on stairs leave half: a height scan whose statistics began at a standard deviation of 1 stayed at 0.64 where its
    own was 0.2, and the teachers hardly looked at it. Here the samples of before count for :data:`SAMPLES_KEPT`.

    Args:
        content: The checkpoint.

    Returns:
        The checkpoint, with smaller counts.
    """
    result = dict(content)
    for part, state in content.items():
        if part.endswith("_state_dict") and isinstance(state, Mapping):
            result[part] = {
                name: value.clamp(max=SAMPLES_KEPT) if name.endswith("normalizer.count") else value
                for name, value in state.items()
            }
    return result


def _columns(old: Sequence[str], groups: Sequence[str], widths: Mapping[str, int]) -> list[int]:
    """Return where the columns of the groups ``old`` are among those of ``groups``."""
    starts, start = {}, 0
    for group in groups:
        starts[group] = start
        start += widths[group]
    return [starts[group] + column for group in old for column in range(widths[group])]
