"""Entry scripts with Hydra: a dataclass schema, then the YAML, then the command line; and exit codes."""

import copy
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.config_messages import config_message
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.exit_codes import exit_with_message
from src.contracts.settings._problems import did_you_mean
from src.contracts.settings._secrets import secret_problems
from src.contracts.trust import import_trusted
from src.eval.labels import run_name

__all__ = ["CONF", "ResolveInSweeps", "command", "composed", "make", "register_schema", "settings_from"]

log = logging.getLogger(__name__)

CONF = Path(__file__).resolve().parent.parent / "conf"

_CONFIG_ERRORS = (HydraException, OmegaConfBaseException)

S = TypeVar("S")

# `${run_name:NAME,SEED}` in conf/logger: the name of the run of this command line.
OmegaConf.register_new_resolver(
    "run_name", lambda name, seed: run_name(str(name), HydraConfig.get().overrides.task, int(seed)), replace=True
)


def command(
    schema: type[S], config_name: str, *, completed_later: str | None = None, shown: str | None = None
) -> Callable[[Callable[[S], None]], Callable[[], None]]:
    """Turn a function that takes settings into a command line.

    The process exits with 0; with 2 and one message, without a traceback, for errors that the user can fix (a config
    that does not compose, bad data, a failed gate); with 1 and a traceback for our bugs.

    Args:
        schema: the dataclass that validates the config; its `check` finds combinations that cannot work.
        config_name: the primary config in conf/, whose defaults list begins with the schema.
        completed_later: the part of the config in which values may be missing.
        shown: the override with which `--help` shows the config where none is given.
    """

    def decorate(body: Callable[[S], None]) -> Callable[[], None]:
        def run(config: DictConfig) -> None:
            settings = settings_from(config, schema, completed_later)
            import_trusted(getattr(settings, "trust", ()))
            body(settings)

        def composed(config: DictConfig) -> None:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                with _for_the_sweep():
                    run(config)
                return
            # Caught here, before Hydra wraps the error in its own message.
            with exit_with_message(), _explained():
                run(config)

        def main() -> None:
            register_schema(schema, config_name)
            _share_config_sources()
            # Otherwise Hydra prints composition errors itself, and exits with 1.
            os.environ["HYDRA_FULL_ERROR"] = "1"
            with exit_with_message(), _explained():
                # Hydra writes overrides to disk before the config can be checked.
                _refuse_secrets(sys.argv[1:])
                if shown and {"--help", "-h"} & {*sys.argv} and not any("=" in given for given in sys.argv[1:]):
                    sys.argv.append(shown)
                sys.argv[1:] = map(_pairs_by_their_name, sys.argv[1:])
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(composed)()

        return main

    return decorate


def _share_config_sources() -> None:
    """Let the copies of Hydra's config repository share its sources, which nothing changes.

    Hydra copies the repository, with each structured config of each plug-in, for every group that `--help` or a shell's
    completion lists, so that it can give the copy another list of sources. Copying the sources took a second.
    """

    def copied(repository: ConfigRepository, _memo: dict[int, Any]) -> ConfigRepository:
        other = copy.copy(repository)
        other.sources = [*repository.sources]
        return other

    ConfigRepository.__deepcopy__ = copied  # type: ignore[attr-defined]  # Hydra takes no repository of ours


def _pairs_by_their_name(argument: str) -> str:
    """Name the setting that holds a list of pairs: Hydra gives a mapping no list, and takes few keys as they are."""
    return re.sub(r"^(\+*data\.(?:split|domain))s=(?=\[)", r"\1_pairs=", argument)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise `ConfigError` with a message of ours for a config that does not compose."""
    try:
        yield
    except _CONFIG_ERRORS as error:
        raise ConfigError(config_message(error, conf=CONF)) from error
    except ValueError as error:
        # Hydra checks some values only by errors of its own code.
        if isinstance(error, LookalikeError) or "hydra" not in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        raise ConfigError(f"the command line cannot be composed: {error}") from error


def make(component: Any, **arguments: Any) -> Any:
    """Make an object from a component's settings: `_target_` and its arguments, with plain lists and dictionaries.

    Args:
        component: the settings; a dictionary without `_target_` stays one, with its parts made.
        arguments: further arguments.

    Raises:
        ConfigError: the class cannot be imported, or does not take the arguments.
    """
    try:
        return instantiate(component, _convert_="all", **arguments)
    except InstantiationException as error:
        cause = error.__cause__ if isinstance(error.__cause__, LookalikeError) else None
        raise ConfigError(str(cause or error)) from error


class ResolveInSweeps(Callback):
    """Lets `${hydra:...}` resolve while a sweep is set up, as in the name of its folder; Hydra does so in runs only."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Make the sweep's config Hydra's own."""
        HydraConfig.instance().set_config(config)


