"""Which requests a probe asks: how many of each purpose and domain. Pure arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from limbeck.methods.settings import BalDistillSettings
from limbeck.selection.quotas import Share


def choose_tail(
    method: BalDistillSettings, shares: Mapping[str, Share], counts: Mapping[str, int], count: int, invented: int
) -> dict[str, int]:
    """How many examples to invent for which tail domains of stage 0, smallest first: such as leave room for all the real
    examples of those domains, which the prompts show in their annotated form."""
    plan: dict[str, int] = {}
    room = count
    for group in sorted(counts, key=lambda name: (counts[name], name)):
        share = shares.get(group)
        left = invented - sum(plan.values())
        real = share.real if share is not None and method.annotation != "none" else 0
        if share is not None and share.synthesize and left and real + 1 <= room:
            plan[group] = min(share.synthesize, left, room - real)
            room -= real + plan[group]
    return plan


def find_later_need(stages: Sequence[Mapping[str, Share]]) -> tuple[int, dict[str, int]]:
    """The first stage that has examples synthesized, and how many of each domain."""
    for stage, shares in enumerate(stages):
        needs = {name: share.synthesize for name, share in shares.items() if share.synthesize}
        if needs:
            return stage, needs
    return 0, {}


def spread(count: int, room: Mapping[str, int]) -> Counter[str]:
    """Share out `count` in turns, none beyond its room."""
    shares: Counter[str] = Counter(dict.fromkeys(room, 0))
    while count > 0 and (open_ones := [name for name in room if shares[name] < room[name]]):
        for name in open_ones[:count]:
            shares[name] += 1
        count -= len(open_ones[:count])
    return shares


def take_share(count: int, part: float, whole: float) -> int:
    """The part's share of `count`; one at least where there is such a part and room for both."""
    if not part:
        return 0
    if part == whole:
        return count
    return min(max(1, round(count * part / whole)), count - 1)
