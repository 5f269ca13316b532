"""Care for an embeddings table: python -m src.pipelines.store runs|compact|prune|vacuum|online TABLE ..."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.pipelines.embeddings_table import embedding_runs, open_embeddings
from src.pipelines.online_embeddings import write_online_embeddings
from src.pipelines.table_upkeep import compact, delete_unused_files, remove_superseded

__all__ = ["main", "utc_time"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands, and say in a line what it did."""
    options = _parser().parse_args(arguments)
    with exit_with_message():
        table = open_embeddings(options.table)
        if options.command == "runs":
            for run in embedding_runs(table):
                source = run["source"] if run["source_version"] is None else f"{run['source']}@{run['source_version']}"
                print(
                    f"version {run['version']}, {run['committed_at']:%Y-%m-%d %H:%M:%S} UTC: {run['rows']} rows,"
                    f" batch {run['batch_id']}, run {run['run_id']}, bundle {run['bundle_id'] or '-'}, from {source}"
                )
        elif options.command == "compact":
            counted = compact(table, target_bytes=options.target_mb * 2**20)
            print(f"{counted['numFilesRemoved']} files rewritten as {counted['numFilesAdded']}")
        elif options.command == "prune":
            removed = remove_superseded(table, since=utc_time("--since", options.since))
            print(f"{removed} superseded rows removed")
        elif options.command == "vacuum":
            deleted = delete_unused_files(table, keep=timedelta(days=options.keep_days))
            print(f"{len(deleted)} unused files deleted")
        else:
            count = write_online_embeddings(table, Path(options.output), encoder_id=options.encoder)
            print(f"{count} images in {options.output}")


def utc_time(option: str, text: str) -> datetime:
    """Read a time as UTC unless it names another offset.

    Raises:
        ConfigError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"`{option} {text}`: no time; write 2026-01-31 or 2026-01-31T12:00:00+00:00") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m src.pipelines.store", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    about = {
        "runs": "list appends: which run, bundle and source made how many rows",
        "compact": "rewrite small files as large ones",
        "prune": "remove rows that no look-up since a time can return",
        "vacuum": "delete files that no recent version needs",
        "online": "write the latest view to a file that answers look-ups by image id",
    }
    for name, text in about.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("table", metavar="TABLE", help="folder or address (s3://...) of the table")
        if name == "compact":
            command.add_argument("--target-mb", type=int, default=256, help="size of a file")
        if name == "prune":
            command.add_argument("--since", required=True, metavar="TIME", help="earliest time of labels still joined")
        if name == "vacuum":
            command.add_argument("--keep-days", type=int, default=30, help="versions younger than this stay readable")
        if name == "online":
            command.add_argument("--encoder", required=True, help="encoder_id of the embeddings")
            command.add_argument("--output", required=True, metavar="FILE", help="the file to write")
    return parser


if __name__ == "__main__":
    main()
