"""How a target is, in plain words: what can be asked without starting anything."""

from __future__ import annotations

from penstock.contract.target import Health, Target
from penstock.errors import PenstockError
from penstock_vertex.client import connect
from penstock_vertex.options import VertexOptions


def check(target: Target) -> Health:
    """Credentials, the project's jobs, the bucket and what may be done with it; one line each, all of them."""
    options: VertexOptions = target.options
    try:
        vertex = connect(options)
    except PenstockError as error:
        return Health(ok=False, lines=(str(error),))
    lines, ok = [f"credentials: {options.credentials}"], True
    try:
        vertex.find_job("penstock-check")
        lines.append(f"jobs: can be read in {options.project}, {options.location}")
    except PenstockError as error:
        lines.append(str(error))
        ok = False
    try:
        missing = vertex.permissions()
        lines.append(
            f"staging: {options.staging} lacks {', '.join(missing)}" if missing else f"staging: {options.staging}"
        )
        ok = ok and not missing
    except PenstockError as error:
        lines.append(str(error))
        ok = False
    return Health(ok=ok, lines=tuple(lines))
