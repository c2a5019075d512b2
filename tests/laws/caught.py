"""What one question says while a fault is planted: the law that it finds broken, or that it met an error."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from laws.asked import new_harness
from laws.doors.serving import use_zygote
from planting.hooks import BACKEND

from penstock.testing.checks import CHECKS
from penstock.testing.laws import LawBroken

HERE = Path(__file__).parent


def question(name: str) -> Callable[[Any], object]:
    """A question by its name: a test of a law, a history that is killed, or a check of the kit. Raises KeyError."""
    for file in sorted(HERE.glob("test_*.py")):
        if f"\ndef test_{name}(harness):" in file.read_text():
            return getattr(importlib.import_module(f"laws.{file.stem}"), f"test_{name}")
    killed = importlib.import_module("laws.test_killed")
    if name in killed.HISTORIES:
        return lambda harness: killed.interrupt_each(harness, killed.HISTORIES[name])
    return {check.name: check.body for check in CHECKS}[name]


def skip_what_cannot_be_asked(name: str) -> None:
    """Skip a test when the question that it needs is skipped on this machine."""
    for mark in getattr(question(name), "pytestmark", ()):
        if mark.name == "skipif" and mark.args[0]:
            pytest.skip(mark.kwargs["reason"])


def verdict(
    folder: Path, fault: str | None, name: str, door: str = "python", zygote: str = ""
) -> tuple[int | str | None, str]:
    """The law that a question finds broken while a fault is planted in this process, with why; or None, or `error`.

    A server of a door has the fault too; it is forked from `zygote`.
    """
    os.environ[BACKEND] = "penstock_memory"
    if zygote:
        use_zygote(zygote)
    harness = new_harness(folder, door, prepare=() if fault is None else (fault,))
    try:
        question(name)(harness)
    except LawBroken as broken:
        return broken.law, broken.message
    except Exception as error:
        return "error", repr(error)
    return None, ""
