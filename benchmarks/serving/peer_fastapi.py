"""A plain FastAPI app on a bundle, as the tutorial would have it: a `def` route in the thread pool, a photo a call."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile

from benchmarks.serving.searcher import Searcher


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--encoder-threads", type=int, default=1)
    arguments = parser.parse_args()
    searcher = Searcher(arguments.bundle, encoder_threads=arguments.encoder_threads)
    app = FastAPI()

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.post("/v1/search")
    def search(image: UploadFile) -> dict[str, Any]:
        pixels = searcher.decode(image.file.read())
        return searcher.results(searcher.embed(np.stack([pixels]))[0])

    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
