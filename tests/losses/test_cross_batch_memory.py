"""The memory is the last images that were put in, from when it may be used, and survives a restart."""

import torch

from src.datamodules.training_set import Facts
from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.info_nce import InfoNCE
from src.losses.objective import Objective
from tests.losses.batches import embeddings, facts


def batch(step: int, count: int) -> tuple[torch.Tensor, Facts]:
    images = list(range(100 * step, 100 * step + count))
    return embeddings(count, seed=step).detach(), facts([n % 3 for n in images], images=images)


def remembered(memory: CrossBatchMemory) -> dict[int, list[float]]:
    """The usable embeddings, by the number of the image."""
    vectors, known, usable = memory.read()
    return {
        int(image): vector.tolist() for image, vector, use in zip(known.images, vectors, usable, strict=True) if use
    }


def test_it_holds_the_last_images_whatever_the_batches() -> None:
    memory, everything = CrossBatchMemory(size=10, dim=6), {}
    assert remembered(memory) == {}
    for step, count in enumerate([4, 4, 4, 1, 10, 3, 25, 2]):
        vectors, known = batch(step, count)
        memory.put(vectors, known)
        everything |= dict(zip(known.images.tolist(), vectors.tolist(), strict=True))
        last = list(everything)[-10:]
        assert remembered(memory) == {image: everything[image] for image in last}
        for image, item in zip(memory.read().facts.images.tolist(), memory.read().facts.items.tolist(), strict=True):
            assert item == (image % 3 if image >= 0 else -1)


def test_it_is_filled_before_it_may_be_used() -> None:
    memory = CrossBatchMemory(size=10, dim=6, start=2)
    for step in range(2):
        assert remembered(memory) == {}
        memory.put(*batch(step, 4))
    assert len(remembered(memory)) == 8


def test_a_resumed_run_goes_on_with_the_same_memory() -> None:
    def run(objective: Objective, steps: range) -> list[float]:
        return [float(objective(*batch(step, 6))) for step in steps]

    def made() -> Objective:
        return Objective(InfoNCE(), memory=CrossBatchMemory(size=16, dim=6, start=1))

    whole = run(made(), range(6))
    first, second = made(), made()
    values = run(first, range(3))
    second.load_state_dict(first.state_dict())
    assert values + run(second, range(3, 6)) == whole
    assert made().state_dict().keys() == {f"memory.{name}" for name in ("embeddings", "facts", "seen", "steps")}
    assert list(made().parameters()) == []


def test_only_training_is_remembered() -> None:
    objective = Objective(InfoNCE(), memory=CrossBatchMemory(size=16, dim=6)).eval()
    objective(*batch(0, 6))
    assert remembered(objective.memory) == {}
