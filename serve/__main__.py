"""`python -m serve --bundle DIR`: serve one bundle until SIGTERM or SIGINT."""

import asyncio
import os
import sys
from collections.abc import Sequence

from serve.commandline import read_settings
from serve.observe.logs import configure_logging
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError, LookalikeError


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    # Read when FAISS is imported: threads that spin between searches would take the cores from the others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        settings = read_settings(argv)
        configure_logging(form=settings.log_format, level=settings.log_level)
        _serve(settings)
    except LookalikeError as error:
        print("serve: " + "; ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return 0  # Stopped while it was loading.
    return 0


def _serve(settings: ServeSettings) -> None:
    if settings.bundle is None:
        raise ConfigError("--bundle is required: give the folder that export.py wrote, or set LOOKALIKE_BUNDLE")
    # Imported here: --help and a bad setting need not wait for them.
    import uvloop

    from serve.app import create_app
    from serve.observe.exporter import exporting
    from serve.server import bind, serve

    with bind(settings.host, settings.port) as listener:
        app = create_app(settings.bundle, settings)
        # A fifth less CPU for a request than with asyncio's own loop.
        with exporting(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(app, listener, drain_seconds=settings.drain_seconds))


if __name__ == "__main__":
    sys.exit(main())
