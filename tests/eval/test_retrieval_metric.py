"""Our torchmetrics give evaluate.py's numbers, however the images come."""

import doctest
import multiprocessing
import pickle
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection

from src.contracts.errors import ConfigError, LookalikeError
from src.eval import retrieval_metric
from src.eval.evaluation import evaluate_embedded
from src.eval.protocol import Protocol
from src.eval.retrieval_metric import NDCG, MeanAveragePrecision, RecallAtK, RetrievalMetric, RetrievalMetrics
from tests.eval.retrieval_images import COLUMNS, COUNT, NAMES, SHARES, Images, measure_in_process, updated, validated
from tests.eval.slow_reference import graded_ndcg, results_of

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.eval.retrieval_images"])

OPTIONS = [
    {},
    {"level": "image"},
    {"aggregate": "mean", "gain": "linear"},
    {"exclude": "session"},
    {"grades": {"item_id": 9, "category": 4}},
]


def protocol(options: dict) -> Protocol:
    ks = {"recall": (1, 5), "precision": (5,), "map": (10,), "ndcg": (10,), "graded_ndcg": (10,)}
    return Protocol(metrics=ks, **options)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_they_are_evaluation_s_numbers_to_the_last_digit(options: dict, seed: int) -> None:
    images = Images(seed)
    expected = evaluate_embedded(*images.sides(), protocol(options)).metrics
    found = updated(RetrievalMetrics(NAMES, **options), images).compute()
    assert list(found) == NAMES
    assert {name: value.item() for name, value in found.items()} == {name: expected[name] for name in NAMES}
    assert expected["queries_without_positives"] > 0
    # Neither the order of the images nor the batches change a digit.
    mixed = np.random.default_rng(9).permutation(COUNT)
    again = updated(RetrievalMetrics(NAMES, **options), images, batch=7, order=mixed).compute()
    assert {name: value.item() for name, value in again.items()} == {name: expected[name] for name in NAMES}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_they_agree_with_lists_sorted_by_hand(options: dict) -> None:
    images, wanted = Images(3), protocol(options)
    queries, gallery = images.sides()
    of_query = []
    for query in range(len(queries)):
        results = results_of(query, queries, gallery, wanted)
        hits = np.array([result.hit for result in results])
        if not hits.any():
            continue
        places, ideal = np.flatnonzero(hits) + 1, hits.sum()
        gains = 1 / np.log2(1 + np.arange(1, len(hits) + 1))
        of_query.append(
            {
                "recall@1": float(places[0] <= 1),
                "map@10": sum((n + 1) / place for n, place in enumerate(places) if place <= 10) / min(ideal, 10),
                "ndcg@10": gains[places[places <= 10] - 1].sum() / gains[: min(ideal, 10)].sum(),
                "graded_ndcg@10": graded_ndcg([result.grade for result in results], 10, wanted.gain),
                "mrr": 1 / places[0],
            }
        )
    found = updated(RetrievalMetrics(NAMES, **options), images).compute()
    assert found["queries"] == len(of_query)
    for name in of_query[0]:
        assert found[name].item() == pytest.approx(np.mean([each[name] for each in of_query]), abs=1e-12), name


def test_scalars_are_the_dictionary_s_values() -> None:
    images = Images()
    found = updated(RetrievalMetrics(NAMES), images).compute()
    scalars = {
        "recall@5": RecallAtK(5),
        "map@10": MeanAveragePrecision(10),
        "map@r": MeanAveragePrecision(),
        "ndcg@10": NDCG(),
        "graded_ndcg@10": NDCG(10, graded=True),
        "mrr": RetrievalMetric("mrr"),
    }
    for name, metric in scalars.items():
        assert updated(metric, images).compute() == found[name], name
        assert metric.higher_is_better is True


def test_the_worst_slice_is_the_lowest_average_of_slices_that_are_large_enough() -> None:
    images = Images(5, 200)
    slices = torch.arange(200) % 5 - 1
    slices[slices == 3] = torch.where(images.is_query[slices == 3] & (images.ids[slices == 3] < 20), 3, -1)
    metric = RetrievalMetric("mrr", worst_of="season", fewest_items=4)
    metric.update(**images.batch(slice(None)), slices={"season": slices})
    table = evaluate_embedded(*images.sides(), protocol({})).per_query
    values, items = table["mrr"].to_numpy(), table["item_id"].to_numpy()
    season, known = slices[images.is_query].numpy(), ~np.isnan(table["mrr"].to_numpy())
    sizes = [len(set(items[(season == each) & known])) for each in range(4)]
    means = [values[(season == each) & known].mean() for each in range(4)]
    assert sizes[3] < 4 <= min(sizes[:3])
    assert metric.compute().item() == min(means[:3])
    large = RetrievalMetric("mrr", worst_of="season", fewest_items=99)
    large.update(**images.batch(slice(None)), slices={"season": slices})
    with pytest.raises(LookalikeError, match="`worst_of=season`: none of 4 slices has queries of `fewest_items=99`"):
        large.compute()


