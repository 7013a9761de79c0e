"""From the task tree's ``algorithm``, ``networks`` and ``runner`` nodes to the dict that an rsl_rl runner takes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from legged_cts.algorithms.symmetry import symmetry_cfg
from legged_cts.models.latent_model import ENCODER_CLASS, LatentActor
from legged_cts.trust.names import check_names, resolve
from legged_cts.trust.plain import show

RUNNER_KEYS = (
    "num_steps_per_env", "obs_groups", "save_interval", "run_name", "logger", "wandb_project", "neptune_project",
    "check_for_nan", "torch_compile_mode", "average_iterations",
)  # fmt: skip
"""What rsl_rl's ``OnPolicyRunner``, its logger and our runner read beside networks and algorithm."""

_ALGORITHM_SUPPLIED = ("actor", "critic", "storage", "device", "multi_gpu_cfg")
_CTS_SUPPLIED = ("parts", "driver")
_MODEL_SUPPLIED = ("obs", "obs_groups", "obs_set", "output_dim")
_ENCODER_SUPPLIED = ("input_shape", "latent_dim", "unit_latent")
_ENCODERS = ("teacher_encoder", "student_encoder")


def runner_cfg(algorithm: Mapping[str, Any], networks: Mapping[str, Any], runner: Mapping[str, Any]) -> dict[str, Any]:
    """Assemble and check the configuration of rsl_rl's ``OnPolicyRunner``.

    Args:
        algorithm: ``class_name`` and the algorithm's options.
        networks: ``actor`` and ``critic`` with their ``class_name``, and for algorithms with latents
            ``teacher_encoder`` and ``student_encoder``, which are moved into the actor's node.
        runner: ``num_steps_per_env``, ``obs_groups`` and further keys of ``RUNNER_KEYS``.

    Returns:
        A new dict; the arguments are not changed. ``exact_symmetry`` says whether the networks are to commute with the
        mirror, see :func:`legged_cts.algorithms.exact_symmetry.make_exact`.

    Raises:
        ValueError: If a key is missing or unknown, or a class may not be named; the message names the key and the
            allowed ones.
    """
    check_names({"algorithm": algorithm, "networks": networks, "runner": runner})
    algorithm = copy.deepcopy(dict(algorithm))
    if algorithm.get("symmetry_cfg") is None:  # "none" is a choice for algorithms that know no symmetry, too
        algorithm.pop("symmetry_cfg", None)
    else:
        algorithm["symmetry_cfg"] = symmetry_cfg(algorithm["symmetry_cfg"])
    algorithm_class = _class(algorithm, "algorithm")
    supplied = (*_ALGORITHM_SUPPLIED, *_CTS_SUPPLIED)
    extra = getattr(algorithm_class, "CONSTRUCTION_KEYS", ("share_cnn_encoders",))
    _check(algorithm, "algorithm", [*_arguments(algorithm_class, supplied), *extra])
    exact = algorithm.get("symmetry_cfg", {}).pop("exact", False)
    if exact:
        del algorithm["symmetry_cfg"]

    _require(networks, "networks", ("actor", "critic"))
    actor_class = _class(networks["actor"], "networks.actor")
    takes_latent = isinstance(actor_class, type) and issubclass(actor_class, LatentActor)
    _check(networks, "networks", ["actor", "critic", *(_ENCODERS if takes_latent else ())], class_name=False)
    _check(networks["actor"], "networks.actor", _arguments(actor_class, (*_MODEL_SUPPLIED, *_ENCODERS)))
    # The algorithm gives the critic the latent's width, which only the actor's node may set.
    critic_class = _class(networks["critic"], "networks.critic")
    _check(networks["critic"], "networks.critic", _arguments(critic_class, (*_MODEL_SUPPLIED, "latent_dim")))
    for name in _ENCODERS:
        node = networks.get(name) or {}
        encoder_class = _class({"class_name": ENCODER_CLASS, **node}, f"networks.{name}")
        # A history frame must be normalised with the statistics of o_t, so E^s has none of its own.
        own = () if name == "teacher_encoder" else ("obs_normalization",)
        _check(node, f"networks.{name}", _arguments(encoder_class, (*_ENCODER_SUPPLIED, *own)))

    _require(runner, "runner", ("num_steps_per_env", "obs_groups"))
    _check(runner, "runner", RUNNER_KEYS, class_name=False)
    steps = runner["num_steps_per_env"]
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"runner.num_steps_per_env must be a positive integer, got {show(steps)}")

    cfg = {"save_interval": 50, **copy.deepcopy(dict(runner))}
    cfg["algorithm"], cfg["exact_symmetry"] = algorithm, exact
    cfg["actor"] = copy.deepcopy(dict(networks["actor"]))
    cfg["critic"] = copy.deepcopy(dict(networks["critic"]))
    if takes_latent:
        cfg["actor"] |= {name: copy.deepcopy(dict(networks.get(name) or {})) for name in _ENCODERS}
    return cfg


def _class(node: Mapping[str, Any], path: str) -> Callable[..., Any]:
    _require(node, path, ("class_name",))
    return resolve(node["class_name"], f"{path}.class_name")


def _arguments(target: Callable[..., Any], supplied: Iterable[str]) -> list[str]:
    """Names that a class's constructor takes, following ``**kwargs`` up the bases, without the ``supplied`` ones."""
    names: list[str] = []
    for cls in inspect.getmro(target) if isinstance(target, type) else ():
        parameters = inspect.signature(cls.__init__).parameters.values()
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in dict.fromkeys(names) if name not in {"self", *supplied}]


def _check(node: Mapping[str, Any], path: str, allowed: Iterable[str], class_name: bool = True) -> None:
    allowed = sorted({*allowed, *(("class_name",) if class_name else ())})
    unknown = [key for key in node if key not in allowed]
    if unknown:
        raise ValueError(f"unknown key {path}.{unknown[0]}; allowed are: {', '.join(allowed)}")


def _require(node: Mapping[str, Any], path: str, keys: Iterable[str]) -> None:
    for key in keys:
        if key not in node:
            raise ValueError(f"missing key {path}.{key}")
