"""Training: parameter groups, checkpoints, and a loss that falls."""

import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from pytorch_metric_learning.losses import ProxyAnchorLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch.utils.data import DataLoader

from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings, TrainerSettings, TrainSettings
from src.datamodules.training_set import Batch, Facts
from src.losses.objective import Objective
from src.models.checkpoint import CARD, load_encoder, make_card, method_of
from src.models.encoder import build_encoder
from src.training.metric_learning import MetricLearning
from src.training.schedules import one_cycle
from src.training.trainer import BEST, build_trainer, fit

MODEL = EncoderSettings(
    backbone="resnet10t",
    pretrained=False,
    backbone_kwargs={"channels": [8, 8, 16, 16]},
    hidden_dim=16,
    embedding_dim=8,
)
SPEC = PreprocessingSpec(size=32, resize="squash")


def make_module(card: dict | None = None, *, loss: torch.nn.Module | None = None, **changes: object) -> MetricLearning:
    return MetricLearning(
        build_encoder(spec=SPEC, **asdict(MODEL)),
        objective=Objective(loss) if loss else Objective(TripletMarginLoss(margin=0.1), miner=BatchHardMiner()),
        lr=2e-2,
        backbone_lr=1e-2,
        proxy_lr=5e-2,
        weight_decay=0.05,
        card=card or {},
        **{"scheduler": partial(one_cycle, warmup=0.2), **changes},  # type: ignore[arg-type]
    )


@pytest.fixture
def card(data_settings) -> dict:
    settings = TrainSettings(
        name="test",
        seed=3,
        data=data_settings(root="somewhere"),
        preprocessing=SPEC,
        model=EncoderSettings(**{**asdict(MODEL), "pretrained": True, "weights": "/secret/place.safetensors"}),
        loss={"_target_": "pytorch_metric_learning.losses.TripletMarginLoss", "margin": 0.1},
        miner={},
        trainer=TrainerSettings(epochs=1),
    )
    return make_card(settings)


class ScoreByLoss(lightning.Callback):
    """Logs what the trainer's callbacks wait for."""

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        pl_module.log("val/recall@1", 0.1 * trainer.current_epoch)


class Colours(lightning.LightningDataModule):
    """Two items that differ by colour."""

    def __init__(self) -> None:
        super().__init__()
        images = np.random.default_rng(0).integers(0, 60, (8, 32, 32, 3), dtype=np.uint8)
        images[:4, ..., 0] += 150
        items, unknown = torch.tensor([0] * 4 + [1] * 4), torch.full((8,), -1)
        self.batch = Batch(torch.from_numpy(images), Facts(items, torch.arange(8), items, unknown, unknown))

    def train_dataloader(self) -> DataLoader:
        return DataLoader([self.batch] * 10, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader([self.batch.pixels] * 10, batch_size=None)


def make_trainer(folder: Path, more: Sequence[lightning.Callback] = (), **changes: object) -> lightning.Trainer:
    settings = asdict(TrainerSettings(epochs=2, accelerator="cpu"))
    for name in ("eval_batch", "resume", "chunk", "compile", "overfit", "lightning"):
        settings.pop(name)
    loggers = [CSVLogger(folder, name="log", version="")]
    return build_trainer(folder=folder, loggers=loggers, callbacks=[ScoreByLoss(), *more], **{**settings, **changes})


def test_backbone_and_head_have_their_rates_and_vectors_no_decay() -> None:
    module = make_module(loss=ProxyAnchorLoss(num_classes=5, embedding_size=8))
    groups = module._parameter_groups()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    seen = []
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.append(name)
            rates = {"encoder.backbone": 1e-2, "encoder.head": 2e-2, "objective.loss": 5e-2}
            assert group["lr"] == rates[".".join(name.split(".")[:2])], name
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0), name
    # A loss's own weights are trained, too, at their own rate.
    assert sorted(seen) == sorted(names.values())
    assert "objective.loss.proxies" in seen
    assert len(groups) == 5


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_separates_two_items_and_keeps_the_best_checkpoint(tmp_path: Path, card: dict, precision: str) -> None:
    lightning.seed_everything(0, verbose=False)
    module = make_module(card)
    trainer = make_trainer(tmp_path, precision=precision)
    best = fit(trainer, module, Colours(), epochs=2)
    assert best == tmp_path / BEST
    assert not torch.utils.deterministic.fill_uninitialized_memory
    assert float(trainer.callback_metrics["train/loss"]) < 0.02
    assert torch.load(best, weights_only=True)["epoch"] == 1
    encoder, spec, loaded = load_encoder(best)
    assert (spec, loaded) == (SPEC, card)
    assert not encoder.training
    pixels, facts = Colours().batch
    with torch.no_grad():
        vectors = encoder(pixels)
        torch.testing.assert_close(vectors, module.encoder.eval()(pixels))
    same = (facts.items[:, None] == facts.items).float()
    cosine = vectors @ vectors.T
    assert cosine[same == 1].min() > cosine[same == 0].max()


