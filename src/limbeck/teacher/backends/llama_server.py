"""Runs a llama.cpp server in its own process for the `embedded` backend.

Run as a module, it reads its settings from the first line of standard input: a JSON object with `path`, `alias`, `key`,
`slots`, `context`, `threads` and `port`. It answers with one JSON line on standard output: ``{"url": …}`` once the model is
loaded, or ``{"error": …}``. The server stops when standard input closes, so it never outlives the process that started it,
however that process ended.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def serve(settings: dict[str, Any]) -> object:
    """Load the model and serve it on loopback, on a free port unless one is given; the caller must keep the returned server."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["alias"]}
    params.api_keys = [settings["key"]]  # keeps other users of this machine out
    params.hostnames = ["127.0.0.1"]
    params.port = settings.get("port") or 0
    params.ui = False
    params.endpoint_slots = False
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["context"]  # the context is split among the slots
    if settings["threads"]:
        params.cpuparams.n_threads = settings["threads"]
        params.cpuparams_batch.n_threads = settings["threads"]
    params.verbosity = 0
    return Server(params)


def main() -> None:
    """Serve until standard input closes."""
    settings = json.loads(sys.stdin.readline())
    try:
        server = serve(settings)
    except (ImportError, RuntimeError, ValueError) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"url": f"{server.listening_address}/v1"}), flush=True)  # type: ignore[attr-defined]
    while sys.stdin.readline():
        pass


if __name__ == "__main__":
    main()
