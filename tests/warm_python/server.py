"""Imports the third-party packages and forks for each command; see the package."""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

_PACKAGES = (
    "torch", "torchvision", "lightning.pytorch", "timm", "pytorch_metric_learning.losses",
    "pytorch_metric_learning.miners", "torch.utils.serialization", "torch._functorch.aot_autograd",
    "torch.onnx._internal.exporter._core", "networkx", "onnx", "onnxscript", "safetensors.torch", "captum.attr",
    "hydra", "hydra.core.plugins", "omegaconf", "optuna", "rich.progress", "pyarrow.parquet", "pandas", "faiss",
    "scipy.stats", "sklearn.cluster", "sklearn.manifold", "matplotlib.pyplot", "cv2", "simplejpeg", "jinja2",
    "fastapi", "granian", "sqlalchemy", "prometheus_client", "jaxtyping", "scipy.io", "pyarrow.dataset", "pyarrow.json",
    "pyarrow.csv", "s3fs", "hydra.experimental.callback", "hydra._internal.core_plugins.basic_sweeper",
    "hydra._internal.core_plugins.bash_completion", "rich.table", "onnxruntime.quantization",
    "onnxscript.function_libs.torch_lib.ops",
)  # fmt: skip
"""What our commands import; one that is missing here is imported by each command that needs it."""

_PR_SET_PDEATHSIG = 1


def warm_up() -> None:
    """Fill the caches of packages that each command would fill."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from PIL import Image

    Image.init()
    # Its grammar is learnt from what it reads.
    OverridesParser.create().parse_overrides(["a=b", "+a.b=[8,'c d']", "~a", "a/b@c=1e-3", "a={b:true}", "a=${b}/c.d"])


def wait_for_a_command(path: str) -> dict[str, Any]:
    """Serve requests: returns, in a fork, what to run; ends the server itself when standard input is closed."""
    selector = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                sys.exit(0)
            if key.fileobj is listener:
                client, _ = listener.accept()
                length, files, _, _ = socket.recv_fds(client, 8, 3)
                with client.makefile("rb", buffering=0) as stream:
                    request = json.loads(_exactly(stream, int.from_bytes(length, "little")))
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    listener.close()
                    client.close()
                    return {**request, "files": files}
                for file in files:
                    os.close(file)
                client.sendall(f"{pid}\n".encode())
                ended = os.pidfd_open(pid)
                selector.register(ended, selectors.EVENT_READ, (pid, client, ended))
                selector.register(client, selectors.EVENT_READ, (pid, client, ended))
                continue
            pid, client, ended = key.data
            if key.fileobj is client:
                # The client was killed.
                selector.unregister(client)
                os.kill(pid, signal.SIGKILL)
                continue
            _, status = os.waitpid(pid, 0)
            selector.unregister(ended)
            os.close(ended)
            with contextlib.suppress(KeyError):
                selector.unregister(client)
            with contextlib.suppress(OSError):
                client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
            client.close()


def _exactly(stream: Any, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = stream.read(length - len(data))
        assert part, "the client ended within its request"
        data += part
    return data


def run(arguments: list[str], folder: str, environment: dict[str, str], files: list[int], executable: str) -> int:
    """What `python ARGUMENTS` does, in this process; its exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # As at the start of an interpreter.
    sys.path[1:1] = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    # Programs of ours start others by it.
    sys.executable = environment.get("WARM_PYTHON", executable)
    try:
        if arguments[0] == "-m":
            sys.argv, sys.path[0] = arguments[1:], folder
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).resolve().parent)
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as exit:
        if exit.code is None or isinstance(exit.code, int):
            return exit.code or 0
        print(exit.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End as the interpreter does, but for taking all modules apart, which costs as much as a short command."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    # Imported by timm where it can be: it makes temporary folders then, which the first fork that ends would remove.
    sys.modules["wandb"] = None  # type: ignore[assignment]
    for name in _PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    del sys.modules["wandb"]
    warm_up()
    # Else the first collection of each fork walks through all of it, and copies its pages.
    gc.freeze()
    leave(run(**wait_for_a_command(sys.argv[1]), executable=sys.argv[2]))
