"""Peak memory of decoding a file, each in a process of its own: `python -m tests.contracts.peak_memory FILE ...`."""

import ctypes
import gc
import os
import sys
from pathlib import Path

from src.contracts.preprocessing import PreprocessingSpec, decode, preprocess

SPEC = PreprocessingSpec(size=224, decoding="reduced")


def main() -> None:
    """Print a line a file: the bytes of `decode`, and of `preprocess` for `SPEC`."""
    for path in sys.argv[1:]:
        print(*(_in_a_child(path, reduce) for reduce in (False, True)), flush=True)


def _in_a_child(path: str, reduce: bool) -> int:
    """A fork shares what is imported, and nothing that an earlier file left."""
    reading, writing = os.pipe()
    if not os.fork():
        data = Path(path).read_bytes()
        os.write(writing, str(_peak(data, reduce)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.wait()
    return int(answer or -1)


def _peak(data: bytes, reduce: bool) -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    if reduce:
        preprocess(data, SPEC, max_pixels=10**9)
    else:
        decode(data, max_pixels=10**9)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


if __name__ == "__main__":
    main()
