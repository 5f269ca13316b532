"""False alarms of the drift monitor, and how soon it notices a change: python -m benchmarks.monitoring.drift_null.

Real photos of the built-in shop, MobileNetV2 of ImageNet weights. Windows and reference are drawn from the same photos
with replacement, so that nothing has changed; then from photos after a planted change. Beside it, the rule of thumb
(any PSI above .2), and Evidently's methods for embeddings on the same windows where the package can be imported.
Nothing here is a timing.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.monitoring.drift_photos import Observed, Photos, observe
from src.contracts.drift_reference import DriftReference
from src.export.drift_reference import drift_reference
from src.monitoring.drift.comparison import Comparison, compare
from src.monitoring.drift.families import FAMILIES
from src.monitoring.drift.window import Window

_SIZES = (100, 500, 2000, 10_000)
_HOURLY = 720.0
_MOST_WINDOWS = 24
_MOST_CHANGED = 2000


def main() -> None:
    """Print two tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring.drift_null", description=__doc__)
    parser.add_argument("--windows", type=int, default=1000, help="null windows at each size")
    parser.add_argument("--only", choices=("null", "changes"), help="one of the two tables")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(_SIZES), help="queries of a window")
    parser.add_argument("--repeats", type=int, default=50, help="months that begin with each change")
    parser.add_argument("--evidently", type=int, default=20, help="windows that Evidently gets, where it is installed")
    parser.add_argument("--references", type=int, default=10, help="references that the windows are spread over")
    parser.add_argument("--images", type=int, default=5000, help="queries of a reference")
    parser.add_argument("--parents", type=int, default=480, help="products of the shop: about 8 user photos of each")
    parser.add_argument("--photos", type=int, default=1500, help="user photos, and catalogue images, that are embedded")
    parser.add_argument("--output", type=Path, default=Path("outputs/drift_null"), help="folder of the shop")
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights/mobilenetv2_100_imagenet.safetensors"))
    given = parser.parse_args()
    normal, changes = observe(given.output, parents=given.parents, most=given.photos, weights=given.weights)
    rng = np.random.default_rng(0)
    samples = [normal(rng, given.images) for _ in range(given.references)]
    references = [_reference(sample) for sample in samples]
    methods = _evidently()
    if given.only != "changes":
        _print_null(given, normal, references, samples, methods, rng)
    if given.only != "null":
        _print_changes(given, changes, references[0], samples[0], methods, rng)


