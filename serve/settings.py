"""The settings of the service: command line, environment and `.env`; the first source that names a value wins."""

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, CliSuppress, SettingsConfigDict, SettingsError

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import MAX_PIXELS

__all__ = ["PREFIX", "ServeSettings", "read_settings"]

PREFIX = "LOOKALIKE_"

_MIB = 1024 * 1024
_Runtime = Literal["auto", "tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime", "openvino"]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _not_empty(value: Any) -> Any:
    if value == "":
        raise ValueError("must not be empty; leave it out, or name a path")
    return value


def _of_a_token(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", secret.get_secret_value()):
        raise ValueError("must be letters, digits and -._~+/ only, so that a header can hold it (RFC 6750)")
    return secret


_Path = Annotated[Path | None, BeforeValidator(_not_empty)]
# An empty variable, as compose files make them, sets no secret: an empty token would let everybody in.
_Secret = CliSuppress[Annotated[SecretStr | None, BeforeValidator(lambda value: value or None)]]


class ServeSettings(BaseModel):
    """Serve one bundle: search by photo, similar items, and a page to try both.

    Each option is also an environment variable and a line of `.env`: --max-in-flight 64 is LOOKALIKE_MAX_IN_FLIGHT=64.
    Secrets are set by LOOKALIKE_TOKEN and LOOKALIKE_{REDIS_URL,STORE_URL,CHANGES_URL,MILVUS_TOKEN} only: every
    user of a machine can read a command line. Exit codes: 0 after SIGTERM or SIGINT, 2 for what you can mend, 1
    for a bug of ours.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: _Path = Field(None, description="folder that export.py wrote")
    bundles: _Path = Field(None, description="folder whose bundles POST /v1/admin/bundle may serve, by name")
    state: _Path = Field(None, description="folder for the items that /v1/items changes; without it, none can be")
    public_key: _Path = Field(None, description="Ed25519 key (PEM) that the bundle must be signed with")
    token: Annotated[_Secret, AfterValidator(_of_a_token)] = Field(
        None, description="bearer token for writes and /v1/admin; without it, these are off"
    )
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    root_path: str = Field("", pattern="^(/[^/?#]+)*$", description="path prefix that a proxy strips, such as /search")
    processes: int = Field(1, ge=1, le=256, description="worker processes; every limit holds for each of them")
    head_seconds: int = Field(30, ge=1, le=60, description="time for a request's head, and of an idle connection")
    max_upload_mib: _Positive = Field(20.0, lt=1e6, description="largest request body")
    upload_seconds: _Positive = Field(30.0, description="time for a request's body to arrive")
    max_pixels: int = Field(MAX_PIXELS, ge=1, le=10**9, description="pixels of the largest photo")
    decode_mib: _Positive = Field(512.0, lt=1e6, description="memory that decoding one photo may take")
    max_in_flight: int = Field(64, ge=1, description="searches at once, from the body's last byte on; more get 503")
    max_standing: int = Field(0, ge=0, description="searches at once in an overload of over 80 ms; 0: --max-in-flight")
    workers: int = Field(0, ge=0, description="threads that decode, and that search; 0: one for each core")
    encoders: int = Field(0, ge=0, description="batches at once; 0: as many as fill the cores, one on a GPU")
    encoder_threads: int = Field(1, ge=0, description="CPU threads of one batch; 0: all cores")
    max_batch: int = Field(8, ge=1, description="most images of one batch")
    batch_wait_ms: float = Field(5.0, ge=0, le=1000, description="longest wait of a batch for photos being decoded")
    max_images: int = Field(16, ge=1, le=256, description="images of one batch search")
    deadline_seconds: _Positive = Field(5.0, description="time from the body's last byte to the answer; then 504")
    cache_mib: float = Field(64.0, ge=0, lt=1e6, description="memory of the embedding cache; 0: no cache")
    redis_url: _Secret = Field(None, description="Redis that shares the embedding cache: redis://HOST:6379/0")
    redis_budget_ms: _Positive = Field(20.0, le=1000, description="longest wait of a search for Redis")
    cache_ttl_seconds: int = Field(7 * 86400, ge=1, description="time that Redis keeps an embedding")
    store_url: _Secret = Field(None, description="database with current prices and stock; see docs/serving.md")
    store_budget_ms: _Positive = Field(50.0, le=1000, description="longest wait of a search for that database")
    milvus_uri: str = Field(
        "", pattern="^[^@]*$", description="Milvus server of a bundle whose vectors are there: http://HOST:19530"
    )
    milvus_token: _Secret = Field(None, description="its USER:PASSWORD or API key")
    milvus_consistency: Literal["Strong", "Bounded", "Eventually"] = Field(
        "Bounded", description="of searches there that do not name a write by read_after"
    )
    changes_url: _Secret = Field(None, description="database of the items that /v1/items changes there; PostgreSQL")
    detector: str = Field("saliency", description="finds objects: saliency, or a plug-in of lookalike.detectors")
    runtime: _Runtime = Field("auto", description="what runs the encoder; auto: the best that is there")
    precision: Literal["auto", "f32", "bf16"] = Field("auto", description="the encoder's arithmetic on a CPU")
    drift: _Path = Field(None, description="folder for counts of what is asked, by which drift is noticed")
    drift_minutes: _Positive = Field(60.0, le=43200, description="queries of so many minutes are compared at once")
    drift_photos: bool = Field(False, description="keep 64 small photos of each such window as examples")
    log_format: Literal["text", "json"] = Field("text", description="json has a line for each request")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    drain_seconds: int = Field(20, ge=1, description="time for running requests to end after SIGTERM")

    @property
    def max_upload(self) -> int:
        """Bytes of the largest request body."""
        return round(self.max_upload_mib * _MIB)

    @property
    def most_images(self) -> int:
        """Images of one batch search: no more than may be in flight."""
        return min(self.max_images, self.max_in_flight)


class _Sources(ServeSettings, BaseSettings):
    """The same fields, read from the command line, the environment and `.env`."""

    # `ignore` is for variables of other programs; an unknown one with our prefix is refused below.
    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_prefix=PREFIX,
        env_file=".env",
        cli_prog_name="python -m serve",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,
    )


_Sources.__doc__ = ServeSettings.__doc__  # What --help begins with.


def read_settings(arguments: Sequence[str]) -> ServeSettings:
    """Read all settings, those of the command line first.

    Raises:
        ConfigError: lists every problem with its value and its rule.
        SystemExit: after --help.
    """
    problems = _unknown_variables()
    try:
        settings = _Sources(_cli_parse_args=list(arguments))
    except SettingsError as error:
        problems.append(f"{str(error).removeprefix('error parsing CLI: ')}; --help lists what there is")
    except ValidationError as error:
        problems += [_problem(found) for found in error.errors(include_url=False)]
    else:
        given = {argument.split("=")[0] for argument in arguments}
        problems += [
            f"`{_option(name)}`: set the environment variable {PREFIX}{name.upper()}; a command line can be read by all"
            for name in ServeSettings.model_fields
            if _is_secret(name) and _option(name) in given
        ]
    if problems:
        raise ConfigError("; ".join(problems))
    return ServeSettings(**settings.model_dump())


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_secret(name: str) -> bool:
    return "SecretStr" in str(ServeSettings.model_fields[name].annotation)


def _problem(found: ErrorDetails) -> str:
    name = str(found["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    rule = found["msg"].removeprefix("Value error, ").replace("Input", "input", 1)
    if name in ServeSettings.model_fields and _is_secret(name):
        return f"`{variable}=***`: {rule}"
    return f"`{_option(name)} {found['input']}` ({variable}): {rule}"


def _unknown_variables() -> list[str]:
    """Variables with our prefix that are no setting: a misspelt limit would otherwise stay at its default."""
    known = {f"{PREFIX}{name.upper()}" for name in ServeSettings.model_fields}
    named = {name.upper() for name in (*os.environ, *dotenv_values(".env")) if name.upper().startswith(PREFIX)}
    problems = []
    for name in sorted(named - known):
        close = get_close_matches(name, known, n=1)
        problems.append(f"`{name}` is no setting; " + (f"did you mean {close[0]}?" if close else "unset it"))
    return problems
