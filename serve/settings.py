"""What an operator can set."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from src.export.runtime import PRECISIONS, RUNTIMES

__all__ = ["DEFAULT_K", "MAX_K", "MAX_OFFSET", "ServeSettings"]

DEFAULT_K = 10
MAX_K = 100
"""Results of one search: a page of a shop shows fewer, and the response stays small."""

MAX_OFFSET = 900
"""Results that a search may pass over: nobody pages further, and each costs a candidate."""

_MIB = 1024 * 1024
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]{1,5})?")


def _choice(*names: str) -> Any:
    def known(value: str) -> str:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return AfterValidator(known)


def _hosts(text: str) -> str:
    for entry in filter(None, (part.strip() for part in text.split(","))):
        if not _HOST.fullmatch(entry):
            raise ValueError(f"{entry!r} must be the name of a host, such as cdn.example.com or cdn.example.com:8443")
    return text


class ServeSettings(BaseModel):
    """The settings of one service. A field's name and description are its option's and its environment variable's.

    A secret is a `SecretStr`: it then has no option, since a command line can be read by everybody on the machine, and
    is shown nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path | None = Field(default=None, description="folder that export.py wrote")
    bundles: Path | None = Field(
        default=None, description="folder whose bundles, and no others, may be served by a call of /v1/admin/bundle"
    )
    state: Path | None = Field(
        default=None, description="folder for items that are changed by /v1/items; without one, none may be changed"
    )
    public_key: Path | None = Field(
        default=None, description="Ed25519 key (PEM) that the bundle must be signed with; see docs/export.md"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    max_upload_mib: float = Field(default=20.0, gt=0, lt=1e6, allow_inf_nan=False, description="largest request body")
    upload_seconds: float = Field(
        default=30.0, gt=0, allow_inf_nan=False, description="time that a request body may take to arrive"
    )
    max_in_flight: int = Field(
        default=64,
        ge=1,
        description="searches at once, from a body's last byte to the answer's last; more are answered 503",
    )
    max_standing: int = Field(
        default=0,
        ge=0,
        description="of these for longer than a burst takes (80 ms): a few more than --encoders keep them busy, and "
        "what is let in under overload is not late; 0: all",
    )
    workers: int = Field(default=0, ge=0, description="threads that decode, and that search; 0 takes one for each core")
    encoders: int = Field(
        default=0,
        ge=0,
        description="batches at once; 0 takes as many as keep the cores busy with their threads, on a GPU one",
    )
    max_batch: int = Field(default=8, ge=1, description="most images that the encoder is given at once")
    batch_wait_ms: float = Field(
        default=5.0, ge=0, le=1000, description="time that a batch waits for images that are being decoded"
    )
    max_images: int = Field(default=16, ge=1, le=256, description="images of one batch search")
    deadline_seconds: float = Field(
        default=5.0,
        gt=0,
        allow_inf_nan=False,
        description="time from a search's last byte to its answer; what takes longer is given up with 504",
    )
    cache_mib: float = Field(
        default=64.0,
        ge=0,
        lt=1e6,
        allow_inf_nan=False,
        description="memory for embeddings of photos seen before; 0: none",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis that processes share such embeddings in: redis://HOST:6379/0; none: they do not",
    )
    redis_budget_ms: float = Field(
        default=20.0,
        gt=0,
        le=1000,
        description="time that Redis has for an embedding before a search goes on without it",
    )
    cache_ttl_seconds: int = Field(default=7 * 86400, ge=1, description="time that Redis keeps them")
    detector: str = Field(
        default="saliency", description="what finds objects in a photo: saliency, or a plug-in of lookalike.detectors"
    )
    store_url: SecretStr | None = Field(
        default=None,
        description="where price and stock are read: sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
        "which CockroachDB takes as well; none: in this process, from the bundle",
    )
    store_budget_ms: float = Field(
        default=50.0,
        gt=0,
        le=1000,
        description="time that a search waits for price and stock before it goes on without",
    )
    encoder_threads: int = Field(
        default=1, ge=0, description="threads of one batch; 0 takes all cores, for an encoder that is slow on one"
    )
    runtime: Annotated[str, _choice("auto", *RUNTIMES)] = Field(
        default="auto", description=f"what runs the encoder: auto (the best that is there), {', '.join(RUNTIMES)}"
    )
    precision: Annotated[str, _choice(*PRECISIONS)] = Field(
        default="f32", description=f"OpenVINO's arithmetic, {' or '.join(PRECISIONS)}; bf16 needs a CPU that has it"
    )
    image_url_hosts: Annotated[str, AfterValidator(_hosts)] = Field(
        default="",
        description="hosts that photos may be fetched from for a caller (`image_url`), such as cdn.example.com,"
        "img.example.com:8443; none: `image_url` is off",
    )
    image_url_http: bool = Field(default=False, description="fetch over http as well as over https: true or false")
    image_url_seconds: float = Field(
        default=3.0, gt=0, allow_inf_nan=False, description="time that a photo from the web may take to arrive"
    )
    image_url_loopback: bool = Field(
        default=False, description="let those hosts be this machine itself; for tests and development only"
    )
    max_explanations: int = Field(
        default=1, ge=1, description="explanations at once, a hundred embeddings each; more are answered 503"
    )
    explain_seconds: float = Field(
        default=20.0, gt=0, allow_inf_nan=False, description="time of an explanation; what takes longer is answered 504"
    )
    processes: int = Field(
        default=1, ge=1, le=256, description="worker processes on one socket; every limit holds for each of them"
    )
    log_format: Annotated[str, _choice("text", "json")] = Field(
        default="text", description="text, or json with a line for each request"
    )
    log_level: Annotated[str, _choice("debug", "info", "warning", "error")] = Field(
        default="info", description="least level that is logged: debug, info, warning or error"
    )
    drain_seconds: int = Field(default=20, ge=1, description="time that running requests have after SIGTERM")
    keys_file: Path | None = Field(
        default=None,
        description="file of API keys' hashes, made by `python -m serve.access new`; read again when it changes",
    )
    keys: SecretStr | None = Field(default=None, description="the same lines, separated by commas")
    search_access: Annotated[str, _choice("auto", "open", "key")] = Field(
        default="auto",
        description="whether searches need a key: open (no), key (yes), auto (where there are keys and --host is not "
        "this machine's own)",
    )

    @property
    def max_upload(self) -> int:
        """Largest request body, in bytes."""
        return max(1, round(self.max_upload_mib * _MIB))

    @property
    def most_images(self) -> int:
        """Images of one batch search: no more than may be in flight."""
        return min(self.max_images, self.max_in_flight)
