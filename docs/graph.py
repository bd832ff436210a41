"""The graph of imports, as far as it is worth drawing."""

from __future__ import annotations


def without_implied(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out each import that follows from others, as A to C if A imports B, and B C."""

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        waiting = [*edges[name]]
        while waiting:
            if (other := waiting.pop()) not in found:
                found.add(other)
                waiting += edges[other]
        return found

    return {
        name: {
            other
            for other in others
            if not any(other in reached(third) for third in others - {other})
        }
        for name, others in edges.items()
    }
