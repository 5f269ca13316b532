"""Settings of a catalogue: where it comes from, how it is split, how batches are drawn from it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

from src.contracts.errors import ConfigError
from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.csv import CsvSettings, csv_problems
from src.contracts.settings.splits import (
    MADE_BEFORE,
    SPLIT_WAYS,
    CountSplitSettings,
    TimeSplitSettings,
    count_problems,
    time_problems,
)

__all__ = ["MISSING", "READERS", "DataSettings", "ShopSettings", "complete_data", "data_problems"]

MISSING: Any = "???"
"""OmegaConf's mark for a value that must be given."""

READERS = ("folder", "hf", "manifest", "shop", "webdataset", "cars", "cub", "inshop", "sop")
"""Those that Lookalike brings."""


@dataclass
class ShopSettings:
    """The built-in shop.

    Attributes:
        parents: products; each has one to four colour variants, which are the items.
        seed: all of the shop follows from it.
        image_size: side of the stored images, in pixels.
        sessions: sessions in the interactions log.
    """

    parents: int = MISSING
    seed: int = MISSING
    image_size: int = MISSING
    sessions: int = MISSING


@dataclass
class DataSettings:
    """Where items come from, how they are split, and how batches are drawn from them.

    Attributes:
        reader: `folder`, `hf` (a Hugging Face data set), `manifest`, `shop`, `webdataset` (tar shards), or one of the
            public sets `cars`, `cub`, `inshop`, `sop`; or the name of one that a package of `trust` registers.
        root: folder of the catalogue; image paths are relative to it. With `hf` also a data set's name on the hub.
        manifest: with `manifest`, the CSV or Parquet file, relative to `root`; with `hf`, a configuration, or empty;
            with `webdataset`, the shards.
        csv: how CSV files are written.
        columns: our column name -> the manifest's.
        splits: the manifest's split value -> ours (`train`, `val`, `test`, or `all` for images that belong to each).
        split_pairs: the same as a list of pairs, for values that Hydra does not take as keys of a command line
            (umlauts, commas, equals signs): `data.splits=[["Prüfung, neu",test]]` sets these.
        domains: the manifest's domain value -> ours (`catalogue`, `user`).
        domain_pairs: the same as a list of pairs.
        split_by: `given` (the catalogue's split column), `product` (whole products, each by a hash of its name),
            `count` (whole products, so many of them), `time` (items by when they were listed) or `file`.
        val_fraction: with `product`, the share of the products that is for validation; of public sets, the share of the
            training classes that is held out for it.
        test_fraction: with `product`, the share that is for the test.
        split_seed: with `product` and with `count` in random order, decides which products go where.
        split_file: with `file`, a CSV or Parquet file, relative to `root`: `image_id` or `item_id`, and `split`.
        count: with `count`, how many products go where.
        time: with `time`, when validation and test begin.
        leakage: what training does about training images that are, or look like, images of validation or test: `off`
            does not look for them, `report` warns and lists them, `remove` takes them out of training as well.
        p: items in a training batch.
        k: images of each of them.
        augmentation: `none`, `light` or `strong`.
        workers: processes that fetch batches; 0 fetches in the main one, best while the pixel cache fits in memory.
        cache: folder for decoded pixels, 3 x size x size bytes an image.
        shop: with reader `shop`, what to simulate.
    """

    reader: str = MISSING
    root: str = MISSING
    manifest: str = MISSING
    csv: CsvSettings = field(default_factory=CsvSettings)
    columns: dict[str, str] = MISSING
    splits: dict[str, str] = MISSING
    split_pairs: list[Any] = MISSING
    domains: dict[str, str] = MISSING
    domain_pairs: list[Any] = MISSING
    split_by: str = MISSING
    val_fraction: float = MISSING
    test_fraction: float = MISSING
    split_seed: int = MISSING
    split_file: str = MISSING
    count: CountSplitSettings = field(default_factory=CountSplitSettings)
    time: TimeSplitSettings = field(default_factory=TimeSplitSettings)
    leakage: str = MISSING
    p: int = MISSING
    k: int = MISSING
    augmentation: str = MISSING
    workers: int = MISSING
    cache: str = MISSING
    shop: ShopSettings = field(default_factory=ShopSettings)

    def split_names(self) -> dict[str, str]:
        """The manifest's split value -> ours, of both settings."""
        return self.splits | dict(map(_as_text, self.split_pairs))

    def domain_names(self) -> dict[str, str]:
        """The manifest's domain value -> ours, of both settings."""
        return self.domains | dict(map(_as_text, self.domain_pairs))


