"""`python -m serve --bundle DIR`: serve one bundle until SIGTERM or SIGINT."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from serve.settings import ServeSettings
from src.contracts.errors import LookalikeError
from src.export.runtime import PRECISIONS, RUNTIMES

_MIB = 1024 * 1024

_EPILOG = """\
example:
  python -m serve --bundle outputs/bundle --port 8000
  curl -F image=@photo.jpg 'http://127.0.0.1:8000/v1/search?k=5&category=shoes&price_max=80'

The page is at /, the API's description at /openapi.json, the metrics at /metrics.
Exit codes: 0 after SIGTERM or SIGINT, 2 for what you can mend (stderr says what), 1 for a bug of ours.
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("serve", "src.export.runtime"):
        logging.getLogger(name).setLevel(logging.INFO)
    # Read when FAISS is imported: threads that spin between searches would take the cores from the others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        _serve(arguments)
    except LookalikeError as error:
        print("serve: " + "; ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        return 0  # Stopped while it was loading.
    return 0


def _serve(arguments: argparse.Namespace) -> None:
    settings = ServeSettings(
        max_upload=round(arguments.max_upload_mib * _MIB),
        upload_seconds=arguments.upload_seconds,
        max_in_flight=arguments.max_in_flight,
        workers=arguments.workers,
        encoder_threads=arguments.encoder_threads,
        runtime=arguments.runtime,
        precision=arguments.precision,
        drain_seconds=arguments.drain_seconds,
        public_key=arguments.public_key,
    )
    settings.check()
    # Imported here: --help and a bad argument need not wait for them.
    from serve.app import create_app
    from serve.server import bind, serve

    with bind(arguments.host, arguments.port) as listener:
        app = create_app(arguments.bundle, settings)
        asyncio.run(serve(app, listener, drain_seconds=settings.drain_seconds))


def _parser() -> _Parser:
    default = ServeSettings()
    parser = _Parser(
        prog="serve",
        usage="python -m serve --bundle DIR [options]",
        description="Serve one bundle: search by photo, similar items, and a page to try both.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--bundle", type=Path, required=True, metavar="DIR", help="folder that export.py wrote")
    add("--public-key", type=Path, metavar="FILE",
        help="Ed25519 key (PEM) that the bundle must be signed with; see docs/export.md")  # fmt: skip
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: %(default)s)")
    add("--port", type=_port, default=8000, metavar="N", help="0 takes a free one (default: %(default)s)")
    add("--max-upload-mib", type=_positive, default=default.max_upload / _MIB, metavar="N",
        help="largest request body (default: %(default)g)")  # fmt: skip
    add("--upload-seconds", type=_positive, default=default.upload_seconds, metavar="N",
        help="time that a request body may take to arrive (default: %(default)g)")  # fmt: skip
    add("--max-in-flight", type=int, default=default.max_in_flight, metavar="N",
        help="searches at once; more are answered 503 (default: %(default)s)")  # fmt: skip
    add("--workers", type=int, default=default.workers, metavar="N",
        help="threads that decode, embed and search; 0 takes one for each core (default: %(default)s)")  # fmt: skip
    add("--encoder-threads", type=int, default=default.encoder_threads, metavar="N",
        help="threads of one embedding; 0 takes all cores (default: %(default)s)")  # fmt: skip
    add("--runtime", choices=("auto", *RUNTIMES), default=default.runtime,
        help="what runs the encoder; auto takes the best that is there (default: %(default)s)")  # fmt: skip
    add("--precision", choices=PRECISIONS, default=default.precision,
        help="OpenVINO's arithmetic; bf16 needs a CPU that has it (default: %(default)s)")  # fmt: skip
    add("--drain-seconds", type=int, default=default.drain_seconds, metavar="N",
        help="time that running requests have after SIGTERM (default: %(default)s)")  # fmt: skip
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 to 65535")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
