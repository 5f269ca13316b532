"""The Lightning module: encoder, objective, optimiser."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from src.datamodules.training_set import Batch
from src.losses.gather import gather_batch
from src.models.checkpoint import CARD
from src.models.chunked_embedding import embed_in_chunks
from src.models.encoder import Encoder
from src.models.freezing import Freezing
from src.models.parameter_groups import parameter_groups
from src.models.start_penalty import StartPenalty
from src.models.step_diagnostics import StepDiagnostics, triplet_margin
from src.models.weight_averaging import MovingAverage

__all__ = ["MetricLearning"]


class MetricLearning(lightning.LightningModule):
    """Trains an encoder towards an objective: a module of a batch's embeddings and facts, such as `Objective`."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        objective: nn.Module,
        lr: float,
        backbone_lr: float,
        proxy_lr: float,
        weight_decay: float,
        warmup: float,
        layer_decay: float = 1.0,
        freeze: int = 0,
        unfreeze: Mapping[int, int] | None = None,
        freeze_norm: bool = False,
        ema: float = 0.0,
        l2_sp: float = 0.0,
        relations: float = 0.0,
        interpolate: Sequence[float] = (),
        chunk: int = 0,
        card: dict[str, Any],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective
        self._lr, self._backbone_lr, self._proxy_lr = lr, backbone_lr, proxy_lr
        self._weight_decay, self._warmup, self._layer_decay = weight_decay, warmup, layer_decay
        self._callbacks: list[lightning.Callback] = [Freezing(stages=freeze, unfreeze=unfreeze, norms=freeze_norm)]
        self._callbacks.append(StepDiagnostics(margin=triplet_margin(objective)))
        if ema:
            self._callbacks.append(MovingAverage(ema))
        self._start_penalty = StartPenalty(encoder, l2_sp=l2_sp, relations=relations)
        self.interpolate = interpolate
        self._card = card
        self._chunk = chunk
        self.gradient_norm: Tensor | None = None
        # An objective's buffers are equal in all processes and need no broadcast in each step.
        self._ddp_params_and_buffers_to_ignore = [f"objective.{name}" for name, _ in objective.named_buffers()]

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss of the batch of all processes; and this process's embeddings, for callbacks."""
        embeddings = embed_in_chunks(self.encoder, batch.pixels, chunk=self._chunk)
        loss: Tensor = self.objective(*gather_batch(embeddings, batch.facts))
        terms = self._start_penalty(batch.pixels, embeddings)
        loss = loss + sum(terms.values())
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.pixels))
        for name, value in (getattr(self.objective, "parts", {}) | terms).items():
            self.log(f"train/loss/{name}", value, batch_size=len(batch.pixels))
        return {"loss": loss, "embeddings": embeddings.detach()}

    def validation_step(self, pixels: Tensor, batch_idx: int) -> Tensor:
        """Embed a batch; a callback computes the metrics of all batches."""
        embeddings: Tensor = self.encoder(pixels)
        return embeddings

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rates rise and fall along half cosines, step by step (one cycle; Smith, Topin, 2018)."""
        optimizer = torch.optim.AdamW(self._parameter_groups())
        steps = int(self.trainer.estimated_stepping_batches)
        # OneCycleLR divides by the number of warm-up steps minus one.
        warm = max(2, round(self._warmup * steps))
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=max(steps, warm + 1),
            pct_start=warm / max(steps, warm + 1),
            cycle_momentum=False,
            div_factor=100.0,
            final_div_factor=1e4,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_callbacks(self) -> list[lightning.Callback]:
        """Callbacks that freeze, average and diagnose the encoder."""
        return self._callbacks

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by the norm over all weights, and store the norm, so that callbacks need not compute it again."""
        limit = gradient_clip_val if gradient_clip_val is not None else float("inf")
        self.gradient_norm = nn.utils.clip_grad_norm_(self.parameters(), limit, foreach=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the card, from which `load_encoder` builds the encoder."""
        checkpoint[CARD] = self._card

    def _parameter_groups(self) -> list[dict[str, Any]]:
        return parameter_groups(
            self.encoder,
            self.objective,
            lr=self._lr,
            backbone_lr=self._backbone_lr,
            proxy_lr=self._proxy_lr,
            weight_decay=self._weight_decay,
            layer_decay=self._layer_decay,
        )
