"""Specification of `limbeck.teacher.client.concurrency`: fewer attempts in flight while the teacher throttles."""

from __future__ import annotations

import asyncio
import time

import pytest

from limbeck.teacher.client.concurrency import AdaptiveLimiter


def test_no_more_than_the_most_are_inside() -> None:
    """When ten attempts want to enter a gate of three, three are inside at once, and all get their turn."""
    inside = most = done = 0

    async def work(gate: AdaptiveLimiter) -> None:
        nonlocal inside, most, done
        async with gate.enter():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            done += 1

    async def run() -> None:
        gate = AdaptiveLimiter(3)
        await asyncio.gather(*(work(gate) for _ in range(10)))

    asyncio.run(run())
    assert (most, done) == (3, 10)


def test_limits_by_hand() -> None:
    """Throttling halves 8 to 4, once for all attempts that entered before; two successes then add 1/4 and 1/4.25."""

    async def run() -> None:
        gate = AdaptiveLimiter(8)
        entered_at = time.monotonic()
        gate.slow_down(entered_at, None)
        gate.slow_down(entered_at, None)
        assert gate.limit == 4
        gate.succeed()
        gate.succeed()
        assert gate.limit == pytest.approx(4 + 1 / 4 + 1 / 4.25)

    asyncio.run(run())


def test_limits_stay_between_one_and_the_most() -> None:
    """Throttling never cuts the limit below one, and successes never raise it above the maximum."""

    async def run() -> None:
        gate = AdaptiveLimiter(2)
        for _ in range(9):
            gate.slow_down(time.monotonic(), None)
        assert gate.limit == 1
        for _ in range(9):
            gate.succeed()
        assert gate.limit == 2

    asyncio.run(run())


def test_a_pause_holds_all() -> None:
    """After the teacher asks for a pause, nobody enters until it is over."""

    async def run() -> float:
        gate = AdaptiveLimiter(4)
        begin = time.monotonic()
        gate.slow_down(begin, 0.2)
        async with gate.enter() as entered_at:
            return entered_at - begin

    assert asyncio.run(run()) >= 0.2


@pytest.mark.timeout(60)
def test_closing_ends_all_waits() -> None:
    """Closing the gate ends every pause and sleep at once."""

    async def run() -> None:
        gate = AdaptiveLimiter(4)
        gate.slow_down(time.monotonic(), 3600)

        async def enter() -> None:
            async with gate.enter():
                pass

        waits = [asyncio.create_task(enter()), asyncio.create_task(gate.sleep(3600))]
        await asyncio.sleep(0.01)
        gate.close()
        await asyncio.gather(*waits)

    asyncio.run(run())


def test_retries_go_first() -> None:
    """A waiting retry enters before attempts that have not been tried yet."""
    order = []

    async def run() -> None:
        gate = AdaptiveLimiter(1)

        async def enter(name: str, *, is_retry: bool = False) -> None:
            async with gate.enter(is_retry=is_retry):
                order.append(name)
                await asyncio.sleep(0.001)

        await asyncio.gather(enter("a"), enter("b"), enter("c"), enter("again", is_retry=True))

    asyncio.run(run())
    assert order == ["a", "again", "b", "c"]


def fail_all(gate: AdaptiveLimiter, keys: str) -> None:
    for key in keys:
        gate.fail(key, time.monotonic())


def test_the_breaker_opens_after_different_requests_failed_in_a_row() -> None:
    """Eight different requests failing in a row open it; one failing repeatedly, or eight with a success between, do not."""

    async def run() -> None:
        gate = AdaptiveLimiter(20)
        fail_all(gate, "abcdefgaaaaaaaaa")
        assert gate.state == "closed"
        gate.succeed()
        fail_all(gate, "abcdefg")
        assert gate.state == "closed"
        fail_all(gate, "h")
        assert (gate.state, gate.limit) == ("open", 1)

    asyncio.run(run())


def test_a_small_gate_breaks_sooner() -> None:
    """If only one attempt may be in flight, two different failures in a row open the breaker."""

    async def run() -> None:
        gate = AdaptiveLimiter(1)
        fail_all(gate, "ab")
        assert gate.state == "open"

    asyncio.run(run())


