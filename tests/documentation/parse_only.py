"""Parse the command line of a module and do nothing else: parse_only.py MODULE ARGUMENTS."""

import argparse
import os
import runpy
import sys
from typing import Any, NoReturn

_parse_args = argparse.ArgumentParser.parse_args


def parse_and_leave(parser: argparse.ArgumentParser, *arguments: Any, **keywords: Any) -> NoReturn:
    """End with 2 and a message where argparse does, else with 0."""
    _parse_args(parser, *arguments, **keywords)
    sys.exit(0)


if __name__ == "__main__":
    argparse.ArgumentParser.parse_args = parse_and_leave  # type: ignore[method-assign]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.getcwd())
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    sys.exit("it parses no arguments")
