"""Off-policy estimates on the Open Bandit sample: python -m benchmarks.monitoring.open_bandit --obp WHEEL.

ZOZOTOWN showed three of its items a page, by a uniformly random policy and by Bernoulli Thompson sampling, at the
same time (Saito, Aihara, Matsutani, Narita, NeurIPS Datasets 2021). Of each policy 10,000 rows lie in the wheel of
obp 0.4.1, of which data alone is read (`pip download --no-deps obp==0.4.1`). The random log estimates the other
policy's click rate; that policy's own log says what it was.
"""

import argparse
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.csv as pc
import yaml

from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.monitoring.experiments.off_policy import Estimate, doubly_robust, ips, snips

_POSITIONS = 3
_FOLDS = 5


def read_log(wheel: zipfile.ZipFile, policy: str, campaign: str) -> Mapping[str, np.ndarray]:
    """Item, position (from 0), click, and propensity of each row; and its minute, within which rows may depend."""
    text = wheel.read(f"obp/dataset/obd/{policy}/{campaign}/{campaign}.csv")
    wanted = ["timestamp", "item_id", "position", "click", "propensity_score"]
    table = pc.read_csv(io.BytesIO(text), convert_options=pc.ConvertOptions(include_columns=wanted))
    positions = table["position"].to_numpy()
    return {
        "item": table["item_id"].to_numpy(),
        "position": np.searchsorted(np.unique(positions), positions),
        "click": table["click"].to_numpy().astype(np.float64),
        "propensity": table["propensity_score"].to_numpy(),
        "minute": table["timestamp"].cast("timestamp[us]").to_numpy().astype("datetime64[m]").astype(np.int64),
    }


def thompson(alpha: np.ndarray, beta: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """Probability that Thompson sampling puts each item at each position: float64 of shape (items, positions)."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(alpha), _POSITIONS))
    for start in range(0, draws, 10_000):
        rates = rng.beta(alpha, beta, (min(10_000, draws - start), len(alpha)))
        best = np.argsort(-rates, axis=1)[:, :_POSITIONS]
        for position in range(_POSITIONS):
            counts[:, position] += np.bincount(best[:, position], minlength=len(alpha))
    return counts / draws


def predictions(log: Mapping[str, np.ndarray], policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Click rates of items, shrunk to the mean, from the other folds: of the logged item and of the new policy."""
    items = len(policy)
    predicted, expected = np.zeros(len(log["item"])), np.zeros(len(log["item"]))
    fold = log["minute"] % _FOLDS
    for number in range(_FOLDS):
        rows, others = fold == number, fold != number
        mean, prior = log["click"][others].mean(), 200.0
        clicks = np.bincount(log["item"][others], weights=log["click"][others], minlength=items)
        rates = (clicks + prior * mean) / (np.bincount(log["item"][others], minlength=items) + prior)
        predicted[rows] = rates[log["item"][rows]]
        expected[rows] = (rates @ policy)[log["position"][rows]]
    return predicted, expected


def estimates(wheel: zipfile.ZipFile, campaign: str, draws: int) -> dict[str, Estimate]:
    """The estimates from the random log, and what the other policy's log says."""
    prior = yaml.safe_load(wheel.read("obp/policy/conf/prior_bts.yaml"))[campaign]
    policy = thompson(np.array(prior["alpha"]), np.array(prior["beta"]), draws)
    log, own = read_log(wheel, "random", campaign), read_log(wheel, "bts", campaign)
    taken = policy[log["item"], log["position"]]
    given = (log["click"], log["propensity"], taken)
    predicted, expected = predictions(log, policy)
    ones = np.ones(len(own["click"]))
    return {
        "IPS": ips(*given, clusters=log["minute"]),
        "SNIPS": snips(*given, clusters=log["minute"]),
        "DR": doubly_robust(*given, predicted=predicted, expected=expected, clusters=log["minute"]),
        "the random policy itself": ips(log["click"], np.ones(len(taken)), np.ones(len(taken)), clusters=log["minute"]),
        "Thompson sampling's own log": ips(own["click"], ones, ones, clusters=own["minute"]),
    }


def _less(found: Estimate, rows: Mapping[str, Estimate]) -> str:
    """An estimate less what the policy's own log says, with an interval; the logs are independent."""
    if found not in list(rows.values())[:3]:
        return ""
    own = list(rows.values())[-1]
    difference, reach = found.value - own.value, np.hypot(found.high - found.value, own.high - own.value)
    return f"{difference:+.3%} ({difference - reach:+.3%} to {difference + reach:+.3%})"


def main() -> None:
    """Print a Markdown table for each campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--obp", type=Path, required=True, metavar="WHEEL", help="obp-0.4.1-py3-none-any.whl")
    parser.add_argument("--draws", type=int, default=1_000_000, help="of Thompson sampling (default 1000000)")
    options = parser.parse_args()
    with exit_with_message():
        if not zipfile.is_zipfile(options.obp):
            raise ConfigError(f"--obp {options.obp}: is no wheel; get it by pip download --no-deps obp==0.4.1")
        print(
            "| campaign | estimate | click rate | 95 % interval | effective rows | less its own log |\n"
            "| --- | --- | ---: | ---: | ---: | ---: |"
        )
        with zipfile.ZipFile(options.obp) as wheel:
            for campaign in ("all", "men", "women"):
                rows = estimates(wheel, campaign, options.draws)
                for name, found in rows.items():
                    ends = f"{found.low:.3%} to {found.high:.3%}"
                    print(
                        f"| {campaign} | {name} | {found.value:.3%} | {ends} | {found.effective:,.0f} "
                        f"| {_less(found, rows)} |"
                    )


if __name__ == "__main__":
    main()
