"""`python -m serve.access new --role write --name shop`: make an API key."""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from serve.access.keys import Key, Role, new_key
from src.contracts.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Make a key and show it, once; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="serve.access",
        usage="python -m serve.access new --role search|write|admin --name NAME [options]",
        description="Make an API key. The key is printed once; what is kept is its hash.",
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=["new"], metavar="new")
    parser.add_argument("--role", choices=[role.name.lower() for role in Role], required=True, help="what it may do")
    parser.add_argument("--name", required=True, help="whose it is: letters, digits, dots, dashes, underscores")
    parser.add_argument("--rate", type=float, default=math.inf, metavar="N", help="requests a second (default: any)")
    parser.add_argument("--keys-file", type=Path, metavar="FILE", help="add the key's line to this file")
    arguments = parser.parse_args(argv)
    try:
        text, key = new_key(arguments.name, Role[arguments.role.upper()], arguments.rate)
        if arguments.keys_file is not None:
            _append(arguments.keys_file, key)
    except ConfigError as error:
        print(f"serve.access: {error}", file=sys.stderr)
        return 2
    print(text)
    place = f"added to {arguments.keys_file}" if arguments.keys_file is not None else "add it to --keys-file"
    print(f"This key is shown once. Its line, {place}:\n{key.line()}", file=sys.stderr)
    return 0


def _append(path: Path, key: Key) -> None:
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if any(line.startswith(f"{key.name}:") for line in old.splitlines()):
            raise ConfigError(f"{path}: has a key of the name {key.name}; choose another, or remove that line")
        part = path.with_name(f"{path.name}.part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(old + ("" if old.endswith("\n") or not old else "\n") + key.line() + "\n")
        os.replace(part, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); name another --keys-file") from None


if __name__ == "__main__":
    sys.exit(main())
