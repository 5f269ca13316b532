"""A race as a page and as Markdown: who stayed at each look, and who was dropped why."""

from collections.abc import Mapping
from pathlib import Path

import optuna
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console

from src.contracts.atomic_file import write_atomically
from src.contracts.settings.sweep import SweepSettings
from src.eval import learning_curves
from src.sweeps.race_record import Race, Standing, read_race
from src.sweeps.trials import trial_labels

__all__ = ["race_sentences", "write_race_report"]


def write_race_report(study: optuna.Study, folder: Path, settings: SweepSettings) -> None:
    """Write `race.html` and `race.md` into the sweep's folder, and print what the race took.

    Args:
        study: of the sweep.
        folder: the sweep's, with a race's record.
        settings: of the sweep.
    """
    race = read_race(folder, level=0.0)
    if not race.looks:
        return
    labels = trial_labels(study)
    sentences = race_sentences(race, settings, trials=len(labels))
    header, rows = _table(race, labels, settings)
    write_atomically(folder / "race.md", _markdown(sentences, header, rows))
    write_atomically(folder / "race.html", _page(race, settings, labels, sentences, header, rows))
    console = Console()
    for line in [*sentences, f"the race, drawn: {folder / 'race.html'}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def race_sentences(race: Race, settings: SweepSettings, *, trials: int) -> list[str]:
    """What the race took and what it guarantees.

    Args:
        race: its record.
        settings: of the sweep.
        trials: at the start.
    """
    whole = trials * max(each.epochs for each in race.looks[-1].standings)
    stayed = [sum(not each.dropped for each in look.standings) for look in race.looks]
    one = len(settings.seeds) == 1
    luck = "one seed each: a method may be dropped for its training's bad luck; set hydra.sweeper.seeds=[0,1,2]"
    return [
        f"{race.epochs} epochs trained of {whole} ({race.epochs / max(whole, 1):.0%}) that all {trials} trials would "
        f"take; trials behind each look: {', '.join(map(str, stayed))}",
        f"the best trial is dropped in at most {settings.risk:.0%} of races: each test has the one-sided level "
        f"{race.level:.2g}, Bonferroni's for {trials - 1} others and {len(settings.rungs)} looks. It compares "
        f"{'checkpoints' if one else 'methods'} after as many epochs; a trial that would be the best only later can be "
        "dropped",
        *([luck] if one else []),
    ]


def _table(race: Race, labels: Mapping[int, str], settings: SweepSettings) -> tuple[list[str], list[list[str]]]:
    """A row for each trial, those that stayed longest first; a column for each look, and how the trial ended."""
    seeds = len(settings.seeds)
    header = ["trial", "", *(f"{settings.metric} at {look.share:.0%}" for look in race.looks), "epochs", "difference"]
    looks = [{each.trial: each for each in look.standings} for look in race.looks]
    last = {trial: each for look in looks for trial, each in look.items()}
    known = {trial: sum(trial in look for look in looks) for trial in last}
    rows = []
    for trial in sorted(last, key=lambda each: (-known[each], -last[each].value, each)):
        values = [f"{look[trial].value:.4f}" if trial in look else "" for look in looks]
        rows.append([str(trial), labels[trial], *values, str(last[trial].epochs // seeds), _why(last[trial])])
    return header, rows


def _why(standing: Standing) -> str:
    if not standing.dropped:
        return "kept"
    return f"dropped: {standing.difference:+.4f} [{standing.low:+.4f}, {standing.high:+.4f}]"


def _markdown(sentences: list[str], header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    table = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
    return "".join(f"{sentence}.\n\n" for sentence in sentences) + table


def _page(
    race: Race,
    settings: SweepSettings,
    labels: Mapping[int, str],
    sentences: list[str],
    header: list[str],
    rows: list[list[str]],
) -> str:
    seeds = len(settings.seeds)
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        standings = [each for look in race.looks for each in look.standings if str(each.trial) == row[0]]
        points[labels[int(row[0])]] = [(each.epochs / seeds, each.value) for each in standings]
    curves = learning_curves.draw_learning_curves(settings.metric, {label: [each] for label, each in points.items()})
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # Not escaped: they are our own files.
    style = Markup((here.parent / "eval" / "report" / "page.css").read_text())  # noqa: S704
    drawing = Markup(learning_curves.as_html(curves)) if curves else ""  # noqa: S704
    return environment.get_template("race.html.jinja").render(
        style=style,
        sentences=sentences,
        header=header,
        rows=rows,
        drawing=drawing,
        metric=settings.metric,
    )