def test_one_tries_again_after_each_pause_and_pauses_double() -> None:
    """An open breaker admits one after its pause; each failure doubles the pause, up to a minute, and a success closes it."""
    states = []

    async def run() -> None:
        gate = AdaptiveLimiter(2, first_pause_s=0.01, on_state=lambda: states.append((gate.state, gate.pause_s)))
        fail_all(gate, "ab")
        inside = 0

        async def attempt(key: str, *, is_answered: bool) -> None:
            nonlocal inside
            async with gate.enter() as entered_at:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.001)
                inside -= 1
                if is_answered:
                    gate.succeed()
                else:
                    gate.fail(key, entered_at)

        await asyncio.gather(*(attempt(str(n), is_answered=n == 2) for n in range(3)))
        assert (gate.state, gate.opened_at) == ("closed", None)
        for _ in range(20):
            fail_all(gate, "ab")
        assert gate.pause_s == 60

    asyncio.run(run())
    assert states[:6] == [
        ("open", 0.01),
        ("half-open", 0.01),
        ("open", 0.02),
        ("half-open", 0.02),
        ("open", 0.04),
        ("half-open", 0.04),
    ]


def test_those_under_way_when_it_opened_do_not_lengthen_the_pause() -> None:
    """A hundred requests that fail together are one outage, so the pause is not doubled."""

    async def run() -> None:
        gate = AdaptiveLimiter(100)
        entered_at = time.monotonic()
        for n in range(100):
            gate.fail(str(n), entered_at)
        assert (gate.state, gate.pause_s, gate.pauses) == ("open", 0.5, 1)

    asyncio.run(run())


def test_no_storm_follows_a_stall() -> None:
    """After an outage the limit is 1, doubles with each round of answers up to half its old value, then grows by one."""

    async def run() -> None:
        gate = AdaptiveLimiter(32)
        fail_all(gate, "abcdefgh")
        limits = []
        for _ in range(7):
            for _ in range(int(gate.limit)):
                gate.succeed()
            limits.append(int(gate.limit))
        assert limits == [2, 4, 8, 16, 16, 17, 18]

    asyncio.run(run())


def test_a_refusal_shows_that_the_teacher_is_there() -> None:
    """Throttling closes an open breaker, since the teacher answers, even if only to ask for fewer requests."""

    async def run() -> None:
        gate = AdaptiveLimiter(8)
        fail_all(gate, "abcdefgh")
        gate.slow_down(time.monotonic(), None)
        assert gate.state == "closed"

    asyncio.run(run())


def test_collapse_cuts_the_limit_and_slow_batches_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen answers, three times as slow at a third of the rate, cut the limit by 30%; at the same rate they do not."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def answer(gate: AdaptiveLimiter, count: int, seconds: float, rate: float) -> None:
        nonlocal now
        for _ in range(count):
            now += 1 / rate
            gate.succeed(seconds)

    gate = AdaptiveLimiter(10)
    answer(gate, 16, 1.0, 10)
    answer(gate, 16, 3.0, 10)
    assert gate.limit == 10
    answer(gate, 15, 3.0, 3)
    assert gate.limit == 10
    answer(gate, 1, 3.0, 3)
    assert gate.limit == pytest.approx(7)


def run_teacher(
    gate: AdaptiveLimiter, monkeypatch: pytest.MonkeyPatch, *, share: float, capacity: int, rounds: int
) -> list[int]:
    """The limit after each simulated second, with at most `capacity` answers and at least this share throttled."""
    now, limits = 1000.0, []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(rounds):
        entered_at, size = now, int(gate.limit)
        now += 1
        throttled = max(round(share * size), size - capacity)
        for _ in range(throttled):
            gate.slow_down(entered_at, None)
        for _ in range(size - throttled):
            gate.succeed(1.0)
        limits.append(int(gate.limit))
    return limits


def test_throttling_by_load_finds_the_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a teacher that can answer eight at once, the limit soon settles near eight."""
    limits = run_teacher(AdaptiveLimiter(64), monkeypatch, share=0, capacity=8, rounds=60)
    assert max(limits[20:]) <= 16
    assert min(limits) >= 4


def test_throttling_by_chance_does_not_slow_down_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a teacher throttles 30% at any load, the limit stays near the maximum, since a lower one would only take longer."""
    limits = run_teacher(AdaptiveLimiter(64), monkeypatch, share=0.3, capacity=64, rounds=60)
    assert sum(limit >= 60 for limit in limits) >= 45
