"""The faults of a suite: every module `lawNN_...` names in CASES what it plants, and the question that catches it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def faults_below(folder: Path, package: str) -> dict[int, dict[str, str]]:
    """Every fault as `module:function` with its question, by the law that it breaks."""
    found: dict[int, dict[str, str]] = {}
    for file in sorted(folder.glob("law*.py")):
        law = int(re.match(r"law(\d+)_", file.name)[1])
        module = importlib.import_module(f"{package}.{file.stem}")
        if law:
            known = {f"{module.__name__}:{fault.__name__}": case for fault, case in module.CASES.items()}
            found.setdefault(law, {}).update(known)
    return found


@contextmanager
def asked_at_once(
    request: pytest.FixtureRequest, at_once: int, ask: Callable[[str], T]
) -> Iterator[Callable[[str], T]]:
    """What is made of each fault of this session's tests, some being worked out at a time: much of it is waiting.

    Where tests run in several processes already, each is worked out when its test comes.
    """
    if hasattr(request.config, "workerinput"):
        yield ask
        return
    module = request.module.__name__
    mine = [one for one in request.session.items if one.module.__name__ == module and hasattr(one, "callspec")]
    wanted = dict.fromkeys(one.callspec.params["fault"] for one in mine if "fault" in one.callspec.params)
    with ThreadPoolExecutor(at_once) as pool:
        waiting = {fault: pool.submit(ask, fault) for fault in wanted}
        yield lambda fault: waiting[fault].result()
