"""No fault at all, and one that is no verdict: what a check says then is about the kit."""

from __future__ import annotations

from planting.hooks import around


def nothing():
    """Nothing at all: what the kit says then, it says of the backend as it is."""


def broken():
    """The backend fails with an error of its own whenever it is asked for a log: no law is broken by that."""

    def read(real, *arguments):
        raise RuntimeError("planted to break")

    around("penstock_read_logs", read)


CASES = {}
