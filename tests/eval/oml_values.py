"""What open-metric-learning makes of a small case; its version 4.0.0 needs numpy < 2 and an environment of its own.

    python -m venv DIR && DIR/bin/pip install open-metric-learning==4.0.0
    DIR/bin/python tests/eval/oml_values.py

prints the values that test_agreement.py holds.
"""

import json

import numpy as np


def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """90 vectors of norm 1, float32; their labels, of which the last 4 have no second image; their photo sessions."""
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 14, 90)
    labels[-4:] = 14 + np.arange(4)
    vectors = rng.standard_normal((18, 8))[labels] + 0.9 * rng.standard_normal((90, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), labels, rng.integers(0, 30, 90)


def main() -> None:
    """Averages over the queries that have a positive, without and with photo sessions; then over all queries."""
    import torch
    from oml.functional.knn import batched_knn
    from oml.functional.metrics import calc_retrieval_metrics

    vectors, labels, sessions = (torch.from_numpy(part) for part in case())
    rows = torch.arange(len(vectors))
    found = {}
    for name, sequences in (("all", None), ("sessions", sessions)):
        _, retrieved, truth = batched_knn(vectors, rows, rows, top_n=10, labels_gt=labels, sequence_ids=sequences)
        values = calc_retrieval_metrics(
            retrieved, truth, cmc_top_k=(1, 5), precision_top_k=(5, 10), map_top_k=(5, 10), reduce=False, verbose=False
        )
        answerable = torch.tensor([len(positives) > 0 for positives in truth])
        found[name] = {f"{m}@{k}": float(v[answerable].mean()) for m, ks in values.items() for k, v in ks.items()}
        everyone = {f"{m}@{k}": float(v.mean()) for m, ks in values.items() for k, v in ks.items()}
        found[f"{name}, all queries"] = everyone
    print(json.dumps(found, indent=4))


if __name__ == "__main__":
    main()
