"""Every check of the kit, in the order in which they are asked: quick ones first."""

from __future__ import annotations

from penstock.testing.checking import Check
from penstock.testing.checks import (
    answers,
    anything,
    arguments,
    counted,
    crowds,
    ended,
    everywhere,
    forward,
    frozen,
    gated,
    histories,
    interruptions,
    kills,
    logs,
    mirrored,
    once,
    parameters,
    remembered,
    reported,
    resolved,
    unsupported,
)

CHECKS: tuple[Check, ...] = (
    *frozen.CHECKS,
    *counted.CHECKS,
    *resolved.CHECKS,
    *once.CHECKS,
    *gated.CHECKS,
    *mirrored.CHECKS,
    *reported.CHECKS,
    *forward.CHECKS,
    *ended.CHECKS,
    *remembered.CHECKS,
    *parameters.CHECKS,
    *unsupported.CHECKS,
    *arguments.CHECKS,
    *logs.CHECKS,
    *everywhere.CHECKS,
    *crowds.CHECKS,
    *anything.CHECKS,
    *histories.CHECKS,
    *interruptions.CHECKS,
    *answers.CHECKS,
    *kills.CHECKS,
)
"""What an examination asks."""
