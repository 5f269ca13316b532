"""`python -m serve --bundle DIR`: serve one bundle until SIGTERM or SIGINT."""

import logging.config
import os
import sys
from collections.abc import Sequence

from serve.logs import log_config
from serve.settings import read_settings
from src.contracts.errors import ConfigError, LookalikeError


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    # FAISS reads it when it is imported: threads that spin between searches would take the cores from others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OTEL_SERVICE_NAME", "lookalike")
    try:
        settings = read_settings(sys.argv[1:] if argv is None else argv)
        logging.config.dictConfig(log_config(form=settings.log_format, level=settings.log_level))
        if settings.bundle is None:
            raise ConfigError("--bundle is required: give the folder that export.py wrote, or set LOOKALIKE_BUNDLE")
        if settings.processes > 1 and settings.state is not None:
            raise ConfigError(
                f"`--processes {settings.processes}` with `--state {settings.state}`: one process writes the state "
                "folder; leave one of them out"
            )
        from serve.server import serve  # --help and a wrong setting need not wait for it.

        return serve(settings.bundle, settings)
    except LookalikeError as error:
        print("serve: " + "; ".join(str(error).splitlines()), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
