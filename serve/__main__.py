"""`python -m serve --bundle DIR`: serve one bundle until SIGTERM or SIGINT."""

import asyncio
import os
import sys
from collections.abc import Sequence

from serve.commandline import read_settings
from serve.observe.logs import configure_logging
from serve.peers import Peers
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError, LookalikeError


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    # Read when FAISS is imported: threads that spin between searches would take the cores from the others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        settings = read_settings(argv)
        configure_logging(form=settings.log_format, level=settings.log_level)
        return _serve(settings, sys.argv[1:] if argv is None else argv)
    except LookalikeError as error:
        print("serve: " + "; ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return 0  # Stopped while it was loading.


def _serve(settings: ServeSettings, arguments: Sequence[str]) -> int:
    if settings.bundle is None:
        raise ConfigError("--bundle is required: give the folder that export.py wrote, or set LOOKALIKE_BUNDLE")
    if settings.processes > 1 and settings.state is not None:
        raise ConfigError(
            f"`--processes {settings.processes}` with `--state {settings.state}`: one process writes the live index; "
            "leave one of them out, and give the one process more --workers"
        )
    # Imported here: --help and a bad setting need not wait for them.
    from serve.server import bind, serve_app
    from serve.supervisor import supervise

    peers = Peers.of_environment()
    if settings.processes > 1 and peers is None:
        with bind(settings.host, settings.port, shared=True) as reserved:
            port = reserved.getsockname()[1]
            supervised = supervise(arguments, port, processes=settings.processes, drain_seconds=settings.drain_seconds)
            return asyncio.run(supervised)
    port = settings.port if peers is None else peers.port
    with bind(settings.host, port, shared=peers is not None) as listener:
        serve_app(settings.bundle, settings, listener, peers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
