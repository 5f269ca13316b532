"""What an operator can set."""

from dataclasses import dataclass
from pathlib import Path

from src.contracts.errors import ConfigError

__all__ = ["MAX_K", "DEFAULT_K", "ServeSettings"]

DEFAULT_K = 10
MAX_K = 100
"""Results of one search: a page of a shop shows fewer, and the response stays small."""


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """The limits of one service process.

    Attributes:
        max_upload: largest request body, in bytes.
        upload_seconds: time that a request's body may take to arrive.
        max_in_flight: searches in the process at once, from the first byte of the request to the last of the answer;
            more are refused with 503.
        workers: threads that decode, embed and search; 0 takes one for each core.
        encoder_threads: threads of one embedding; 0 takes all cores.
        runtime: what runs the encoder; `auto` takes the best that is there.
        precision: the encoder's arithmetic on the CPU, `f32` or `bf16`.
        drain_seconds: after SIGTERM, the time that running requests have to finish.
        public_key: PEM file of the key that the bundle must be signed with; without one it need not be signed.
    """

    max_upload: int = 20 * 1024 * 1024
    upload_seconds: float = 30.0
    max_in_flight: int = 32
    workers: int = 0
    encoder_threads: int = 0
    runtime: str = "auto"
    precision: str = "f32"
    drain_seconds: int = 20
    public_key: Path | None = None

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        least = {"max_upload": 1, "max_in_flight": 1, "workers": 0, "encoder_threads": 0, "drain_seconds": 1}
        problems = [
            f"`{name}={getattr(self, name)}`: must be at least {value}"
            for name, value in least.items()
            if getattr(self, name) < value
        ]
        if not 0 < self.upload_seconds < float("inf"):
            problems.append(f"`upload_seconds={self.upload_seconds}`: must be above 0 and finite")
        if problems:
            raise ConfigError("; ".join(problems))
