"""The pool: real candidates that no stage has taken yet, by domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from limbeck.data.example import Example


class Pool:
    """Candidates by domain, in data order.

    `counts` (n_d in the papers) describes the original pool and never changes. `originals` keeps the original examples,
    because a domain whose candidates are all taken still provides seed examples.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        self._rest: dict[str, dict[str, Example]] = {}
        for example in examples:
            self._rest.setdefault(example.domain, {})[example.id] = example
        self.originals: Mapping[str, tuple[Example, ...]] = {
            domain: tuple(rest.values()) for domain, rest in self._rest.items()
        }
        self.counts: Mapping[str, int] = {domain: len(examples) for domain, examples in self.originals.items()}

    @property
    def domains(self) -> list[str]:
        """Domain names, largest original count first, ties by name."""
        return sorted(self.counts, key=lambda domain: (-self.counts[domain], domain))

    def candidates(self, domain: str) -> list[Example]:
        """The remaining candidates of a domain, in data order."""
        return list(self._rest[domain].values())

    def count_left(self, domain: str) -> int:
        """How many candidates a domain has left."""
        return len(self._rest[domain])

    def remove(self, ids: Iterable[str]) -> None:
        """Remove examples, kept or rejected, from the candidates; unknown ids are ignored."""
        gone = set(ids)
        for domain, rest in self._rest.items():
            self._rest[domain] = {key: example for key, example in rest.items() if key not in gone}

    def add(self, examples: Iterable[Example]) -> None:
        """Add synthesized candidates to the pool (``pooling: premixed``); `counts` and `originals` stay unchanged."""
        for example in examples:
            self._rest[example.domain][example.id] = example
