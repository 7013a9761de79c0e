"""Which classes and functions a configuration may name: a closed list, and modules that the command line trusts.

Configurations travel in files of strangers, and a name such as ``os:system`` would run what stands there. So every name
is looked up here, and a module of one's own only with the word ``trust=my_module`` on that command line. It lies in the
folder in which the command runs, in a folder of ``--config-dir`` or ``hydra.searchpath``, or is installed.
"""

from __future__ import annotations

import copy
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
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
FOLDERS = "LEGGED_CTS_TRUST_FOLDERS"
"""And where they lie."""
_MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


def take_trust(argv: Sequence[str]) -> list[str]:
    """Take the words ``trust=module[,module]`` out of a command line; their modules may be named from then on.

    They are looked for in this folder and in those that the command line adds to the task tree, after installed ones;
    ``trust=folder/module.py`` adds its folder.

    Raises:
        ValueError: If a word does not name modules.
    """
    words = [word for word in argv if word.startswith("trust=")]
    named = [name for word in words for name in word.removeprefix("trust=").split(",")]
    files = {name: Path(name) for name in named if name.endswith(".py")}
    for name, file in files.items():
        if not file.is_file():
            raise ValueError(f"trust: there is no file {name}")
    modules = [files[name].stem if name in files else name for name in named]
    for module in modules:
        if not re.fullmatch(_MODULE, module):
            raise ValueError(f"trust: '{module}' is no module; give trust=my_module or a file, several with commas")
    if modules:
        beside = [str(file.resolve().parent) for file in files.values()]
        folders = [*beside, str(Path.cwd()), *_given_folders(argv), *_folders()]
        os.environ[TRUST] = ",".join(dict.fromkeys([*_trusted(), *modules]))
        os.environ[FOLDERS] = os.pathsep.join(dict.fromkeys(folders))
    return [word for word in argv if word not in words]


def trusting() -> bool:
    """Whether the command line trusts any module."""
    return bool(_trusted())


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
    return _imported(*_allowed(name, path), f"{path} '{name}'")


def own_function(name: Any, path: str) -> Callable[..., Any]:
    """Return a function of the user's own.

    Args:
        name: ``module:function``.
        path: The key, for messages.

    Raises:
        ValueError: If it is no such name, if the command line does not trust its module, or if it is not there.
    """
    if not is_function_name(name):
        raise ValueError(f"{path} must be module:function, as in my_terms:jump_height, got {name!r:.80}")
    module, _, attribute = name.partition(":")
    if not _is_trusted(module):
        raise ValueError(
            f"{path} '{name}' is a function of one's own: to run it add trust={module} to the command line"
        )
    return _imported(module, attribute, f"{path} '{name}'")


def is_function_name(name: Any) -> bool:
    """Whether a value reads ``module:function``."""
    return isinstance(name, str) and re.fullmatch(rf"{_MODULE}:{_MODULE}", name, re.ASCII) is not None


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
    if _is_trusted(module):
        return module, attribute
    known = ", ".join(dict.fromkeys(attribute for attributes in CLASSES.values() for attribute in attributes))
    own = re.fullmatch(r"[A-Za-z_][\w.]*", module)
    hint = f"; if it is your own, add trust={module} to the command line" if own else ""
    raise ValueError(f"{path} {name!r:.80} is none of the classes that a configuration may name ({known}){hint}")


def _imported(module: str, attribute: str, what: str) -> Callable[..., Any]:
    # Behind the installed ones, so that no file of a folder takes the place of a library.
    sys.path += [folder for folder in _folders() if _is_trusted(module) and folder not in sys.path]
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        where = f"; it is no file in {', '.join(_folders())} and not installed; trust=folder/{module}.py says where"
        raise ValueError(f"{what} cannot be imported: {error}{where if absent else ''}") from error
    if not callable(found):
        raise ValueError(f"{what} is neither a class nor a function")
    return found


def _is_trusted(module: str) -> bool:
    return any(module == trusted or module.startswith(f"{trusted}.") for trusted in _trusted())


def _trusted() -> list[str]:
    return [module for module in os.environ.get(TRUST, "").split(",") if module]


def _folders() -> list[str]:
    return [folder for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]


def _given_folders(argv: Sequence[str]) -> list[str]:
    """Folders that the command line adds to the task tree, as absolute paths."""
    found: list[str] = []
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        key, sign, value = word.partition("=")
        if key in ("--config-dir", "-cd"):
            found.append(value if sign else following)
        elif key.lstrip("+") == "hydra.searchpath":
            found += re.split(r"\s*,\s*", value.strip("[] "))
    plain = [folder.strip("'\" ").removeprefix("file://") for folder in found]
    return [str(Path(folder).resolve()) for folder in plain if folder and "://" not in folder]