def test_ids_are_integers_or_words() -> None:
    images = Images()
    # An item's value of a column is its first image's, and words come in the order of their hashes.
    images.columns = dict.fromkeys(COLUMNS, images.items % 4 - 1)
    numbers, words = RetrievalMetrics(NAMES), RetrievalMetrics(NAMES)
    updated(numbers, images)
    given = images.batch(slice(None))
    for name in ("item_ids", "image_ids"):
        given[name] = [f"{name} {code}" for code in given[name].tolist()]
    given["columns"] = {
        n: [None if c < 0 else f"é{c}" for c in codes.tolist()] for n, codes in given["columns"].items()
    }
    words.update(**given)
    for name, value in numbers.compute().items():
        # A sum in another order may differ in its last bit.
        assert words.compute()[name].item() == pytest.approx(value.item(), abs=1e-15), name


def test_an_image_counts_once_in_all_its_roles() -> None:
    images = Images()
    both = updated(RetrievalMetrics(NAMES), images).compute()
    metric = RetrievalMetrics(NAMES)
    nobody = torch.zeros(COUNT, dtype=torch.bool)
    # A loader of queries, then one of the gallery; and a sampler that begins again to fill its last batch.
    metric.update(**{**images.batch(slice(None)), "is_gallery": nobody})
    metric.update(**{**images.batch(slice(None)), "is_query": nobody})
    metric.update(**{**images.batch([0, 1, 2]), "vectors": torch.ones(3, 4)})
    assert metric.compute() == both
    metric.update(**{**images.batch([4]), "item_ids": torch.tensor([77])})
    with pytest.raises(LookalikeError, match=r"image 4 came with the items .* and 77: image_ids must be unique"):
        metric.compute()


def test_forward_measures_the_batch_alone_and_keeps_it() -> None:
    images = Images()
    metric, one = RetrievalMetrics(NAMES), RetrievalMetrics(NAMES)
    first = metric(**images.batch(slice(0, 30)))
    one.update(**images.batch(slice(0, 30)))
    assert first == one.compute()
    lonely = images.batch([30])
    assert all(torch.isnan(value) for value in metric(**lonely).values())
    assert torch.isnan(RecallAtK()(**{**lonely, "is_query": torch.tensor([False])}))
    metric(**images.batch(slice(31, COUNT)))
    assert metric.compute() == updated(RetrievalMetrics(NAMES), images).compute()


def test_reset_pickle_clone_and_merge_keep_what_they_should() -> None:
    images = Images()
    expected = updated(RetrievalMetrics(NAMES), images).compute()
    half = updated(RetrievalMetrics(NAMES), images, order=np.arange(30))
    copies = [half.clone(), pickle.loads(pickle.dumps(half))]
    rest = updated(RetrievalMetrics(NAMES), images, order=np.arange(30, COUNT))
    for copy in copies:
        updated(copy, images, order=np.arange(30, COUNT))
        assert copy.compute() == expected
    half.merge_state(rest)
    assert half.compute() == expected
    half.reset()
    with (
        pytest.warns(UserWarning, match="before the ``update`` method"),
        pytest.raises(LookalikeError, match=r"no images: call `update` .* before `compute`"),
    ):
        half.compute()
    updated(half, images)
    assert half.compute() == expected


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_embeddings_of_any_precision_are_ranked_in_float32(kind: torch.dtype) -> None:
    images = Images()
    images.vectors = images.vectors.to(kind)
    metric = updated(RetrievalMetrics(NAMES).set_dtype(torch.float16).half(), images)
    images.vectors = images.vectors.float()
    assert metric.compute() == updated(RetrievalMetrics(NAMES), images).compute()
    assert metric.item_ids[0].dtype == torch.int64


def test_states_move_with_the_module_and_need_not_be_saved() -> None:
    metric = updated(RetrievalMetrics(NAMES), Images())
    assert metric.state_dict() == {}
    torch.nn.ModuleList([metric]).to("meta")
    assert {each.device.type for each in [*metric.vectors, *metric.image_ids, *metric.column_category]} == {"meta"}
    assert metric.device.type == "meta"


def test_a_collection_shares_states_of_metrics_that_need_the_same() -> None:
    images = Images()
    given = images.batch(slice(None))
    scalars = {"one": RecallAtK(1), "map": MeanAveragePrecision(), "graded": NDCG(graded=True)}
    collection = MetricCollection({**scalars, "dictionary": RetrievalMetrics(["mrr", "recall@5"])}, prefix="val/")
    worst = {name: RetrievalMetric("mrr", worst_of=name, fewest_items=1) for name in ("brand", "season")}
    slices = {"brand": torch.full((COUNT,), -1), "season": torch.full((COUNT,), -1)}
    both = MetricCollection(worst)
    both.update(**images.batch(slice(0, 20)), slices={name: codes[:20] for name, codes in slices.items()})
    slices["brand"][20:], slices["season"][20:] = 0, torch.arange(COUNT - 20) % 3
    both.update(**images.batch(slice(20, COUNT)), slices={name: codes[20:] for name, codes in slices.items()})
    # Equal in the first batch, and different later.
    assert both.compute()["brand"] != both.compute()["season"]
    collection.update(**given)
    collection.update(**images.batch([0]))
    assert len(collection.compute_groups) == 2
    expected = updated(RetrievalMetrics(NAMES), images).compute()
    found = collection.compute()
    assert found == {
        "val/one": expected["recall@1"],
        "val/map": expected["map@r"],
        "val/graded": expected["graded_ndcg@10"],
        "val/mrr": expected["mrr"],
        "val/recall@5": expected["recall@5"],
    }


