"""A process that has everything loaded, runs `limbeck` commands in forks of itself, and kills a fork at a given event.

It listens on a Unix socket until its stdin ends. A connection sends one JSON line, with the descriptors for stdin, stdout and
stderr: ``args`` for `limbeck`, ``cwd``, ``env``, the signals that are ``ignored``, a file ``events`` for the names of the
command's events, and ``kill``: ``[name, n]`` to die by SIGKILL at the n-th event (from 1) of that name. It receives the pid of
the fork in one line, and its exit code (negative for a signal) in another.

Run as ``python -m limbeck …`` by way of `Zygote.python`, this file is the other end of such a connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def call(path: str, command: dict[str, object], descriptors: list[int]) -> int:
    """Run a command in a fork of the process that listens at a path; pass signals on, and return the exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [json.dumps(command).encode() + b"\n"], descriptors)
        lines = connection.makefile()
        pid = int(lines.readline())
        for number in SIGNALS if __name__ == "__main__" else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: os.kill(pid, number))
        return int(lines.readline())


def serve(path: str) -> None:
    """Listen at a path until stdin ends."""
    import gc
    import select

    import torch
    from tests.forked import run

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # so the collector of a fork neither scans nor copies what is loaded
    waiting: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [], 0.02 if waiting else None)
            if sys.stdin in ready:
                return
            if server in ready:
                connection, _ = server.accept()
                message, descriptors, _, _ = socket.recv_fds(connection, 2**20, 3)
                while not message.endswith(b"\n"):
                    message += connection.recv(2**20)
                pid = os.fork()
                if pid == 0:
                    server.close()
                    for one in (connection, *waiting.values()):
                        one.close()
                    run(json.loads(message), descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                connection.sendall(b"%d\n" % pid)
                waiting[pid] = connection
            while waiting:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                with contextlib.suppress(BrokenPipeError):
                    waiting[pid].sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
                waiting.pop(pid).close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        place, *arguments = sys.argv[1:]
        ignored = [int(number) for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
        command = {"args": arguments, "cwd": os.getcwd(), "env": dict(os.environ), "ignored": ignored}
        code = call(place, command, [0, 1, 2])
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        sys.exit(code)
