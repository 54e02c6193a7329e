"""Specification of `limbeck.teacher.gate`: fewer attempts at once while the teacher is throttling, more as it copes."""

from __future__ import annotations

import asyncio
import time

import pytest

from limbeck.teacher.gate import Gate


def test_no_more_than_the_most_are_inside() -> None:
    """Of ten that want to enter a gate of three, three are inside at once, and all get their turn."""
    inside = most = done = 0

    async def work(gate: Gate) -> None:
        nonlocal inside, most, done
        async with gate.enter():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            done += 1

    async def run() -> None:
        gate = Gate(3)
        await asyncio.gather(*(work(gate) for _ in range(10)))

    asyncio.run(run())
    assert (most, done) == (3, 10)


def test_limits_by_hand() -> None:
    """Throttling halves 8 to 4, once for all that entered before; two successes then add 1/4 and 1/4.25."""

    async def run() -> None:
        gate = Gate(8)
        entered_at = time.monotonic()
        gate.slow_down(entered_at, None)
        gate.slow_down(entered_at, None)
        assert gate.limit == 4
        gate.succeed()
        gate.succeed()
        assert gate.limit == pytest.approx(4 + 1 / 4 + 1 / 4.25)

    asyncio.run(run())


def test_limits_stay_between_one_and_the_most() -> None:
    """However often it is throttled one attempt may be under way, and however often it succeeds no more than the most."""

    async def run() -> None:
        gate = Gate(2)
        for _ in range(9):
            gate.slow_down(time.monotonic(), None)
        assert gate.limit == 1
        for _ in range(9):
            gate.succeed()
        assert gate.limit == 2

    asyncio.run(run())


def test_a_pause_holds_all() -> None:
    """After a pause was asked for, whoever enters does so when it is over."""

    async def run() -> float:
        gate = Gate(4)
        begin = time.monotonic()
        gate.slow_down(begin, 0.2)
        async with gate.enter() as entered_at:
            return entered_at - begin

    assert asyncio.run(run()) >= 0.2


@pytest.mark.timeout(60)
def test_closing_ends_all_waits() -> None:
    """A closed gate lets those in a pause or a sleep go at once."""

    async def run() -> None:
        gate = Gate(4)
        gate.slow_down(time.monotonic(), 3600)

        async def enter() -> None:
            async with gate.enter():
                pass

        waits = [asyncio.create_task(enter()), asyncio.create_task(gate.sleep(3600))]
        await asyncio.sleep(0.01)
        gate.close()
        await asyncio.gather(*waits)

    asyncio.run(run())
