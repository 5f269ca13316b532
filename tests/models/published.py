"""A checkpoint of a small network, as train.py writes it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import DataSettings, EncoderSettings, TrainSettings
from src.models.checkpoint import CARD, make_card
from src.models.encoder import Encoder, build_encoder

SPEC = PreprocessingSpec(size=32, resize="squash", mean=(0.4, 0.5, 0.6), interpolation="bilinear")
RESNET = EncoderSettings(
    backbone="resnet10t",
    pretrained=False,
    backbone_kwargs={"channels": [8, 8, 16, 16]},
    hidden_dim=16,
    embedding_dim=8,
)


def write_checkpoint(path: Path, data: DataSettings, model: EncoderSettings = RESNET, **changes: Any) -> Encoder:
    """Write random weights; returns their encoder, in evaluation mode."""
    values = {"name": "first", "seed": 5, "loss": {"_target_": "pytorch_metric_learning.losses.TripletMarginLoss"}}
    settings = TrainSettings(**{**values, "data": data, "preprocessing": SPEC, "model": model, **changes})
    torch.manual_seed(1)
    encoder = build_encoder(spec=settings.preprocessing, **asdict(model))
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({CARD: make_card(settings), "state_dict": state}, path)
    return encoder.eval()
