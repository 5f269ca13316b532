"""The best of many trials is selected by chance as well: its interval, and the trials that do not differ from it."""

from collections.abc import Sequence
from pathlib import Path

from src.contracts.errors import LookalikeError
from src.contracts.settings.sweep import SweepSettings
from src.eval.comparison import Contender, compare_runs
from src.eval.runs import open_run
from src.sweeps.trials import trial_folder

__all__ = ["selection_bias_notes"]

_RESAMPLES = 2_000


def selection_bias_notes(folder: Path, settings: SweepSettings, ranked: Sequence[int], trials: int) -> list[str]:
    """Sentences on the uncertainty of the best trial.

    Args:
        folder: the sweep's, with each trial's validation queries.
        settings: of the sweep.
        ranked: numbers of the finished trials, the best first.
        trials: number of all trials.
    """
    sentences = [
        f"selected on validation from {trials} trials: the best value is optimistic. Report it on the test split, or "
        "with new seeds"
    ]
    try:
        contenders = [_contender(folder, settings, number) for number in ranked]
        best = contenders[0]
        comparison = compare_runs(contenders, best, [settings.metric], resamples=_RESAMPLES)
    except LookalikeError as error:
        return [*sentences, f"trials cannot be compared query by query: {error}"]
    lines = comparison.lines
    own = lines[0].interval
    ends = "" if own.low is None else f", 95% interval {own.low:.4f} to {own.high:.4f} (over products)"
    alike = sum(line.verdict == "can't tell" for line in lines[1:])
    sentences.append(f"{best.label}: {settings.metric} {own.value:.4f}{ends}")
    if len(contenders) == 1:
        return sentences
    note = "" if len(settings.seeds) > 1 else "; one seed each: a difference may come from the seed"
    sentences += comparison.notes
    sentences.append(
        f"{alike} of {len(lines) - 1} other finished trials do not differ from it significantly (paired, Holm's "
        f"correction){note}"
    )
    return sentences


def _contender(folder: Path, settings: SweepSettings, number: int) -> Contender:
    runs = [open_run(str(folder / trial_folder(number, seed) / "validation")) for seed in settings.seeds]
    return Contender(f"trial {number}", tuple(runs))
