"""Runs a Milvus that only this machine can reach: `... benchmarks.milvus.closed_server FOLDER PORT [--quick]`.

The PyPI package's Milvus 2.3.5 listens on all interfaces, whatever is configured. So it runs in a network namespace
that has nothing but a loopback of its own, and this process forwards 127.0.0.1:PORT into it: a socket stays in the
namespace in which it was made, so the listening one is made first, and the process enters the namespace afterwards.
Ports inside are always Milvus' own, so that several servers run side by side. The process ends, and Milvus with it,
when its standard input closes, which the kernel does when the process that started it dies.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

__all__ = ["main", "own_network"]

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_PR_SET_PDEATHSIG = 1
_MILVUS_PORT = 19530
_SETTINGS = {
    # To save memory and disk.
    "log.level": "warn",
    "rocksmq.lrucacheratio": 0.02,
    "dataCoord.segment.maxSize": 256,
}
_QUICK = {
    "queryCoord.checkInterval": 100,
    "queryCoord.distPullInterval": 100,
    "proxy.timeTickInterval": 50,
    "common.session.ttl": 3,
}
"""Milliseconds, and seconds until a killed server's place is taken over: shorter, for tests; not for measuring it."""


def own_network() -> None:
    """Leave the machine's network for an empty one, whose loopback is up.

    Raises:
        OSError: the kernel does not allow it: neither root nor user namespaces.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "a network namespace of its own is not allowed here")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH22x", b"lo", 0)
        found = struct.unpack("16sH22x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", found | _IFF_UP))


def main() -> None:
    """Run the server until standard input closes; writes `ready` when it answers."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        own_network()
        asyncio.run(_serve(folder, listening, _SETTINGS | (_QUICK if "--quick" in sys.argv else {})))


async def _serve(folder: Path, listening: socket.socket, settings: Mapping[str, Any]) -> None:
    milvus = _start(folder, settings)
    try:
        server = await asyncio.start_server(_forward, sock=listening)
        async with server:
            ended = asyncio.create_task(asyncio.to_thread(milvus.wait))
            closed = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
            health = asyncio.create_task(_report_ready())
            await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
            health.cancel()
            code = milvus.returncode if milvus.returncode is not None else 0
            if milvus.poll() is None:
                milvus.terminate()  # It takes half a minute: what it has acknowledged is on the disk before that.
                with suppress(subprocess.TimeoutExpired):
                    await asyncio.to_thread(milvus.wait, 2)
    finally:
        milvus.kill()
        milvus.wait()
    os._exit(code)  # A thread may still read standard input.


def _start(folder: Path, settings: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    from milvus import MilvusServerConfig, _initialize_data_files

    # Unpacked once for all servers, where the package itself does.
    programs = Path(MilvusServerConfig.get_default_data_dir())
    programs.mkdir(parents=True, exist_ok=True)
    with FileLock(programs / "unpacking.lock"):
        _initialize_data_files(str(programs))
    config = MilvusServerConfig(data_dir=str(folder))
    for name, value in settings.items():
        config.set(name, value)
    config.resolve()
    (folder / "run").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": "9091",
        "MILVUS_RUN_DIR": str(folder / "run"),
        "LD_LIBRARY_PATH": str(programs / "bin"),
        "GOMEMLIMIT": "1GiB",
        "GOMAXPROCS": "2",
        "OMP_NUM_THREADS": "2",
    }
    with (folder / "logs" / "milvus.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            [programs / "bin" / "milvus", "run", "standalone"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _report_ready() -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", 9091)
            writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            if b" 200 " in answer.split(b"\r\n", 1)[0] and b"OK" in answer:
                print("ready", flush=True)
                return
        except OSError:
            pass
        await asyncio.sleep(0.1)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", _MILVUS_PORT)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(262_144):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    main()
