"""Networks are destroyed from the top, and maps compared by rank."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from src.eval.explanations.randomised import STAGES, randomised_from_top, rank_correlation
from tests.eval.explanations.planted import tiny_cnn, tiny_vit


@pytest.mark.parametrize("encoder", [tiny_cnn, tiny_vit])
def test_ever_more_layers_are_drawn_anew_from_the_head_downwards(encoder) -> None:
    network = encoder()
    # Trained weights: none of them is what a new layer would have.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    stages = list(randomised_from_top(network))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert tuple(share for share, _ in stages) == STAGES
    names = [name for name, _ in network.named_parameters()]
    same_before: set[str] = set(names)
    for share, destroyed in stages:
        same = {name for name, value in destroyed.named_parameters() if torch.equal(value, before[name])}
        assert same < same_before
        assert not any(name.startswith("head.") for name in same)
        assert (share == 1) == (not same)
        same_before = same
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    again = list(randomised_from_top(network))[-1][1].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in stages[-1][1].state_dict().items())


def test_rank_correlation_is_spearman_s() -> None:
    rng = np.random.default_rng(0)
    maps, others = rng.normal(size=(6, 5, 7)), rng.integers(0, 4, (6, 5, 7)).astype(float)
    expected = [spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(maps, others, strict=True)]
    np.testing.assert_allclose(rank_correlation(maps, others), expected)
    np.testing.assert_allclose(rank_correlation(maps, np.exp(maps)), 1)
    np.testing.assert_allclose(rank_correlation(maps, -maps), -1)
    assert rank_correlation(maps, np.ones_like(maps)).tolist() == [0.0] * 6
