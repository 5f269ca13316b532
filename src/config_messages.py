"""What the errors of Hydra and OmegaConf say to whom a command line is read: the value, the rule, the nearest name."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from src.contracts.settings._problems import did_you_mean

__all__ = ["config_message"]

_KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "a text"}


def config_message(error: Exception, *, conf: Path) -> str:
    """The message for an error of composing a config; what the error says itself where nothing is known to be better.

    Args:
        error: of Hydra or OmegaConf.
        conf: the folder of config files.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_file(str(error.missing_cfg_file), error.options, conf)
    if isinstance(error, OverrideParseException):
        return (
            f"`{error.override}`: not of the form KEY=VALUE ({str(error).splitlines()[0]}); put a value with spaces, "
            "brackets or signs in quotes: 'KEY=\"VALUE\"'"
        )
    if isinstance(error, ConfigCompositionException):
        for cause in _causes(error):
            if isinstance(cause, ConfigAttributeError | ConfigKeyError):
                return _unknown_key(cause)
            if isinstance(cause, OmegaConfBaseException) and cause.full_key:
                return _bad_value(cause)
    return str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (above := error.__cause__ or error.__context__) is not None:
        yield above
        error = above


def _missing_file(file: str, options: Sequence[str] | None, conf: Path) -> str:
    group, _, name = file.rpartition("/")
    there = list(options or ()) or sorted(path.stem for path in (conf / group).glob("*.yaml"))
    if not there:
        return f"`{file}`: there is no such file in {conf}, nor in a folder given by --config-dir"
    return f"`{group}={name}`: there is no such choice{did_you_mean(name, there)} There are {', '.join(there)}"


def _unknown_key(error: ConfigAttributeError | ConfigKeyError) -> str:
    prefix = str(error.full_key).rpartition(".")[0]
    parent = error.parent_node
    keys = [str(key) for key in parent if key != "hydra"] if isinstance(parent, DictConfig) else []
    hint = did_you_mean(str(error.key), keys)
    return f"`{error.full_key}`: there is no such setting{hint} {prefix or 'The config'} has {', '.join(keys)}"


def _bad_value(error: OmegaConfBaseException) -> str:
    reason = str(error).splitlines()[0]
    wanted = re.search(r"could not be converted to (\w+)", reason)
    if wanted:
        reason = f"must be {_KINDS.get(wanted.group(1), wanted.group(1))}"
    elif "is not a valid bool" in reason:
        reason = "must be true or false"
    elif "is not a subclass of" in reason:
        reason = f"is a group of settings; set one of them: {error.full_key}.NAME=VALUE"
    return f"`{error.full_key}={error.value}`: {reason}"
