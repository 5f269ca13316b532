"""`python -m src.index.study EMBEDDINGS.parquet --output DIR`: see docs/index.md."""

import argparse
import logging
from pathlib import Path

from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.index.layouts import LAYOUTS
from src.index.simulated import Clustered
from src.index.study.builds import Builds
from src.index.study.peers import PEERS, require_peers
from src.index.study.plots import write_plots
from src.index.study.points import Points, measure, overhead
from src.index.study.report import markdown, write_tables
from src.index.study.source import Source, from_clustered, from_embeddings

_OVERHEAD = 1.1

log = logging.getLogger(__name__)


def main() -> None:
    """Parse, build, measure, write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = _parser().parse_args()
    with exit_with_message():
        layouts = _layouts(arguments.layouts)
        if arguments.peers:
            require_peers()
        names = layouts + (list(PEERS) if arguments.peers else [])
        source = _source(arguments)
        builds = Builds(arguments.output / "indexes", arguments.m, arguments.ef_construction, arguments.nlist)
        for name in names:
            builds.ensure(name, source.gallery)
        if arguments.build_only:
            return
        points = Points(arguments.output / "points.jsonl")
        for name in names:
            log.info("%s: measuring", name)
            measure(name, builds, source, points)
        wanted = [point for point in points.all if point["index"] in names]
        write_tables(wanted, arguments.output)
        write_plots(wanted, arguments.output)
        print(markdown(wanted))
        print(_overheads(layouts, builds, source))


def _overheads(layouts: list[str], builds: Builds, source: Source) -> str:
    lines = []
    for name in layouts:
        ratio = overhead(name, builds, source)
        verdict = "ok" if ratio <= _OVERHEAD else f"MISSED, limit {_OVERHEAD}"
        lines.append(f"{name}: a query takes {ratio:.3f} of plain FAISS on the same index: {verdict}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.index.study", description="Recall, time and memory of index layouts on one set of vectors."
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("embeddings", nargs="?", type=Path, help="Parquet with the column vector")
    which.add_argument("--clustered", metavar="ROWSxDIM", help="simulated vectors instead, such as 1000000x512")
    parser.add_argument("--output", type=Path, required=True, help="folder; what it holds already is not done again")
    parser.add_argument("--layouts", default=",".join(LAYOUTS), help="names with commas between")
    parser.add_argument("--peers", action="store_true", help="hnswlib and usearch as well")
    parser.add_argument("--build-only", action="store_true", help="build and keep the indexes, measure later")
    parser.add_argument("--queries", type=int, default=1000, help="held-out queries")
    parser.add_argument("--seed", type=int, default=0, help="of simulated vectors")
    parser.add_argument("--m", type=int, default=32, help="HNSW links per vector and level")
    parser.add_argument("--ef-construction", type=int, default=100, help="HNSW candidates while building")
    parser.add_argument("--nlist", type=int, help="IVF clusters; by the number of vectors unless given")
    return parser


def _layouts(names: str) -> list[str]:
    layouts = names.split(",")
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown:
        raise ConfigError(f"`--layouts {','.join(unknown)}`: must be among {', '.join(LAYOUTS)}")
    return layouts


def _source(arguments: argparse.Namespace) -> Source:
    least = {"queries": 1, "m": 2, "ef_construction": 1, "nlist": 1}
    small = [name for name, low in least.items() if (value := getattr(arguments, name)) is not None and value < low]
    if small:
        raise ConfigError(", ".join(f"`--{name.replace('_', '-')}`: must be at least {least[name]}" for name in small))
    if arguments.clustered is None:
        return from_embeddings(arguments.output, arguments.embeddings, arguments.queries)
    try:
        rows, dim = (int(number) for number in arguments.clustered.split("x"))
    except ValueError:
        raise ConfigError(f"`--clustered {arguments.clustered}`: must be ROWSxDIM, such as 1000000x512") from None
    return from_clustered(arguments.output, Clustered(rows, dim, arguments.seed), arguments.queries)


if __name__ == "__main__":
    main()
