"""From the configuration of an rsl_rl runner to the networks and the storage of CTS."""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.extensions import resolve_symmetry_config
from rsl_rl.storage import RolloutStorage
from rsl_rl.utils import resolve_obs_groups
from tensordict import TensorDict

from legged_cts.algorithms.exact_symmetry import make_exact
from legged_cts.algorithms.rollout import Parts
from legged_cts.models.latent_model import LATENT, LatentActor, LatentModel, build_encoder
from legged_cts.trust.names import resolve_node


def build_algorithm(obs: TensorDict, env: VecEnv, cfg: dict, device: str) -> Any:
    """Build what ``CTS.construct_algorithm`` describes; ``cfg["algorithm"]["class_name"]`` is CTS or a subclass.

    Raises:
        ValueError: If the observation sets or the classes do not fit CTS.
    """
    alg_class, alg_cfg = resolve_node(cfg["algorithm"], "algorithm")
    actor_class, actor_cfg = resolve_node(cfg["actor"], "actor")
    critic_class, critic_cfg = resolve_node(cfg["critic"], "critic")
    cfg["obs_groups"] = resolve_obs_groups(obs, cfg["obs_groups"], ["actor", "critic", "teacher", "student"])
    groups: dict[str, list[str]] = cfg["obs_groups"]
    alg_cfg = resolve_symmetry_config(alg_cfg, env)
    if alg_cfg.pop("share_cnn_encoders", False):
        raise ValueError("algorithm.share_cnn_encoders is not supported by CTS; set it to false")

    student_cfg = actor_cfg.pop("student_encoder", None) or {}
    if not issubclass(actor_class, LatentActor):  # type: ignore[arg-type]
        raise ValueError("actor.class_name must be legged_cts.models.latent_model:LatentActor or a subclass of it")
    actor: LatentActor = actor_class(obs, groups, "actor", env.num_actions, **actor_cfg)
    history_group, history_shape = _history_layout(obs, groups["student"], actor)
    student_encoder = build_encoder(student_cfg, history_shape, actor.latent_dim, actor.unit_latent)

    sees_latent = alg_cfg.pop("critic_sees_latent", True)
    if sees_latent:
        if not issubclass(critic_class, LatentModel):  # type: ignore[arg-type]
            raise ValueError(
                "algorithm.critic_sees_latent needs critic.class_name legged_cts.models.latent_model:LatentModel"
            )
        critic_cfg["latent_dim"] = actor.latent_dim
    critic = critic_class(obs, groups, "critic", 1, **critic_cfg)

    used = dict.fromkeys([*groups["actor"], *groups["critic"], *groups["teacher"]])
    stored = {group: obs[group] for group in used}
    stored[LATENT] = torch.zeros(env.num_envs, actor.latent_dim)
    stored = TensorDict(stored, batch_size=[env.num_envs])  # type: ignore[assignment]
    steps = cfg["num_steps_per_env"]
    storage = RolloutStorage("rl", env.num_envs, steps, stored, [env.num_actions], device)  # type: ignore[arg-type]
    parts = Parts(actor, critic, storage, student_encoder, history_group, history_shape)
    alg = alg_class(parts, device=device, multi_gpu_cfg=cfg.get("multi_gpu"), **alg_cfg)
    if cfg.get("exact_symmetry"):
        make_exact(alg, env, student_encoder, history_group)
    alg.compile(cfg.get("torch_compile_mode"))
    print(f"Actor Model: {actor}\nStudent Encoder: {student_encoder}\nCritic Model: {critic}")

    unwrapped = getattr(env, "unwrapped", None)
    if unwrapped is not None:
        unwrapped.student_mask = (~alg.teacher_mask).to(env.device)
    return alg


def _history_layout(obs: TensorDict, groups: list[str], actor: LatentActor) -> tuple[str, tuple[int, ...]]:
    """Return name and shape (H, n) of the history group, checked against the policy's observations."""
    shape = tuple(obs[groups[0]].shape[1:])
    if len(groups) != 1 or len(shape) != 2:
        raise ValueError(f"obs_groups.student must name one group of shape [N, H, n]; got {groups} of shape {shape}")
    if actor.obs_normalization and shape[-1] != actor.obs_dim:
        raise ValueError(
            f"actor.obs_normalization shares the statistics of obs_groups.actor ({actor.obs_dim} features) with each"
            f" history frame, but '{groups[0]}' has {shape[-1]} features per frame"
        )
    return groups[0], shape
