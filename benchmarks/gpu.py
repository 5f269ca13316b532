"""Every check and measurement that needs a GPU, in one call of at most eight minutes: python -m benchmarks.gpu.

Each section runs in a process of its own with a time limit, so that one that fails, hangs or takes the memory leaves
the others alone. A Markdown table comes last; it says what failed and why. Ends with 0; 1 if a section failed; 2
without a GPU.
"""

import argparse
import json
import subprocess
import sys
import time

import torch

from benchmarks.gpu_sections import SECTIONS, Figure
from src.contracts.errors import LookalikeError
from src.contracts.exit_codes import exit_with_message

__all__ = ["run_section", "table"]

_TOTAL_SECONDS = 470
_MARK = "FIGURES "


def main() -> None:
    """Run the sections and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections")
    parser.add_argument("--rehearse", action="store_true", help="the same code, tiny, on the CPU: figures mean nothing")
    parser.add_argument("--inside", choices=list(SECTIONS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = "cpu" if arguments.rehearse else "cuda"
    if arguments.inside is not None:
        figures = SECTIONS[arguments.inside].run(device)
        print(_MARK + json.dumps([list(figure) for figure in figures]))
        return
    if not arguments.rehearse and not torch.cuda.is_available():
        raise LookalikeError(
            "no GPU: torch finds no CUDA device; run this where there is one, or see the code run with --rehearse"
        )
    start = time.monotonic()
    done: dict[str, list[Figure] | str] = {}
    for name in arguments.only or SECTIONS:
        left = _TOTAL_SECONDS - (time.monotonic() - start)
        print(f"{name} ...", flush=True)
        # What is rehearsed is the code and not the time.
        seconds = 600 if arguments.rehearse else min(SECTIONS[name].seconds, left)
        done[name] = run_section(name, seconds, rehearse=arguments.rehearse)
    print(table(_machine(device), done, time.monotonic() - start))
    if any(isinstance(result, str) for result in done.values()):
        sys.exit(1)


def run_section(name: str, seconds: float, *, rehearse: bool) -> list[Figure] | str:
    """Run a section in its own process.

    Args:
        name: of `SECTIONS`.
        seconds: after which it is ended.
        rehearse: tiny, on the CPU.

    Returns:
        Its figures, or what went wrong.
    """
    if seconds < 5:
        return "no time was left for it"
    command = [sys.executable, "-m", "benchmarks.gpu", "--inside", name, *(["--rehearse"] if rehearse else [])]
    try:
        # Our own interpreter, and a name that is one of SECTIONS.
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds:.0f} s and was ended"
    for line in reversed(ended.stdout.splitlines()):
        if line.startswith(_MARK):
            return [Figure(*row) for row in json.loads(line.removeprefix(_MARK))]
    last = [line for line in ended.stderr.splitlines() if line.strip()]
    return f"ended with {ended.returncode}: {last[-1].strip() if last else 'it said nothing'}"


def table(machine: str, done: dict[str, list[Figure] | str], seconds: float) -> str:
    """All figures and failures as Markdown."""
    lines = [f"\n{machine}; {seconds:.0f} s\n", "| section | what | figure | |", "| --- | --- | ---: | --- |"]
    for name, result in done.items():
        if isinstance(result, str):
            lines.append(f"| {name} | **failed** | | {result.replace('|', '/')} |")
        else:
            lines += [f"| {name} | {one.what} | {one.value:,.4g} {one.unit} | {one.note} |" for one in result]
    return "\n".join(lines)


def _machine(device: str) -> str:
    if device == "cpu":
        return "A rehearsal on the CPU: these figures mean nothing"
    found = torch.cuda.get_device_properties(0)
    versions = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    return f"{found.name}, {found.total_memory / 2**30:.0f} GiB, {versions}"


if __name__ == "__main__":
    with exit_with_message():
        main()
