"""Which classes and functions a configuration may name: a closed list, and modules that the command line trusts.

Configurations travel in files of strangers, and a name such as ``os:system`` would run what stands there. So every name
is looked up here, and a module of one's own only with the word ``trust=my_module`` on that command line.
"""

from __future__ import annotations

import copy
import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CLASSES: dict[str, tuple[str, ...]] = {
    "legged_cts.algorithms.cts": ("CTS",),
    "legged_cts.algorithms.distilled": ("Distillation",),
    "legged_cts.algorithms.exposed": ("ExposedEncoder",),
    "legged_cts.models.latent_model": ("LatentActor", "LatentModel"),
    "legged_cts.models.encoders": ("LatentEncoder",),
    "legged_cts.models.mixture": ("MixtureEncoder",),
    "legged_cts.models.recurrent": ("RecurrentEncoder",),
    "legged_cts.envs.symmetry": ("mirror",),
    "rsl_rl.algorithms": ("PPO", "Distillation"),
    "rsl_rl.models": ("MLPModel", "RNNModel", "CNNModel"),
    "rsl_rl.modules": ("GaussianDistribution", "HeteroscedasticGaussianDistribution", "BetaDistribution"),
}
"""What may be named without trust, by module; rsl_rl's also without their module, as rsl_rl has it."""

NAMING_KEYS = ("class_name", "data_augmentation_func")
"""Keys of a configuration whose values are names."""

TRUST = "LEGGED_CTS_TRUST"
"""Environment variable that hands the trusted modules on to the processes that a script starts."""


def take_trust(argv: Sequence[str]) -> list[str]:
    """Take the words ``trust=module[,module]`` out of a command line; their modules may be named from then on.

    Raises:
        ValueError: If a word does not name modules.
    """
    words = [word for word in argv if word.startswith("trust=")]
    modules = [module for word in words for module in word.removeprefix("trust=").split(",")]
    for module in modules:
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", module):
            raise ValueError(f"trust: '{module}' is no module; give trust=my_module, several with commas")
    if modules:
        os.environ[TRUST] = ",".join(dict.fromkeys([*_trusted(), *modules]))
    return [word for word in argv if word not in words]


def resolve(name: Any, path: str = "class_name") -> Callable[..., Any]:
    """Return the class or function that a configuration names.

    Args:
        name: ``module:attribute``, ``module.attribute`` or a name of rsl_rl alone; what is no text but callable is
            returned as it is.
        path: The key, for messages.

    Raises:
        ValueError: If it may not be named, or is not there.
    """
    if callable(name):
        return name
    module, attribute = _allowed(name, path)
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path} '{name}' cannot be imported: {error}") from error
    if not callable(found):
        raise ValueError(f"{path} '{name}' is neither a class nor a function")
    return found


def resolve_node(node: Mapping[str, Any], path: str) -> tuple[Any, dict[str, Any]]:
    """Return the class that a node's ``class_name`` names and a copy of the node's other entries, its arguments.

    Raises:
        ValueError: If the class may not be named, or is not there.
    """
    arguments = copy.deepcopy(dict(node))
    return resolve(arguments.pop("class_name"), f"{path}.class_name"), arguments


def check_names(node: Any, path: str = "") -> None:
    """Check every name in a configuration, importing nothing.

    Raises:
        ValueError: Naming the first key whose value may not be named.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            here = f"{path}.{key}" if path else str(key)
            if key == "_target_":
                raise ValueError(f"{here}: a configuration may not have Hydra's _target_, which calls what it names")
            if key in NAMING_KEYS and value is not None and not callable(value):
                _allowed(value, here)
            check_names(value, here)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            check_names(value, f"{path}[{index}]")


def _allowed(name: Any, path: str) -> tuple[str, str]:
    """Split a name into its module and its attribute."""
    if not isinstance(name, str):
        raise ValueError(f"{path} must be the name of a class, got {name!r:.80}")
    module, _, attribute = name.rpartition(":" if ":" in name else ".")
    for known, attributes in CLASSES.items():
        rsl = known.startswith("rsl_rl.")
        if attribute in attributes and (module == known or (rsl and (not module or module.startswith(f"{known}.")))):
            return known if rsl else module, attribute
    if any(module == trusted or module.startswith(f"{trusted}.") for trusted in _trusted()):
        return module, attribute
    known = ", ".join(dict.fromkeys(attribute for attributes in CLASSES.values() for attribute in attributes))
    own = re.fullmatch(r"[A-Za-z_][\w.]*", module)
    hint = f"; if it is your own, add trust={module} to the command line" if own else ""
    raise ValueError(f"{path} {name!r:.80} is none of the classes that a configuration may name ({known}){hint}")


def _trusted() -> list[str]:
    return [module for module in os.environ.get(TRUST, "").split(",") if module]
