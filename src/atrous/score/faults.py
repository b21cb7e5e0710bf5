"""What a lenient comparison stepped over: counted by kind, the first few told in full."""

from __future__ import annotations

from collections import Counter, defaultdict

from atrous.types import Fault

EXAMPLES = 3


class Tally:
    """A `Report` that lets everything pass and forgets nothing."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: defaultdict[str, list[str]] = defaultdict(list)

    def __call__(self, fault: Fault) -> None:
        """Counts a fault."""
        self.counts[fault.kind] += 1
        if len(self.examples[fault.kind]) < EXAMPLES:
            self.examples[fault.kind].append(fault.message)

    def merge(self, other: Tally) -> None:
        """Adds what another tally has heard, after its own."""
        self.counts += other.counts
        for kind, examples in other.examples.items():
            self.examples[kind] = (self.examples[kind] + examples)[:EXAMPLES]

    def to_json(self) -> list[dict[str, object]]:
        """What was stepped over, the most frequent first."""
        return [
            {"what": kind, "count": count, "examples": list(self.examples[kind])}
            for kind, count in self.counts.most_common()
        ]
