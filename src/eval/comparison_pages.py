"""A comparison as a table on the terminal, as Markdown, and as a self-contained HTML page."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.eval import learning_curves
from src.eval.comparison import Comparison, Line
from src.eval.contender_trainings import Trainings

__all__ = ["HEADER", "as_html", "as_markdown", "explanation", "print_comparison"]

HEADER = ("metric", "run or method", "seeds", "value", "difference", "p", "verdict")
_COLOURS = {"better": "green", "worse": "red", "can't tell": "yellow", "baseline": "dim"}


def print_comparison(comparison: Comparison, trainings: Trainings) -> None:
    """Print a table, then how to read it, then the differences between the configs."""
    table = Table(box=SIMPLE, pad_edge=False)
    for name in HEADER[1:]:
        table.add_column(
            name, no_wrap=name != "run or method", min_width=8 if name == "run or method" else None, overflow="fold"
        )
    last = None
    for line in comparison.lines:
        if line.metric != last:
            table.add_row(Text(line.metric, "bold"))
            last = line.metric
        # The interval goes below its value, so that the table fits a narrow terminal.
        cells = [Text(cell.replace(" [", "\n[")) for cell in _cells(line)[1:]]
        cells[-1].stylize(_COLOURS[line.verdict])
        table.add_row(*cells)
    console = Console()
    console.print(table)
    for sentence in explanation(comparison):
        console.print(sentence, markup=False, highlight=False)
    if trainings.differences:
        configs = Table(box=SIMPLE, pad_edge=False, title="differences between the configs", title_justify="left")
        for name in ("setting", *trainings.labels):
            configs.add_column(Text(name), overflow="fold")
        for name, values in trainings.differences:
            configs.add_row(*map(Text, (name, *values)))
        console.print(configs)


def as_markdown(comparison: Comparison, trainings: Trainings) -> str:
    """A Markdown table, how to read it, and the differences between the configs."""
    text = _markdown_table(HEADER, [_cells(line) for line in comparison.lines])
    text += "\n" + "".join(f"- {sentence}\n" for sentence in explanation(comparison))
    if trainings.differences:
        rows = [(name, *values) for name, values in trainings.differences]
        text += "\n" + _markdown_table(("setting", *trainings.labels), rows)
    return text


def as_html(comparison: Comparison, trainings: Trainings) -> str:
    """A page in the report's style with learning curves, for light and dark screens; it loads no other file."""
    reach = max(
        (abs(end) for line in comparison.lines if line.difference for end in _ends(line) if end is not None),
        default=0.0,
    )
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    rows = [
        {"cells": _cells(line), "verdict": line.verdict, "bar": _bar(line, reach), "metric": line.metric}
        for line in comparison.lines
    ]
    template = environment.get_template("comparison.html.jinja")
    # Not escaped: it is our own file.
    style = Markup((Path(__file__).parent / "report" / "page.css").read_text())  # noqa: S704
    return template.render(
        style=style,
        header=HEADER,
        rows=rows,
        sentences=explanation(comparison),
        labels=trainings.labels,
        differences=trainings.differences,
        curves=trainings.curves,
        # Its text is escaped there.
        drawing=Markup(learning_curves.as_html(trainings.curves)) if trainings.curves else "",  # noqa: S704
    )


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def explanation(comparison: Comparison) -> list[str]:
    """Sentences on what was measured and how, and on what the data do not decide and why."""
    percent = f"{comparison.confidence:.0%}"
    lines = [line for line in comparison.lines if line.difference is not None]
    sentences = [
        f"{comparison.queries:,} queries of {comparison.products:,} products. In brackets {percent} intervals over "
        "products, not queries."
    ]
    sentences += [f"{note[0].upper()}{note[1:]}." for note in comparison.notes]
    questions = {line.question for line in lines}
    if "checkpoint" in questions:
        sentences.append(
            "One run against one run: the verdict is about these checkpoints. p is a permutation test's that swaps "
            f"them product by product (at most {comparison.resamples:,} permutations); the interval holds the "
            "differences that it does not reject. One seed does not show which METHOD is better; train both with at "
            "least 3 seeds and give all runs."
        )
    if "method" in questions:
        sentences.append(
            "Several seeds: the verdict is about the METHODS; seeds and products are both treated as a sample "
            "(Obuchowski and Rockette's model, Student's t)."
        )
    candidates = len({line.label for line in lines if line.adjusted is not None})
    if candidates > 1:
        sentences.append(f"p has Holm's correction for {candidates} candidates, metric by metric.")
    if len({line.metric for line in lines}) > 1:
        sentences.append(
            f"Decide by {lines[0].metric}, the first metric: p is not corrected for the number of metrics, and of many "
            "metrics one easily differs by chance."
        )
    for line in lines:
        where = f"{line.label}, {line.metric}"
        if line.difference is None or line.verdict != "can't tell":
            continue
        if line.difference.reason:
            sentences.append(f"{where}: {line.difference.reason}.")
        elif line.metric == lines[0].metric and line.difference.detectable is not None:
            sentences.append(
                f"{where}: a true difference of {line.difference.detectable:.4f} would be found in 80 of 100 such "
                "comparisons; smaller ones are often missed, so this does not prove that the two are equal."
            )
    return sentences


def _cells(line: Line) -> tuple[str, ...]:
    difference = line.difference
    shown = "" if difference is None else _with_ends(difference.value, difference.low, difference.high, "+")
    p_value = "" if line.adjusted is None else "< 0.001" if line.adjusted < 0.001 else f"{line.adjusted:.3f}"
    value = _with_ends(line.interval.value, line.interval.low, line.interval.high, "")
    return line.metric, line.label, str(line.seeds), value, shown, p_value, line.verdict


def _with_ends(value: float | None, low: float | None, high: float | None, sign: str) -> str:
    if value is None:
        return "none"
    ends = "" if low is None or high is None else f" [{low:{sign}.4f}, {high:{sign}.4f}]"
    return f"{value:{sign}.4f}{ends}"


def _ends(line: Line) -> tuple[float | None, float | None]:
    return (line.difference.low, line.difference.high) if line.difference else (None, None)


def _bar(line: Line, reach: float) -> dict[str, float] | None:
    """The position of the difference and its interval on a line from -reach to +reach, in per cent."""
    low, high = _ends(line)
    if low is None or high is None or line.difference is None or line.difference.value is None or reach == 0:
        return None
    left, right, at = (50 + 50 * end / reach for end in (low, high, line.difference.value))
    return {"left": left, "width": right - left, "at": at}
