"""Calls made by a new interpreter whose hashes have another seed: what comes out must not depend on either."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

from penstock.testing.laws import Untested

T = TypeVar("T")

_PROGRAM = """
import pickle, sys
out, sys.stdout = sys.stdout, sys.stderr
function, arguments = pickle.load(sys.stdin.buffer)
pickle.dump(function(*arguments), out.buffer)
"""


def anew(function: Callable[..., T], *arguments: object, hash_seed: int) -> T:
    """What an importable function answers in a new interpreter. Raises Untested when that fails."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=pickle.dumps((function, arguments)),
        capture_output=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise Untested(f"a new interpreter could not be asked: {last}")
    answer: T = pickle.loads(done.stdout)
    return answer
