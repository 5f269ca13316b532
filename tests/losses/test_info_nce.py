"""InfoNCE against the library's, which is the same in more memory."""

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from src.losses.info_nce import InfoNCE
from tests.losses.batches import CONSTANT, FACTS, embeddings


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("batch", FACTS)
def test_value_and_gradient_are_the_library_s(batch: str, temperature: float) -> None:
    items = FACTS[batch].items
    ours, theirs = embeddings(12), embeddings(12)
    value, expected = InfoNCE(temperature)(ours, items), NTXentLoss(temperature)(theirs, items)
    torch.testing.assert_close(value, expected)
    value.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_similarities_far_apart_stay_finite() -> None:
    ours = torch.cat([CONSTANT[:6], -CONSTANT[:6]]).requires_grad_()
    value = InfoNCE(temperature=1e-3)(ours, torch.arange(12) % 4)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(ours.grad).all()
