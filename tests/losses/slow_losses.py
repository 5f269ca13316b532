"""Losses over the pairs that a mask allows, by loops in float64, from the papers' formulas."""

import math

import numpy as np


def indices(mask: np.ndarray, row: int) -> list[int]:
    return [column for column in range(mask.shape[1]) if mask[row, column]]


def info_nce(cosine: np.ndarray, positive: np.ndarray, negative: np.ndarray, t: float = 0.07) -> float:
    losses = []
    for a in range(len(cosine)):
        for p in indices(positive, a):
            others = sum(math.exp(cosine[a, n] / t) for n in indices(negative, a))
            losses.append(-math.log(math.exp(cosine[a, p] / t) / (math.exp(cosine[a, p] / t) + others)))
    return mean(losses)


def sup_con(cosine: np.ndarray, positive: np.ndarray, negative: np.ndarray, t: float = 0.1) -> float:
    losses = []
    # The library asks for a pair of each sort somewhere in the batch.
    for a in range(len(cosine) if positive.any() and negative.any() else 0):
        total = sum(math.exp(cosine[a, r] / t) for r in indices(positive | negative, a))
        terms = [-math.log(math.exp(cosine[a, p] / t) / total) for p in indices(positive, a)]
        losses += [mean(terms)] if terms else []
    return mean([loss for loss in losses if loss > 0])


def multi_similarity(
    cosine: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    alpha: float = 2,
    beta: float = 50,
    base: float = 0.5,
) -> float:
    losses = []
    for a in range(len(cosine)):
        near = sum(math.exp(-alpha * (cosine[a, p] - base)) for p in indices(positive, a))
        far = sum(math.exp(beta * (cosine[a, n] - base)) for n in indices(negative, a))
        losses.append(math.log(1 + near) / alpha + math.log(1 + far) / beta)
    return mean(losses)


def circle(cosine: np.ndarray, positive: np.ndarray, negative: np.ndarray, m: float = 0.4, gamma: float = 80) -> float:
    losses = []
    for a in range(len(cosine)):
        near = [-gamma * max(1 + m - s, 0) * (s - (1 - m)) for s in cosine[a, indices(positive, a)]]
        far = [gamma * max(s + m, 0) * (s - m) for s in cosine[a, indices(negative, a)]]
        if near and far:
            losses.append(math.log1p(sum(map(math.exp, near)) * sum(map(math.exp, far))))
    return mean([loss for loss in losses if loss > 0])


def triplet(cosine: np.ndarray, positive: np.ndarray, negative: np.ndarray, margin: float = 0.1) -> float:
    distance = np.sqrt(np.maximum(2 - 2 * cosine, 0))
    losses = [
        distance[a, p] - distance[a, n] + margin
        for a in range(len(cosine))
        for p in indices(positive, a)
        for n in indices(negative, a)
    ]
    return mean([loss for loss in losses if loss > 0])


def triplet_soft(cosine: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    distance = np.sqrt(np.maximum(2 - 2 * cosine, 0))
    losses = [
        math.log1p(math.exp(distance[a, p] - distance[a, n]))
        for a in range(len(cosine))
        for p in indices(positive, a)
        for n in indices(negative, a)
    ]
    return mean(losses)


def recall_at_k(
    cosine: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    ks: tuple[int, ...] = (1, 2, 4, 8, 16),
    rank: float = 0.01,
    count: float = 1.0,
) -> float:
    losses = []
    for a in range(len(cosine)):
        gallery, wanted = indices(positive | negative, a), indices(positive, a)
        if not wanted:
            continue
        ranks = [1 + sum(sigmoid((cosine[a, z] - cosine[a, x]) / rank) for z in gallery if z != x) for x in wanted]
        recalls = [min(k, sum(sigmoid((k - r) / count) for r in ranks)) / min(k, len(wanted)) for k in ks]
        losses.append(1 - mean(recalls))
    return mean(losses)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