def _as_text(pair: Sequence[Any]) -> tuple[str, str]:
    theirs, ours = pair
    return str(theirs), str(ours)


def complete_data(
    overrides: DataSettings, trained_on: Mapping[str, Any] | None, *, trust: Sequence[str] = ()
) -> DataSettings:
    """Fill what `overrides` leaves out with what an encoder was trained on, and check the result.

    Args:
        overrides: as composed; `MISSING` where nothing was said.
        trained_on: the card's `data`, or None where there is no checkpoint.
        trust: packages that may register readers.

    Raises:
        ConfigError: values that are still missing, or that cannot work.
    """
    data: DataSettings = _completed(overrides, trained_on or {}, MADE_BEFORE if trained_on else {})
    absent = [name for name, value in asdict(data).items() if value == MISSING]
    if absent:
        raise ConfigError(f"`data.{absent[0]}` is not given; name the catalogue with data=NAME (see conf/data)")
    raise_all(data_problems(data, trust=trust))
    return data


def data_problems(data: DataSettings, *, trust: Sequence[str] = ()) -> list[str]:
    """What in complete data settings cannot work, a line each; readers that packages of `trust` register are not known
    yet.
    """
    problems = csv_problems(data.csv)
    if data.reader not in READERS and not trust:
        problems.append(f"`data.reader={data.reader}`: must be one of {', '.join(READERS)}")
    if data.split_by not in SPLIT_WAYS:
        problems.append(f"`data.split_by={data.split_by}`: must be one of {', '.join(SPLIT_WAYS)}")
    if data.split_by == "count":
        problems += count_problems(data.count)
    if data.split_by == "time":
        problems += time_problems(data.time)
    if data.split_by == "file" and not data.split_file:
        problems.append("`data.split_by=file`: name the file with `data.split_file=NAME`, relative to `data.root`")
    if data.leakage not in ("off", "report", "remove"):
        problems.append(f"`data.leakage={data.leakage}`: must be off, report or remove")
    for name in ("split_pairs", "domain_pairs"):
        problems += [
            f"`data.{name}`: {pair!r} is no pair; write [[THEIRS,OURS],[THEIRS,OURS]]"
            for pair in getattr(data, name)
            if not isinstance(pair, list | tuple) or len(pair) != 2 or any(isinstance(one, list | dict) for one in pair)
        ]
    total = data.val_fraction + data.test_fraction
    if not (data.val_fraction >= 0 and data.test_fraction >= 0 and total < 1):
        problems.append(
            f"`data.val_fraction={data.val_fraction}`, `data.test_fraction={data.test_fraction}`: neither may be "
            "negative, and their sum must be below 1"
        )
    if data.augmentation not in ("none", "light", "strong"):
        problems.append(f"`data.augmentation={data.augmentation}`: must be none, light or strong")
    if data.reader == "shop":
        problems += below(data.shop, "data.shop", {"parents": 20, "image_size": 32, "sessions": 0})
    return problems + below(data, "data", {"workers": 0})


def _completed(settings: Any, *fallbacks: Mapping[str, Any]) -> Any:
    """A copy in which what is missing has the value of the first fallback that has one."""
    values = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        given = [fallback[one.name] for fallback in fallbacks if one.name in fallback]
        if is_dataclass(value):
            value = _completed(value, *given)
        elif value == MISSING and given:
            value = given[0]
        values[one.name] = value
    return type(settings)(**values)
