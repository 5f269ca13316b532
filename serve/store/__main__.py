"""`python -m serve.store load --bundle DIR --url URL`: fill a store with a bundle's items."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sqlalchemy.exc import SQLAlchemyError

from serve.store.connection import connect, store_url
from serve.store.load import load_bundle
from src.contracts.bundle import open_bundle
from src.contracts.errors import LookalikeError


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Load; returns the exit code."""
    parser = _Parser(prog="python -m serve.store", description="The service's metadata store.", allow_abbrev=False)
    load = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "load", help="write a bundle's items; goes on where it was cut off, keeps prices and stock that the shop wrote"
    )
    load.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="folder that export.py wrote")
    load.add_argument("--url", required=True, help="sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE; a password "
                      "is better given by PGPASSWORD or a .pgpass file")  # fmt: skip
    arguments = parser.parse_args(argv)
    try:
        url = store_url(arguments.url)
        engine = connect(url, threads=1)
        written = load_bundle(engine, open_bundle(arguments.bundle), progress=_show)
    except LookalikeError as error:
        print(f"serve.store: {error}", file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        print(f"serve.store: {url.render_as_string(hide_password=True)}: {reason}; load again, it goes on from there",
              file=sys.stderr)  # fmt: skip
        return 2
    print(f"{written} items written to {url.render_as_string(hide_password=True)}")
    return 0


def _show(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} items", end="" if done < total else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
