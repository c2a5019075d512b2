"""Every check of the kit, in the order in which they are asked: quick ones first.

What only the core can break is asked in `tests/laws`, once, and not of every backend.
"""

from __future__ import annotations

from penstock.testing.checking import Check
from penstock.testing.checks import (
    answers,
    arguments,
    artifacts,
    attempts,
    beginnings,
    cleared,
    compiled,
    contents,
    copies,
    ended,
    endpoint_sync,
    failed_runs,
    frozen,
    idempotency,
    interruptions,
    kills,
    lacking,
    logs,
    optional,
    orphans,
    portability,
    secrets,
    state_order,
    unsupported,
)

CHECKS: tuple[Check, ...] = (
    *frozen.CHECKS,
    *compiled.CHECKS,
    *idempotency.CHECKS,
    *endpoint_sync.CHECKS,
    *state_order.CHECKS,
    *ended.CHECKS,
    *cleared.CHECKS,
    *attempts.CHECKS,
    *failed_runs.CHECKS,
    *unsupported.CHECKS,
    *secrets.CHECKS,
    *copies.CHECKS,
    *beginnings.CHECKS,
    *arguments.CHECKS,
    *optional.CHECKS,
    *logs.CHECKS,
    *contents.CHECKS,
    *artifacts.CHECKS,
    *portability.CHECKS,
    *answers.CHECKS,
    *orphans.CHECKS,
    *lacking.CHECKS,
    *kills.CHECKS,
    *interruptions.CHECKS,
)
"""What an examination asks."""
