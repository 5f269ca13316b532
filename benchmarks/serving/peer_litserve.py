"""LitServe on a bundle: its own batching, decoding in `decode_request`, one worker a core unless told otherwise."""

import argparse
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from starlette.requests import Request

from benchmarks.serving.searcher import Searcher


class Api(litserve.LitAPI):
    """One photo in, the nearest items out."""

    def __init__(self, bundle: Path, *, encoder_threads: int, **batching: Any) -> None:
        super().__init__(api_path="/v1/search", **batching)
        self._bundle, self._encoder_threads = bundle, encoder_threads

    def setup(self, device: str) -> None:
        self._searcher = Searcher(self._bundle, encoder_threads=self._encoder_threads)

    def decode_request(self, request: Request) -> np.ndarray:
        return self._searcher.decode(request["image"].file.read())

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        # Without batching `batch` is not called.
        return self._searcher.embed(x if x.ndim == 4 else x[None])

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return self._searcher.results(output if output.ndim == 1 else output[0])


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--encoder-threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--wait-ms", type=float, default=5.0)
    arguments = parser.parse_args()
    api = Api(
        arguments.bundle,
        encoder_threads=arguments.encoder_threads,
        max_batch_size=arguments.batch,
        batch_timeout=arguments.wait_ms / 1e3,
    )
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=arguments.workers, fast_queue=True, timeout=30
    )
    server.run(
        host="127.0.0.1", port=arguments.port, log_level="warning", num_api_servers=1, generate_client_file=False,
        access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
