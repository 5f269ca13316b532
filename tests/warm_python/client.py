"""`python ARGUMENTS` by way of the server; see the package."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

_OURS = ("src.", "serve", "benchmarks.", "ipykernel_launcher")


def main() -> int:
    """Run the command; its exit code."""
    path, *arguments = sys.argv[1:]
    module = arguments[1] if arguments[:1] == ["-m"] and len(arguments) > 1 else ""
    if not (module.startswith(_OURS) if module else arguments[:1] and arguments[0].endswith(".py")):
        os.execv(sys.executable, [sys.executable, *arguments])
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        request = json.dumps(
            {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        ).encode()
        socket.send_fds(server, [len(request).to_bytes(8, "little")], [0, 1, 2])
        server.sendall(request)
        with server.makefile() as answers:
            pid = int(answers.readline())
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda received, _: os.kill(pid, received))
            code = int(answers.readline())
    if code < 0:
        # Ended by a signal: end in the same way.
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main())
