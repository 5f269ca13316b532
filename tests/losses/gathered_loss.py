"""Steps of a small network in one of several processes, or in a single one that has all images."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pytorch_metric_learning.losses import ContrastiveLoss, ProxyAnchorLoss, TripletMarginLoss
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import OptimSettings
from src.datamodules.training_set import Batch, Facts
from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.objective import Objective
from src.miners.category_hard import CategoryHardMiner
from src.models.encoder import Encoder
from src.training.metric_learning import MetricLearning

STEPS, BATCH, DIM = 3, 16, 6

OBJECTIVES = {
    "pairs": lambda: Objective(TripletMarginLoss(margin=0.3)),
    "miner of facts": lambda: Objective(ContrastiveLoss(), miner=CategoryHardMiner()),
    "proxies": lambda: Objective(ProxyAnchorLoss(num_classes=4, embedding_size=DIM)),
    "memory": lambda: Objective(ContrastiveLoss(), memory=CrossBatchMemory(size=24, dim=DIM)),
}


def network() -> Encoder:
    """An image's embedding depends on that image alone."""
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(27, 12), nn.Tanh())
    return Encoder(backbone, nn.Linear(12, DIM), dim=DIM, spec=PreprocessingSpec(size=32))


class OneStep(nn.Module):
    """A forward pass as Lightning makes it: the training step stands inside of what synchronises gradients."""

    def __init__(self, module: MetricLearning) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> Tensor:
        return self.module.training_step(batch, 0)["loss"]


def images(step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    pixels = torch.rand(BATCH, 3, 3, 3, generator=generator) * 255
    items = torch.arange(BATCH) // 4
    numbers = torch.randint(0, 40, (BATCH,), generator=generator)
    return Batch(pixels, Facts(items, numbers, items, items // 2, torch.zeros_like(items)))


def gradients(kind: str, *, rank: int = 0, world: int = 1, chunk: int = 0) -> list[dict[str, Tensor]]:
    """The gradient of every weight in every step; the weights move in between."""
    torch.manual_seed(0)
    settings = asdict(OptimSettings())
    module = MetricLearning(network(), objective=OBJECTIVES[kind](), card={}, chunk=chunk, **settings)
    module.log = lambda *_, **__: None
    step: Any = OneStep(module)
    if world > 1:
        step = DistributedDataParallel(step)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    found = []
    for number in range(STEPS):
        whole = images(number)
        share = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
        batch = Batch(whole.pixels[share], Facts(*(column[share] for column in whole.facts)))
        optimizer.zero_grad()
        step(batch).backward()
        found.append({name: parameter.grad.clone() for name, parameter in module.named_parameters()})
        optimizer.step()
    return found


def in_process(rank: int, world: int, folder: Path, chunk: int) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    found = {kind: gradients(kind, rank=rank, world=world, chunk=chunk) for kind in OBJECTIVES}
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()
