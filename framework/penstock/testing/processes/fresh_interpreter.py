"""Calls made by a new interpreter whose hashes have another seed: what comes out must not depend on either."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

from penstock.testing.laws import Untested
from penstock.testing.processes.subprocesses import Died

T = TypeVar("T")

_STARTED = b"started\n"

_PROGRAM = f"""
import pickle, sys
out, sys.stdout = sys.stdout.buffer, sys.stderr
out.write({_STARTED!r})
out.flush()
try:
    function, arguments = pickle.load(sys.stdin.buffer)
    said = pickle.dumps((True, function(*arguments)))
except Exception as error:
    try:
        said = pickle.dumps((False, error))
        pickle.loads(said)
    except Exception:  # what cannot be pickled is told in words
        said = pickle.dumps((False, RuntimeError(f"{{type(error).__name__}}: {{error}}")))
out.write(said)
"""


def in_fresh_interpreter(function: Callable[..., T], *arguments: object, hash_seed: int) -> T:
    """What an importable function answers in a new interpreter, or raises there.

    Raises Died when it ends without an answer, and Untested when no interpreter can be started.
    """
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=pickle.dumps((function, arguments)),
            capture_output=True,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise Untested(f"a new interpreter cannot be started: {error.strerror}") from None
    if not done.stdout.startswith(_STARTED):
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise Untested(f"a new interpreter cannot be started: {last}")
    told = done.stdout.removeprefix(_STARTED)
    if not told:
        raise Died(-done.returncode if done.returncode < 0 else None)
    answered, value = pickle.loads(told)
    if not answered:
        raise value
    answer: T = value
    return answer
