"""The command: python -m src.index.capacity [measure | plan | growth] key=value ..."""

import sys
from collections.abc import Sequence

from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.index.capacity.arguments import described, parse_arguments
from src.index.capacity.check_growth import GrowthCheck, check_growth
from src.index.capacity.figures import Figures
from src.index.capacity.measure import Measurement, measure
from src.index.capacity.planning import Demand, plan
from src.index.capacity.report import report_plan

_DEMAND = {
    "items": "items in the catalogue, e.g. 100e6",
    "qps": "queries a second, at the peak",
    "dim": "numbers in a vector",
    "images_per_item": "vectors for each item",
    "layout": "of those measured",
    "p99_ms": "the slowest shard's answer must be there by then, for 99 of 100 queries",
    "ram_gib": "memory of a machine",
    "ram_share": "of it for the index: a merge builds the next one beside it",
    "cores": "of a machine; each as fast as the one measured",
    "utilisation": "share of the cores that may be busy on average",
    "replicas": "machines for each shard, at least",
    "updates": "vectors added or replaced a second",
    "hedge": "ask a second machine when the first is slower than 19 of 20",
    "cost_per_hour": "of a machine, in any currency; without it costs are machine-hours",
    "figures": "what `measure` wrote",
}
_MEASUREMENT = {
    "figures": "file to write; what it has is not measured again",
    "layouts": "to measure",
    "sizes": "numbers of vectors (1000000: an HNSW graph takes twenty minutes, the rest as long)",
    "dim": "numbers in a vector",
    "queries": "timed one by one",
}
_GROWTH = {
    "figures": "what `measure` wrote",
    "upto": "largest size that the law is fitted to; the larger ones are predicted",
    "dim": "numbers in a vector",
}
_HELP = f"""How many machines a catalogue needs, from figures measured on one.

python -m src.index.capacity measure [KEY=VALUE ...]   time layouts and sizes here; resumes where it was stopped
{described(Measurement, _MEASUREMENT)}

python -m src.index.capacity plan items=100e6 qps=10000 [KEY=VALUE ...]   (the word `plan` may be left out)
{described(Demand, _DEMAND)}

python -m src.index.capacity growth [KEY=VALUE ...]    predict the largest measured sizes from the smaller ones
{described(GrowthCheck, _GROWTH)}

docs/index.md says what the model is, and what it leaves out."""


def run(words: Sequence[str]) -> str:
    """What the command prints."""
    if not words or {"-h", "--help"} & {*words}:
        return _HELP
    step, rest = (words[0], words[1:]) if "=" not in words[0] else ("plan", words)
    if step == "measure":
        wanted = parse_arguments(rest, Measurement)
        measure(wanted, lambda line: print(line, flush=True))
        return f"written: {wanted.figures}"
    if step == "growth":
        check = parse_arguments(rest, GrowthCheck)
        return check_growth(check, Figures.read(check.figures))
    if step == "plan":
        demand = parse_arguments(rest, Demand)
        figures = Figures.read(demand.figures)
        return report_plan(demand, figures, plan(demand, figures))
    raise ConfigError(f"`{step}`: must be measure, plan or growth; --help explains")


if __name__ == "__main__":
    with exit_with_message():
        print(run(sys.argv[1:]))
