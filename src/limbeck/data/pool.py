"""The pool: real candidates that no stage has taken yet, by domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from limbeck.data.example import Example


class Pool:
    """Candidates by domain, in the order of the data.

    `counts` (n_d of the papers) are those of the original pool and never change; `originals` keeps what the pool was
    made of, since a domain whose candidates are all taken still gives seed examples.
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
        """What is left of a domain, in the order of the data."""
        return list(self._rest[domain].values())

    def count_left(self, domain: str) -> int:
        """How many candidates a domain has left."""
        return len(self._rest[domain])

    def remove(self, ids: Iterable[str]) -> None:
        """Remove examples (kept or rejected alike) from the candidates; unknown ids are passed over."""
        gone = set(ids)
        for domain, rest in self._rest.items():
            self._rest[domain] = {key: example for key, example in rest.items() if key not in gone}

    def add(self, examples: Iterable[Example]) -> None:
        """Put synthesized candidates into the pool (``pooling: premixed``); `counts` and `originals` stay."""
        for example in examples:
            self._rest[example.domain][example.id] = example
