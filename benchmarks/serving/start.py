"""The start of a service over a large catalogue: python -m benchmarks.serving.start --bundle BUNDLE DIR.

DIR keeps a bundle of simulated items with the encoder of BUNDLE, whose embeddings should have few dimensions: a million
vectors of 64 take minutes to index. The service is started with the files in the page cache, until /readyz answers 200;
then a search is made, and the CPU time of the following seconds shows whether anything is still being filled.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from benchmarks.serving.running import free_port, python, started
from benchmarks.simulated_gallery import write_simulated_gallery
from src.contracts.bundle import INDEX, MANIFEST, open_bundle, staged_bundle

_ENCODER_FILES = ("encoder.onnx", "golden.npz", "drift_reference.npz", "trending.json")


def main() -> None:
    """Make the bundle where there is none, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, required=True, help="its encoder is served")
    parser.add_argument("--items", type=int, default=1_000_000, help="one image each")
    parser.add_argument("--seconds", type=float, default=20.0, help="for which CPU time is counted after the start")
    arguments = parser.parse_args()
    if not (arguments.folder / MANIFEST).is_file():
        _write(arguments.folder, arguments.bundle, arguments.items)
    _read(arguments.folder)
    port = free_port()
    command = python("serve", "--bundle", str(arguments.folder), "--port", str(port), "--runtime", "onnxruntime")
    start = time.perf_counter()
    with started(command, port=port, ready="/readyz") as server:
        ready = time.perf_counter() - start
        resident, private = server.tree.resident_mib(), server.tree.private_mib()
        cpu = server.tree.cpu_seconds()
        first = time.perf_counter()
        status, body = server.get("/v1/items/sku-00000007/similar?k=10")
        answered = 1000 * (time.perf_counter() - first)
        assert status == 200, body
        assert len(json.loads(body)["results"]) == 10
        time.sleep(arguments.seconds)
        later, used = server.tree.private_mib(), server.tree.cpu_seconds() - cpu
    index = (arguments.folder / INDEX).stat().st_size / 2**20
    print("| items | ready s | first answer ms | resident MiB | private MiB | later | index MiB | CPU s after |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    figures = f"{ready:.1f} | {answered:.0f} | {resident:.0f} | {private:.0f} | {later:.0f} | {index:.0f} | {used:.1f}"
    print(f"| {arguments.items:,} | {figures} |")


def _write(folder: Path, source: Path, items: int) -> None:
    bundle = open_bundle(source)
    with staged_bundle(folder) as draft:
        for name in _ENCODER_FILES:
            if name in bundle.content["files"]:
                shutil.copy(bundle.path(name), draft.root / name)
        gallery = write_simulated_gallery(draft.root, items, bundle.content["dim"])
        catalogue = {"images": items, "items": items, "name": "simulated"}
        draft.content |= {**bundle.content, **gallery, "catalogue": catalogue}
        draft.measured |= bundle.measured


def _read(folder: Path) -> None:
    """Bring the files into the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            while file.read(2**24):
                pass


if __name__ == "__main__":
    main()