def test_the_learning_rate_warms_up_and_decays_to_nothing(tmp_path: Path) -> None:
    rates = []

    class Watch(lightning.Callback):
        def on_train_batch_start(self, trainer: lightning.Trainer, *_: object) -> None:
            rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    trainer = make_trainer(tmp_path)
    trainer.callbacks.append(Watch())
    fit(trainer, make_module(), Colours(), epochs=2)
    peaks = np.array(rates)
    assert peaks.shape[0] == 20
    assert set(peaks.max(axis=0).round(6)) == {0.01, 0.02}
    top = int(peaks[:, 0].argmax())
    # A fifth of the steps warms up.
    assert 3 <= top <= 4
    assert (np.diff(peaks[: top + 1, 0]) > 0).all()
    assert (np.diff(peaks[top:, 0]) < 0).all()
    assert peaks[-1].max() < 0.0005


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.2), (2, 0.0), (3, 0.2), (10, 0.9)])
def test_few_steps_have_a_schedule_as_well(steps: int, warmup: float) -> None:
    module = make_module(scheduler=partial(one_cycle, warmup=warmup))
    module._trainer = SimpleNamespace(estimated_stepping_batches=steps, check_val_every_n_epoch=1)  # type: ignore[assignment]
    made = module.configure_optimizers()
    rates = []
    for _ in range(steps):
        rates.append(made["optimizer"].param_groups[-1]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    assert all(0 < rate <= 2e-2 for rate in rates)
    assert steps == 1 or max(rates) == pytest.approx(2e-2)


def test_no_epochs_save_the_encoder_as_it_is(tmp_path: Path, card: dict) -> None:
    lightning.seed_everything(0, verbose=False)
    module = make_module(card)
    before = {name: value.clone() for name, value in module.encoder.state_dict().items()}
    path = fit(make_trainer(tmp_path, epochs=0), module, Colours(), epochs=0)
    encoder, _, loaded = load_encoder(path)
    assert loaded == card
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)


def test_training_without_a_validation_says_so(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"lower `trainer\.validate_every`"):
        fit(make_trainer(tmp_path, epochs=1, validate_every=3), make_module(), Colours(), epochs=1)


def test_a_checkpoint_holds_no_import_path_and_no_place_of_ours(tmp_path: Path, card: dict) -> None:
    path = fit(make_trainer(tmp_path, epochs=0), make_module(card), Colours(), epochs=0)
    with zipfile.ZipFile(path) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    assert b"src." not in content
    assert b"src\n" not in content
    assert b"/secret/place" not in content
    # What was given for the loss is there, by its bare name.
    assert card["loss"] == {"name": "TripletMarginLoss", "margin": 0.1}
    assert card["miner"] == {}
    assert card["model"]["pretrained"] is False
    assert math.isclose(card["data"]["val_fraction"], 0.3)


def test_a_method_is_all_but_the_seed_and_the_machine(card: dict) -> None:
    method = method_of(card)
    same = [
        {"seed": 4},
        {"name": "other"},
        {"data": {**card["data"], "cache": "elsewhere", "workers": 3}},
        {"trainer": {**card["trainer"], "accelerator": "gpu", "eval_batch": 1}},
    ]
    assert {method_of({**card, **change}) for change in same} == {method}
    others = [
        {"loss": {**card["loss"], "margin": 0.2}},
        {"miner": {"name": "BatchHardMiner"}},
        {"objective": {**card["objective"], "pairs": "cross_domain"}},
        {"optim": {**card["optim"], "lr": 0.5}},
        {"trainer": {**card["trainer"], "epochs": 2}},
        {"start": {"pretrained": False, "weights": None}},
        {"data": {**card["data"], "k": 3}},
        {"model": {**card["model"], "embedding_dim": 3}},
        {"preprocessing": {**card["preprocessing"], "size": 64}},
    ]
    assert len({method, *(method_of({**card, **change}) for change in others)}) == 10
    # A card of a time when it held less names a method as well.
    assert method_of({name: value for name, value in card.items() if name not in ("optim", "trainer")}) != method


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


def test_foreign_checkpoints_are_refused_and_run_no_code(tmp_path: Path, card: dict) -> None:
    path = tmp_path / "x.ckpt"
    with pytest.raises(LookalikeError, match=r"no such file; train\.py writes DIR/checkpoints/best\.ckpt"):
        load_encoder(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(LookalikeError, match="not a readable checkpoint"):
        load_encoder(path)
    torch.save({"state_dict": {}, "evil": Payload(tmp_path / "ran")}, path)
    with pytest.raises(LookalikeError, match="not a readable checkpoint"):
        load_encoder(path)
    assert not (tmp_path / "ran").exists()
    for foreign in ({"state_dict": {}}, [1, 2], {CARD: {"format": 99}, "state_dict": {}}, {CARD: "text"}):
        torch.save(foreign, path)
        with pytest.raises(LookalikeError, match="it has no card of format 1"):
            load_encoder(path)
    altered = {**card, "preprocessing": {**card["preprocessing"], "size": 64}}
    torch.save({CARD: altered, "state_dict": {}}, path)
    with pytest.raises(LookalikeError, match="its fields hash to"):
        load_encoder(path)


def test_a_checkpoint_whose_weights_do_not_fit_its_card_is_refused(tmp_path: Path, card: dict) -> None:
    torch.save({CARD: card, "state_dict": {"encoder.nothing": torch.zeros(1)}}, tmp_path / "x.ckpt")
    with pytest.raises(LookalikeError, match=r"x\.ckpt"):
        load_encoder(tmp_path / "x.ckpt")
