"""A backend that is told of an endpoint and does not take it."""

from __future__ import annotations

from planting.hooks import around


def repeats_are_refused():
    """The backend takes each revision of an endpoint once, and says no when it is told again."""
    known = set()

    def sync(real, target, endpoint):
        seen = (target.name, endpoint.id, endpoint.revision) in known
        known.add((target.name, endpoint.id, endpoint.revision))
        return real(target, endpoint) and not seen

    around("penstock_sync_endpoint", sync)


def only_what_is_known_can_end():
    """The backend fails when it is told the end of an endpoint that it has never heard of."""
    known = set()

    def sync(real, target, endpoint):
        if endpoint.deleted and endpoint.id not in known:
            return False
        known.add(endpoint.id)
        return real(target, endpoint)

    around("penstock_sync_endpoint", sync)


CASES = {repeats_are_refused: "told_twice", only_what_is_known_can_end: "told_twice"}
