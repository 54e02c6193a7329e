"""How many processors this process may use."""

from __future__ import annotations

import os


def count_processors() -> int:
    """The number of processors this process may run on; all of the machine's if the system does not report it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
