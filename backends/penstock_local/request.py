"""What a run was submitted with, as the queue keeps it: parameters under the names of the contract, nothing secret."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from penstock.contract.run import BoundParameters

_PARAMETERS = ("texts", "artifacts", "bundled")


@frozen
class Request:
    """`environment` holds names only, and so do the `sensitive` parameters: the values are kept by `environments`, and
    for as long as the run needs them. `python` is the interpreter that its steps find first; empty in a request from
    before that was kept, whose steps find the engine's. `above` are the tokens of the steps that it comes from. A
    `trial` is a run of a file, which was not published.
    """

    parameters: BoundParameters = field(factory=BoundParameters)
    environment: tuple[str, ...] = ()
    python: str = ""
    above: tuple[str, ...] = ()
    trial: bool = False


def to_text(
    parameters: BoundParameters,
    environment: Iterable[str],
    python: str = "",
    above: Iterable[str] = (),
    *,
    trial: bool = False,
) -> str:
    """A request as JSON."""
    bound: dict[str, Any] = {key: dict(getattr(parameters, key)) for key in _PARAMETERS}
    if parameters.sensitive:
        bound["texts"] = {name: text for name, text in bound["texts"].items() if name not in parameters.sensitive}
        bound["sensitive"] = list(parameters.sensitive)
    if parameters.absent:
        bound["absent"] = sorted(parameters.absent)
    request = {"parameters": bound, "environment": sorted(environment), "python": python}
    more = {"above": list(above), "trial": trial}
    return json.dumps({**request, **{key: value for key, value in more.items() if value}})


def read(text: str) -> Request:
    """A request from JSON. Raises ValueError when something is missing."""
    request = json.loads(text)
    parameters = _usable(request, "parameters", dict)
    bound = {key: _usable(parameters, key, dict) for key in _PARAMETERS}
    more = {"sensitive": [], "absent": [], **parameters}
    sensitive, absent = (_usable(more, key, list) for key in ("sensitive", "absent"))
    bound["typed"] = dict.fromkeys(absent)
    environment = tuple(_usable(request, "environment", list))
    python = _usable({"python": "", **request}, "python", str)
    above = tuple(map(str, _usable({"above": [], **request}, "above", list)))
    trial = _usable({"trial": False, **request}, "trial", bool)
    return Request(BoundParameters(**bound, sensitive=tuple(sensitive)), environment, python, above, trial)


def read_version_1(text: str) -> tuple[Request, Mapping[str, str], Mapping[str, Any]]:
    """Request, environment and settings from the one object that held all of them once. Raises ValueError."""
    request = json.loads(text)
    names = {"texts": "values", "artifacts": "artifacts", "bundled": "bundled"}
    bound = {key: _usable(request, name, dict) for key, name in names.items()}
    environment = _usable(request, "environment", dict)
    settings: Mapping[str, Any] = _usable(request, "settings", dict)
    return Request(BoundParameters(**bound), tuple(sorted(environment))), environment, settings


def _usable(request: Any, key: str, kind: type) -> Any:
    if not isinstance(request, dict) or not isinstance(request.get(key), kind):
        raise ValueError(f"no usable `{key}`")
    return request[key]
