"""`python -m serve.client search photo.jpg`: ask a service from the command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from serve.client.client import Client
from serve.client.errors import ServiceError
from serve.client.table import as_table
from serve.schemas import Bundle, Results
from src.contracts.errors import LookalikeError

_EPILOG = """\
example:
  python -m serve.client search photo.jpg --k 5 --category shoes --price-max 80
  python -m serve.client similar sku-123 --json

A key is read from the environment variable SEARCH_KEY: a command line can be read by everybody on the machine.
Exit codes: 0, 2 for what you can mend (stderr says what), 1 for an error of the service's own.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Ask and print; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        with Client(
            arguments.url, key=os.environ.get("SEARCH_KEY"), timeout=arguments.timeout, retries=arguments.retries
        ) as client:
            answer = _asked(client, arguments)
    except LookalikeError as error:
        print(f"serve.client: {error}", file=sys.stderr)
        return 1 if isinstance(error, ServiceError) and error.status == 500 else 2
    except KeyboardInterrupt:
        return 130
    print(answer.model_dump_json(indent=2) if arguments.json else _told(answer))
    return 0


def _asked(client: Client, arguments: argparse.Namespace) -> BaseModel:
    if arguments.command == "bundle":
        return client.bundle()
    asked = {
        name: getattr(arguments, name)
        for name in ("k", "category", "brand", "color", "price_min", "price_max", "in_stock", "box")
        if getattr(arguments, name, None) not in (None, [], False)
    }
    asked["timings"] = True
    if arguments.command == "similar":
        return client.similar(arguments.item_id, **asked)
    if arguments.photo.startswith(("http://", "https://")):
        return client.search_url(arguments.photo, **asked)
    return client.search(Path(arguments.photo), **asked)


def _told(answer: BaseModel) -> str:
    if isinstance(answer, Results):
        # Text and trending compare no pictures: whoever reads the table must know.
        other = "" if answer.rung in ("search", "cache") else f", answered by {answer.rung}, not by the picture"
        total = (answer.timings_ms or {}).get("total", 0)
        return f"{as_table(answer)}\n{total:.1f} ms, bundle {answer.bundle_id[:12]}{other}"
    assert isinstance(answer, Bundle)
    return (
        f"{answer.items:,} items, {answer.images:,} images\nencoder {answer.encoder_id}, {answer.runtime}\n"
        f"bundle {answer.bundle_id}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serve.client",
        usage="python -m serve.client search|similar|bundle ... [options]",
        description="Ask a Lookalike service.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    search = commands.add_parser("search", help="items that look like a photo", allow_abbrev=False)
    search.add_argument("photo", help="an image file, or its https address where the service takes one")
    search.add_argument("--box", metavar="X,Y,W,H", help="the part to search with, in fractions of the photo; or auto")
    similar = commands.add_parser("similar", help="items that look like an item", allow_abbrev=False)
    similar.add_argument("item_id", help="its id")
    bundle = commands.add_parser("bundle", help="what is served", allow_abbrev=False)
    for command in (search, similar):
        command.add_argument("--k", type=int, metavar="N", help="results wanted")
        for name in ("category", "brand", "color"):
            command.add_argument(f"--{name}", action="append", metavar="NAME", help="only these; may be repeated")
        command.add_argument("--price-min", type=float, metavar="N")
        command.add_argument("--price-max", type=float, metavar="N")
        command.add_argument("--in-stock", action="store_true", help="only what is in stock")
    for command in (search, similar, bundle):
        command.add_argument("--url", default="http://127.0.0.1:8000", help="the service (default: %(default)s)")
        command.add_argument(
            "--timeout", type=float, default=10.0, metavar="S", help="of one try (default: %(default)g)"
        )
        command.add_argument(
            "--retries", type=int, default=3, metavar="N", help="where it is busy (default: %(default)s)"
        )
        command.add_argument("--json", action="store_true", help="print the answer as it is")
    return parser


if __name__ == "__main__":
    sys.exit(main())
