"""How often callers of whom nothing is known may come: so many times a minute from each address."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from penstock.errors import TooManyRequests
from penstock.text import count_text

_MOST = 10_000
"""How many addresses are remembered; past that the one that came the longest ago is forgotten."""


class PerAddress:
    """At most `per_minute` at once from an address, and as many again in each minute. Threads may share one.

    Whoever has an IPv6 network has 2**64 addresses, so such a network counts as one. It is counted in this process
    alone.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, and when that was

    def take(self, address: str) -> None:
        """Count one. Raises TooManyRequests `anonymous_limit` that says when the next one is taken."""
        who, now = _who(address), self._clock()
        with self._lock:
            left, since = self._left.pop(who, (float(self._most), now))
            left = min(self._most, left + (now - since) * self._most / 60)
            taken = left >= 1
            self._left[who] = (left - taken, now)
            if len(self._left) > _MOST:
                self._left.popitem(last=False)
        if not taken:
            raise TooManyRequests(
                f"without a token no more than {count_text(self._most, 'trigger')} a minute can come from one address; "
                "try again later",
                code="anonymous_limit",
                retry_after=(1 - left) * 60 / self._most,
            )


def _who(address: str) -> str:
    """What counts as one: an IPv4 address, also one written as IPv6, or an IPv6 network of 64 bits."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