def _print_null(
    given: argparse.Namespace,
    normal: Photos,
    references: list[DriftReference],
    samples: list[Observed],
    methods: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    print("| queries | " + " | ".join(FAMILIES) + " | all | at .01 a family | a PSI > .2 | largest PSI |", end="")
    print("".join(f" {name} |" for name in methods), flush=True)
    print("| ---: |" * 1 + " ---: |" * (len(FAMILIES) + 4 + len(methods)))
    for size in given.sizes:
        print(_null(size, given.windows, normal, references, samples, methods, given.evidently, rng), flush=True)


def _print_changes(
    given: argparse.Namespace,
    changes: Mapping[str, Photos],
    reference: DriftReference,
    sample: Observed,
    methods: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    print("\n| change | queries | windows until noticed | in the first window | by | rule of thumb |", end="")
    print("".join(f" {name} |" for name in methods), flush=True)
    print("| --- | ---: | ---: | ---: | --- | ---: |" + " ---: |" * len(methods))
    for name, draw in changes.items():
        for size in [size for size in given.sizes if size <= _MOST_CHANGED]:
            row = _delay(size, given.repeats, draw, reference, sample, methods, given.evidently, rng)
            print(f"| {name} | {size:,} | {row}", flush=True)


def _reference(sample: Observed) -> DriftReference:
    scalars = np.column_stack([sample.norms, sample.scores, sample.inputs]).astype(np.float32)
    return drift_reference(sample.embeddings, scalars, list(sample.categories), encoder_id="benchmark")


def _compared(sample: Observed, reference: DriftReference) -> Comparison:
    window = Window.empty(reference)
    window.add(sample.embeddings, sample.norms, sample.scores, sample.inputs, categories=list(sample.categories))
    return compare(window, reference, windows_per_month=_HOURLY)


def _null(
    size: int,
    windows: int,
    normal: Photos,
    references: list[DriftReference],
    samples: list[Observed],
    methods: dict[str, Any],
    most: int,
    rng: np.random.Generator,
) -> str:
    alarms, at_level, any_alarm = dict.fromkeys(FAMILIES, 0), [], 0
    rule, largest = 0, []
    others: dict[str, list[bool]] = {name: [] for name in methods}
    for number in range(windows):
        sample = normal(rng, size)
        found = _compared(sample, references[number % len(references)])
        for family in found.families:
            alarms[family.name] += bool(family.alarms)
        tested = [family for family in found.families if family.findings]
        # Holm's first step: what the family would be at another level.
        at_level += [family.findings[0].p * len(family.findings) <= 0.01 for family in tested]
        any_alarm += bool(found.alarms)
        rule += any(family.over_20 for family in tested)
        largest.append(max(f.value for family in tested if family.name != "rank" for f in family.findings))
        if number < most:
            for name, method in methods.items():
                others[name].append(method(sample.embeddings, samples[number % len(references)].embeddings[:size]))
    cells = [f"{alarms[name]}" for name in FAMILIES]
    cells += [f"{any_alarm}", f"{np.mean(at_level):.4f}", f"{rule / windows:.0%}", f"{np.median(largest):.2f}"]
    cells += [f"{sum(found)} of {len(found)}" for found in others.values()]
    return f"| {size:,} | " + " | ".join(cells) + " |"


def _delay(
    size: int,
    repeats: int,
    draw: Photos,
    reference: DriftReference,
    sample: Observed,
    methods: dict[str, Any],
    most: int,
    rng: np.random.Generator,
) -> str:
    delays, rule = [], 0
    first: dict[str, int] = {}
    others: dict[str, list[bool]] = {name: [] for name in methods}
    for number in range(repeats):
        for window in range(1, _MOST_WINDOWS + 1):
            now = draw(rng, size)
            found = _compared(now, reference)
            if window == 1:
                rule += any(family.over_20 for family in found.families)
                if number < most:
                    for name, method in methods.items():
                        others[name].append(method(now.embeddings, sample.embeddings[:size]))
            if found.alarms:
                break
        delays.append(window if found.alarms else np.inf)
        for name in found.alarms:
            first[name] = first.get(name, 0) + 1
        if number >= 4 and not np.isfinite(delays).any():
            break  # Never noticed: the others would not be either.
    middle = np.median(delays)
    shown = f"over {_MOST_WINDOWS}" if np.isinf(middle) else f"{middle:g}"
    often = sorted(first, key=lambda name: -first[name])[:3]
    cells = [shown, f"{np.mean(np.array(delays) == 1):.0%}", ", ".join(often) or "none", f"{rule / len(delays):.0%}"]
    cells += [f"{sum(found)} of {len(found)}" for found in others.values()]
    return " | ".join(cells) + " |"


def _evidently() -> dict[str, Any]:
    """Evidently's methods with their defaults: True where they call it drift; none where it is not installed."""
    try:
        import evidently
        import pandas
        from evidently.legacy.metrics.data_drift import embedding_drift_methods
    except ImportError:
        print("Evidently is not installed")
        return {}
    print(f"Evidently {evidently.__version__}")

    def judged(method: Any) -> Callable[[np.ndarray, np.ndarray], bool]:
        # As `EmbeddingsDriftMetric` calls it: the current window first.
        return lambda now, then: bool(method(_framed(now), _framed(then))[1])

    def _framed(vectors: np.ndarray) -> Any:
        return pandas.DataFrame(vectors, columns=[str(number) for number in range(vectors.shape[1])])

    return {
        "Evidently, model": judged(embedding_drift_methods.model()),
        "Evidently, ratio": judged(embedding_drift_methods.ratio()),
    }


if __name__ == "__main__":
    main()
