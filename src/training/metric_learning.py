"""The Lightning module: encoder, objective, optimiser, schedule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from src.datamodules.training_set import Batch
from src.losses.gather import gather_batch
from src.models.checkpoint import CARD
from src.models.encoder import Encoder
from src.training.chunked_embedding import embed_in_chunks
from src.training.freezing import Freezing
from src.training.monitor import MONITOR, Monitor
from src.training.parameter_groups import parameter_groups
from src.training.schedules import lightning_schedule, one_cycle
from src.training.start_penalty import StartPenalty
from src.training.step_diagnostics import StepDiagnostics, triplet_margin
from src.training.weight_averaging import MovingAverage

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
        layer_decay: float = 1.0,
        freeze: int = 0,
        unfreeze: Mapping[int, int] | None = None,
        freeze_norm: bool = False,
        ema: float = 0.0,
        l2_sp: float = 0.0,
        relations: float = 0.0,
        interpolate: Sequence[float] = (),
        optimizer: Callable[[list[dict[str, Any]]], Optimizer] = torch.optim.AdamW,
        scheduler: Callable[..., LRScheduler | ReduceLROnPlateau] = one_cycle,
        monitor: Monitor = MONITOR,
        chunk: int = 0,
        card: dict[str, Any],
    ) -> None:
        """Set what is trained and how.

        Args:
            encoder: the encoder.
            objective: gives the loss of a batch's embeddings and facts.
            lr: see `OptimSettings`, as all that follow up to `interpolate`.
            backbone_lr: see there.
            proxy_lr: see there.
            weight_decay: see there.
            layer_decay: see there.
            freeze: see there.
            unfreeze: see there.
            freeze_norm: see there.
            ema: see there.
            l2_sp: see there.
            relations: see there.
            interpolate: see there.
            optimizer: builds the optimiser of parameter groups, each with `params`, `lr`, `weight_decay`, `name`.
            scheduler: builds the schedule of that optimiser; see `lightning_schedule`.
            monitor: what steps a schedule that waits for a plateau.
            chunk: see `TrainerSettings`.
            card: stored in each checkpoint; see `make_card`.
        """
        super().__init__()
        self.encoder = encoder
        self.objective = objective
        self._lr, self._backbone_lr, self._proxy_lr = lr, backbone_lr, proxy_lr
        self._weight_decay, self._layer_decay = weight_decay, layer_decay
        self._optimizer, self._scheduler = optimizer, scheduler
        self._callbacks: list[lightning.Callback] = [Freezing(stages=freeze, unfreeze=unfreeze, norms=freeze_norm)]
        self._callbacks.append(StepDiagnostics(margin=triplet_margin(objective)))
        if ema:
            self._callbacks.append(MovingAverage(ema))
        self._start_penalty = StartPenalty(encoder, l2_sp=l2_sp, relations=relations)
        self.interpolate = interpolate
        self.monitor = monitor
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
        """The optimiser of the parameter groups, and its schedule."""
        optimizer = self._optimizer(self._parameter_groups())
        schedule = lightning_schedule(
            self._scheduler,
            optimizer,
            total_steps=int(self.trainer.estimated_stepping_batches),
            monitor=self.monitor,
            validate_every=self.trainer.check_val_every_n_epoch or 1,
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

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
