"""Runs fuzz cases under a watchdog, each reproducible by its number: ``python -m tests.fuzz.runner --help``."""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SEED = 13
CPU_LIMIT_S = 5.0
"""CPU time of one case. Not wall time, so that a busy machine causes no failures."""
HANG_LIMIT_S = 120.0
MEMORY_BYTES = 3 * 2**30

Case = Callable[[random.Random, Path], str]
"""Runs one case in a folder and returns in a word how it ended; any exception is a failure."""


class TooSlow(BaseException):
    """A case took more than `CPU_LIMIT_S`. Not an `Exception`, so that no handler mistakes it for an error of the case."""


@contextmanager
def watch() -> Iterator[None]:
    """Raise `TooSlow` in the block, wherever it is, if it takes too much CPU time."""

    def stop(number: int, frame: object) -> None:
        raise TooSlow(f"more than {CPU_LIMIT_S:g} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run_case(name: str, case: Case, number: int, folder: Path) -> str:
    """Run one case of a target; its number determines the case, on every machine."""
    with watch():
        return case(random.Random(f"{SEED}/{name}/{number}"), folder)


def run_cases(name: str, case: Case, numbers: Iterable[int], folder: Path) -> tuple[Counter[str], dict[int, str]]:
    """Run cases; return how many ended in which way, and the traceback of each that failed."""
    ends: Counter[str] = Counter()
    failures: dict[int, str] = {}
    for number in numbers:
        faulthandler.dump_traceback_later(HANG_LIMIT_S, exit=True)
        try:
            ends[run_case(name, case, number, folder)] += 1
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 (failures are what we look for; they are counted and reported)
            failures[number] = traceback.format_exc()
        finally:
            faulthandler.cancel_dump_traceback_later()
    return ends, failures


def main() -> int:
    """Run the cases of all targets, of some, or a single case; return 1 if any failed."""
    from tests.fuzz.targets import TARGETS, hurry

    parser = argparse.ArgumentParser(description="Feed damaged input to everything that reads external input.")
    parser.add_argument("--cases", type=int, default=10_000, help="number of cases per target")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="only this target (repeatable)")
    parser.add_argument("--case", type=int, help="only the case with this number")
    arguments = parser.parse_args()
    sys.stdout = open(sys.stdout.fileno(), "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    resource.setrlimit(
        resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES)
    )  # a memory bomb raises MemoryError and so counts as a failure
    is_good = True
    for name in arguments.target or sorted(TARGETS):
        numbers = range(arguments.cases) if arguments.case is None else [arguments.case]
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, hurry():
            ends, failures = run_cases(name, TARGETS[name], numbers, Path(folder))
        took = time.monotonic() - begin
        said = ", ".join(f"{count} {end}" for end, count in ends.most_common(6))
        print(f"{name}: {len(numbers)} cases in {took:.0f} s, {len(failures)} failed ({said})", flush=True)
        for number, text in list(failures.items())[:20]:
            print(f"--- {name}, case {number}: python -m tests.fuzz.runner --target {name} --case {number}\n{text}")
            is_good = False
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
