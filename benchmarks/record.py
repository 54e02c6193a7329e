"""Writes benchmark results, with the machine that produced them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.system.files import write_json

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, facts: Mapping[str, Any]) -> None:
    """Write ``benchmarks/results/NAME.json`` and print it."""
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    write_json(RESULTS / f"{name}.json", {**facts, **machine})
    print(json.dumps({**facts, **machine}, indent=2))