BAD_OPTIONS = [
    ({"names": ["recal@1"]}, "`recal@1`: no such metric; name one of recall@K, "),
    ({"names": ["recall@0"]}, "`recall@0`: no such metric"),
    ({"names": []}, r"`names=\[\]`: name at least one"),
    ({"level": "items"}, "`level=items`: must be item or image"),
    ({"aggregate": "mean", "level": "image"}, "`aggregate=mean`: neither with"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=str)
def test_options_that_cannot_work_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RetrievalMetrics(**options)


BAD_BATCHES = [
    ({"item_ids": torch.zeros(3, dtype=torch.int64)}, r"vectors of shape \(60, 4\): .*item_ids 3"),
    ({"vectors": torch.zeros(60)}, r"vectors of shape \(60,\)"),
    ({"item_ids": torch.zeros(60)}, r"ids of torch\.float32 .*: must be integers"),
    ({"columns": {}}, "`columns`: RetrievalMetrics needs category, parent_id; give update"),
    ({"vectors": torch.full((60, 4), float("nan"))}, "hold NaN or infinity or are all zero"),
    ({"is_query": torch.zeros(60, dtype=torch.bool)}, "0 queries and"),
    ({"item_ids": torch.arange(60)}, "none of .* queries has a positive"),
]


@pytest.mark.parametrize(("change", "message"), BAD_BATCHES, ids=[message for _, message in BAD_BATCHES])
def test_what_cannot_be_measured_is_refused(change: dict, message: str) -> None:
    images = Images().batch(slice(None))

    def measure() -> None:
        metric = RetrievalMetrics(NAMES)
        metric.update(**{**images, **change})
        metric.compute()

    with pytest.raises(LookalikeError, match=message):
        measure()


def test_another_dimension_is_refused() -> None:
    metric, images = RecallAtK(), Images()
    metric.update(**images.batch(slice(0, 9)))
    with pytest.raises(LookalikeError, match="dimension 3 after some of 4"):
        metric.update(**{**images.batch(slice(9, 18)), "vectors": torch.ones(9, 3)})


def test_the_examples_run() -> None:
    failed, tried = doctest.testmod(retrieval_metric)
    assert (failed, tried) == (0, 11)


def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    started = [PROCESSES.Process(target=measure_in_process, args=(rank, tmp_path)) for rank in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    expected = updated(RetrievalMetrics(NAMES), Images()).compute()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, shares in SHARES.items():
            assert found[name] == expected, (rank, name)
            assert found[f"{name}, kept"]["images"] == len(shares[rank])
            assert found[f"{name}, collection"] == {
                "RecallAtK": expected["recall@1"],
                "MeanAveragePrecision": expected["map@10"],
            }
        # The callback counts the image that both processes embed once.
        logged = {name: value.item() for name, value in found["validated"].items()}
        assert logged["val/seen"] == COUNT - 1
        assert logged == {name: np.float32(value) for name, value in validated(0, 1).items()}
        assert "vectors of dimensions [3, 4] in different processes" in next(iter(found["torn"]))


class Somebody(lightning.LightningModule):
    """A training loop that knows nothing of ours but the metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4, bias=False)
        torch.nn.init.eye_(self.layer.weight)
        self.recall = RecallAtK(1)
        self.others = MetricCollection({"map@r": MeanAveragePrecision(), "ndcg@10": NDCG()}, prefix="val/")

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        vectors, *ids = batch
        self.recall.update(self.layer(vectors), *ids)
        self.others.update(self.layer(vectors), *ids)
        self.log("val/recall@1", self.recall)
        self.log_dict(self.others)


def test_they_are_logged_in_anybody_s_module() -> None:
    images = Images()
    expected = RetrievalMetrics(["recall@1", "map@r", "ndcg@10"])
    expected.update(images.vectors, images.items, images.ids)
    loader = DataLoader(TensorDataset(images.vectors, images.items, images.ids), batch_size=13)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, barebones=False
    )
    module = Somebody()
    for _ in range(2):
        # Lightning resets the metrics after each epoch.
        found = trainer.validate(module, loader, verbose=False)[0]
        assert found == {f"val/{name}": value.item() for name, value in expected.compute().items()}