def _refuse_secrets(arguments: Sequence[str]) -> None:
    problems = []
    for argument in arguments:
        name, _, value = argument.partition("=")
        where, _, key = name.lstrip("+").rpartition(".")
        problems += secret_problems({key: "" if value == "null" else value.strip("'\"")}, where)
    if problems:
        raise ConfigError("\n".join(problems))


@contextmanager
def _for_the_sweep() -> Iterator[None]:
    """Convert a run's error to a plain string for the sweep, because launchers pickle exceptions."""
    try:
        yield
    except (LookalikeError, *_CONFIG_ERRORS) as error:
        raise LookalikeError(str(error)) from None
    except Exception as error:
        # The run's log gets the traceback, the sweep the last line.
        log.exception("the run failed")
        raise RuntimeError(f"{type(error).__name__}: {error}") from None


def composed(schema: type[S], config_name: str, *overrides: str, completed_later: str | None = None) -> S:
    """Compose the settings that an entry script gets for these overrides; for notebooks, which have no command line.

    Args:
        schema: see `command`.
        config_name: see `command`.
        overrides: as on the command line.
        completed_later: see `command`.

    Raises:
        ConfigError: values are missing, or not allowed.
    """
    register_schema(schema, config_name)
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        config = compose(config_name, overrides=[*map(_pairs_by_their_name, overrides)], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return settings_from(config, schema, completed_later)


def register_schema(schema: type, config_name: str) -> None:
    """Register the schema that the config named `config_name` lists first, and what its files interpolate."""
    OmegaConf.register_new_resolver("of_weights", _of_weights, replace=True)
    node = OmegaConf.structured(schema)
    _unlock(node)
    ConfigStore.instance().store(name=f"{config_name}_schema", node=node)


def _of_weights(name: str, *, _root_: DictConfig) -> Any:
    """A field of the preprocessing of the weights of `model`: `${of_weights:mean}`."""
    # Commands that load no weights start without torch and timm.
    from src.models.weights_preprocessing import weights_preprocessing

    model = OmegaConf.to_container(_root_.model, resolve=True)
    value = getattr(weights_preprocessing(cast(dict[str, Any], model)), name)
    return list(value) if isinstance(value, tuple) else value


def settings_from(config: DictConfig, schema: type[S], completed_later: str | None = None) -> S:
    """Convert a composed config to its dataclass, and check it.

    Raises:
        ConfigError: required values are missing, or values do not go together.
    """
    missing = sorted(key for key in OmegaConf.missing_keys(config) if key.split(".")[0] != completed_later)
    if missing:
        raise ConfigError(f"not given: {', '.join(missing)}; set each with KEY=VALUE")
    values = OmegaConf.to_container(config, resolve=True)
    _refuse_hidden_head(values)
    settings = _build(schema, values)
    if hasattr(settings, "check"):
        settings.check()
    return settings


def _refuse_hidden_head(values: Any) -> None:
    """Refuse `head=NAME` where an experiment sets `model.head` to a name, which would take its place unsaid."""
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    asked = [word for word in given if word.startswith("head=")]
    if not asked or any(word.startswith("model.head=") for word in given):
        return
    head = values.get("model", {}).get("head")
    if isinstance(head, str):
        raise ConfigError(
            f"`{asked[-1]}`: the experiment sets `model.head={head}`, which takes its place; set "
            f"`model.{asked[-1]}`, or let the experiment choose with `override /head: {head}`"
        )


def _build(schema: type[S], values: Any, prefix: str = "") -> S:
    """Build dataclasses from dictionaries; OmegaConf's own conversion does not allow missing values."""
    kinds = get_type_hints(schema)
    # `+KEY=VALUE` can add keys that the schema lacks.
    unknown = [f"{prefix}{name}" for name in values if name not in kinds]
    if unknown:
        hint = did_you_mean(unknown[0].removeprefix(prefix), kinds)
        raise ConfigError(
            f"`{'`, `'.join(unknown)}`: there is no such setting{hint} {prefix.rstrip('.') or 'The config'} has "
            f"{', '.join(kinds)}"
        )
    built = {
        name: _build(kinds[name], value, f"{prefix}{name}.") if is_dataclass(kinds[name]) else value
        for name, value in values.items()
    }
    return schema(**built)


def _unlock(node: DictConfig) -> None:
    """Make the nodes of frozen dataclasses writable, so that YAML can fill them."""
    OmegaConf.set_readonly(node, None)
    for name in node:
        child = node._get_node(name)
        if isinstance(child, DictConfig) and is_dataclass(OmegaConf.get_type(child)):
            _unlock(child)
        elif isinstance(child, DictConfig):
            # Free keys (columns, a loss's arguments): an override may add one without Hydra's `+`.
            child._set_flag(["readonly", "struct"], [None, False])
        elif child is not None and not isinstance(child, list):
            child._set_flag("readonly", None)
