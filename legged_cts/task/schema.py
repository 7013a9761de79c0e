"""The typed description of the whole task tree, ``tasks/train.yaml`` and its groups.

Pydantic and not OmegaConf's structured configs: those know types but neither ranges nor rules that several keys share,
and would have to be registered with Hydra, which then could not load a checkpoint's configuration of another version.
Pydantic comes with wandb, imports in a fifth of a second, and checks what was composed, whoever composed it. Of the
algorithm and the networks it knows the options of the task tree; the classes that read others refuse unknown ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, create_model, model_validator

from legged_cts.algorithms.options import AT_LEAST, CHOICES
from legged_cts.distillation.config import DistillationPlan
from legged_cts.task.env import Env
from legged_cts.task.fields import (
    Count,
    Flag,
    Node,
    NotNegative,
    OpenNode,
    Positive,
    PositiveRange,
    Rule,
    Seed,
    Share,
    Text,
    Widths,
    leaf,
    number_in,
    one_of,
    whole,
)
from legged_cts.task.stages import Stage
from legged_cts.task.terrain import Terrain

PHYSICS = ("auto", "mujoco_cpu", "newton_mjwarp", "physx", "isaacsim_physx")
"""Engines."""
ACTIVATIONS = (
    *("elu", "selu", "relu", "crelu", "lrelu", "tanh", "sigmoid", "softplus", "gelu", "swish", "mish", "identity"),
)
"""rsl_rl's activations."""
GROUPS = ("proprioception", "history", "privileged", "height_scan")
"""Observation groups of the environment."""


def _is_device(value: Any) -> bool:
    return isinstance(value, str) and (
        value in ("auto", "cpu", "cuda") or (value.startswith("cuda:") and value[5:].isdecimal())
    )


def _is_groups(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(members, list | tuple) and set(map(str, members)) <= set(GROUPS) for members in value.values()
    )


class Solver(Node):
    """Settings of MuJoCo, native or Warp."""

    iterations: Count = 10
    ls_iterations: Count = 20
    tolerance: NotNegative = 1e-6
    cone: Annotated[str, one_of("pyramidal", "elliptic")] = "pyramidal"
    impratio: Positive = 1.0
    njmax: Count = 240
    nconmax: Count = 60
    threads: Annotated[int, whole(0, 4096)] = 0
    longest_tick: Positive | None = None


class Ppo(Node):
    """What PPO begins with."""

    init_std: Positive
    min_std: NotNegative = 0.0
    schedule: Annotated[str, one_of("adaptive", "fixed")]
    learning_rate: Positive
    entropy_coef: NotNegative


class Evaluation(Node):
    """What is measured at the end of a training."""

    enabled: Flag
    episodes: Count
    duration: Annotated[
        float, leaf("a number of seconds above 1, the first of which is not measured", number_in(1, above=1))
    ]


class Size(Node):
    """Hidden widths, and what comes after a hidden layer."""

    policy: Widths
    critic: Widths
    encoder: Widths
    activation: Text = "elu"


def _check_distillation(value: Any) -> Any:
    try:
        DistillationPlan(value)
    except ValueError as error:
        raise Rule(str(error).replace("distillation.", "algorithm.distillation.")) from error
    return value


def _or_null(says: Any) -> Any:
    kind: Any = Annotated[Any, says]
    return (kind | None, None)


_CTS: dict[str, Any] = {
    **{key: _or_null(one_of(*words)) for key, words in CHOICES.items()},
    **{key: _or_null(leaf(f"a number of at least {least}", number_in(least))) for key, least in AT_LEAST.items()},
}
_Cts: Any = create_model("_Cts", __base__=OpenNode, **_CTS)


class Algorithm(_Cts):
    """The options that algorithms share, and those of CTS and distillation; null takes the class's default."""

    class_name: Text
    teacher_fraction: Share | None = None
    student_learning_rate: Positive | None = None
    critic_sees_latent: Flag | None = None
    distillation: Annotated[Any, PlainValidator(_check_distillation)] = None
    teachers: Any = None
    symmetry_cfg: Any = None
    num_learning_epochs: Count | None = None
    num_mini_batches: Count | None = None
    clip_param: Positive | None = None
    learning_rate: Positive | None = None
    schedule: Annotated[str, one_of("adaptive", "fixed")] | None = None
    desired_kl: Positive | None = None
    gamma: Share | None = None
    lam: Share | None = None
    entropy_coef: NotNegative | None = None
    value_loss_coef: NotNegative | None = None
    use_clipped_value_loss: Flag | None = None
    max_grad_norm: Positive | None = None


class Distribution(OpenNode):
    """Of the actions."""

    class_name: Text
    init_std: Positive | None = None
    std_range: PositiveRange | None = None
    std_type: Annotated[str, one_of("scalar", "log")] | None = None

    @model_validator(mode="after")
    def noise_can_learn(self) -> Distribution:
        """Refuse a noise that begins outside its range: it would stay at the bound."""
        if self.init_std is not None and self.std_range is not None:
            low, high = self.std_range
            if not low <= self.init_std <= high:
                raise Rule(
                    f"distribution_cfg.init_std (ppo.init_std) must be within std_range (from ppo.min_std on) "
                    f"[{low:g}, {high:g}], got {self.init_std:g}"
                )
        return self


class Network(OpenNode):
    """The options that networks share, and those of recurrent encoders and mixtures; null takes the class's default."""

    class_name: Text | None = None
    hidden_dims: Widths | None = None
    activation: Annotated[str, one_of(*ACTIVATIONS)] | None = None
    obs_normalization: Flag | None = None
    latent_dim: Count | None = None
    unit_latent: Flag | None = None
    cell: Annotated[str, one_of("gru", "lstm")] | None = None
    hidden_size: Count | None = None
    layers: Count | None = None
    experts: Count | None = None
    gate_hidden_dims: Widths | None = None
    balance_weight: NotNegative | None = None
    distribution_cfg: Distribution | None = None


class Networks(OpenNode):
    """Policy, critic and encoders."""

    actor: Network
    critic: Network
    teacher_encoder: Network | None = None
    student_encoder: Network | None = None


class Runner(Node):
    """Rollouts, checkpoints and who sees what."""

    num_steps_per_env: Annotated[int, whole(1, 100_000)]
    save_interval: Count = 50
    average_iterations: Annotated[int, whole(0)] = 0
    check_for_nan: Flag = True
    torch_compile_mode: Text | None = None
    obs_groups: Annotated[Any, leaf(f"lists of {', '.join(GROUPS)}, one for each network", _is_groups)]


class Task(Node):
    """The root."""

    robot: Text
    physics: Annotated[str, one_of(*PHYSICS)]
    solver: Solver | None = None
    device: Annotated[str, leaf("auto, cpu or cuda:<number>", _is_device)]
    seed: Seed
    ppo: Ppo | None = None
    size: Size | None = None
    max_iterations: Count
    max_minutes: Positive | None = None
    logger: Annotated[str, one_of("tensorboard", "wandb", "none")]
    wandb_project: Text | None = None
    resume: Text | None = None
    checkpoint: Text | None = None
    evaluation: Evaluation
    stages: dict[str, Stage | None] | None = None
    env: Env
    terrain: Terrain
    algorithm: Algorithm
    networks: Networks
    runner: Runner
