"""Report the drift of one period as an HTML page: python -m src.monitoring.report."""

import argparse
import os
from pathlib import Path

from src.contracts.atomic_file import write_atomically
from src.contracts.bundle import DRIFT_REFERENCE, open_bundle
from src.contracts.drift_reference import read_drift_reference
from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.monitoring.drift.comparison import MONTH, compare
from src.monitoring.drift.diagnosis import diagnose
from src.monitoring.drift.folder import BASELINE, merged, periods, read_window, read_windows
from src.monitoring.drift.page import render

__all__ = ["main"]

_PAGE = "drift.html"


def report(
    bundle: Path,
    output: Path,
    *,
    windows: Path | None,
    queries: Path | None,
    baseline: Path | None,
    hours: float,
    photos: bool,
) -> str:
    """Write the page and `baseline.window`, all queries of the period; exactly one of `windows` and `queries` is given.

    Returns:
        What was found in the last window, in words.

    Raises:
        LookalikeError: nothing to compare, or windows of another bundle.
    """  # fmt: skip
    opened = open_bundle(bundle)
    reference = read_drift_reference(opened.path(DRIFT_REFERENCE))
    base = None if baseline is None else read_window(baseline)
    if windows is not None:
        found = periods(read_windows(windows), 3600 * hours)
    else:
        from src.monitoring.drift.photos import window_of_photos
        from src.search import Searcher

        assert queries is not None
        found = [window_of_photos(Searcher.open(opened), reference, queries, photos=photos)]
    per_month = MONTH / (3600 * hours)
    comparisons = [compare(window, reference, windows_per_month=per_month, baseline=base) for window in found]
    diagnoses = [diagnose(window, comparison, reference) for window, comparison in zip(found, comparisons, strict=True)]
    page = render(
        bundle_id=opened.bundle_id,
        reference=reference,
        baseline=base,
        windows=found,
        comparisons=comparisons,
        diagnoses=diagnoses,
        windows_per_month=per_month,
    )
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / _PAGE, page.encode())
    write_atomically(output / BASELINE, merged(found).to_bytes())
    alarmed = [number for number, one in enumerate(comparisons) if one.alarms]
    told = diagnoses[alarmed[-1] if alarmed else -1].verdict
    names = sorted({name for one in comparisons for name in one.alarms})
    return f"{len(alarmed)} of {len(found)} windows with an alarm{f' ({chr(44).join(names)})' if names else ''}. {told}"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m src.monitoring.report", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="folder that export.py wrote")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--windows", type=Path, metavar="DIR", help="folder that services with --drift write to")
    asked.add_argument("--queries", type=Path, metavar="DIR", help="folder of photos, which are embedded and searched")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the page")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="baseline.window of an earlier report, to compare with"
    )
    parser.add_argument("--hours", type=float, default=24.0, help="length of the windows that are compared")
    parser.add_argument("--photos", action="store_true", help="with --queries: show small pictures of suspects")
    given = parser.parse_args(arguments)
    # Read when FAISS is imported or first used.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with exit_with_message():
        if not 0 < given.hours <= 720:
            raise ConfigError(f"`--hours {given.hours}`: must be above 0 and at most 720, which is a month")
        for name in ("windows", "queries"):
            folder = getattr(given, name)
            if folder is not None and not folder.is_dir():
                raise ConfigError(f"`--{name} {folder}`: is no folder")
        told = report(
            given.bundle, given.output, windows=given.windows, queries=given.queries, baseline=given.baseline,
            hours=given.hours, photos=given.photos,
        )  # fmt: skip
        print(told)
        print(f"report: {given.output / _PAGE}")


if __name__ == "__main__":
    main()
