"""Azure Resource Manager as a way to talk: paths, calls, answers, pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode

from penstock_azureml_emulator.errors import ArmError, invalid
from penstock_emulator.http import Answer, Request

SUBSCRIPTION = "5e6f2a1c-0000-4000-8000-000000000001"
GROUP = "penstock"
WORKSPACE = "penstock"
WORKSPACE_ID = "5e6f2a1c-0000-4000-8000-000000000002"
LOCATION = "westeurope"
PROVIDER = "Microsoft.MachineLearningServices"

WORKSPACE_PATH = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{PROVIDER}/workspaces/{WORKSPACE}"
_ANY_WORKSPACE = (
    rf"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    rf"/providers/{re.escape(PROVIDER)}/workspaces/(?P<workspace>[^/]+)"
)
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z]+)?")
_PAGE, _MOST = 25, 1000


@dataclass(frozen=True)
class Fate:
    """What was asked for of the operation that a call begins: its seconds, and what it fails with, if it does."""

    takes: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Call:
    """One call that was understood: what it is about, where the emulator is, and what becomes of its operation."""

    request: Request
    url: str
    names: dict[str, str]
    fate: Fate = Fate()

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises ArmError."""
        try:
            found = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise ArmError("InvalidRequest", f"the body is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ArmError("InvalidRequest", "the body is no JSON object")
        return found


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """Which requests a handler answers: a verb and a pattern of paths, where `{x}` stands for one part.

    `name` is what faults call it. `arm` says that an `api-version` is needed, `open` that no token is;
    `schema` is what the body is among Microsoft's schemas.
    """

    verb: str
    path: str
    name: str
    handler: Handler
    arm: bool = True
    open: bool = False
    schema: str = ""
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        text = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path.replace(".", r"\."))
        text = text.replace("WORKSPACE", _ANY_WORKSPACE)
        object.__setattr__(self, "pattern", re.compile(text, re.IGNORECASE))

    def match(self, verb: str, path: str) -> dict[str, str] | None:
        """The parts of a path, decoded, if this answers it."""
        found = self.pattern.fullmatch(path) if verb == self.verb else None
        return {key: unquote(value) for key, value in found.groupdict().items()} if found else None


def check_place(names: dict[str, str]) -> None:
    """Refuse another workspace than the one there is. Raises ArmError."""
    asked = [names.get(key) for key in ("subscription", "group", "workspace")]
    if asked[0] is not None and asked[0].lower() != SUBSCRIPTION:
        raise ArmError("ResourceNotFound", f"The subscription '{asked[0]}' could not be found.")
    if asked[2] is not None and [str(one).lower() for one in asked[1:]] != [GROUP, WORKSPACE]:
        raise ArmError(
            "ResourceNotFound",
            f"The Resource '{PROVIDER}/workspaces/{asked[2]}' under resource group '{asked[1]}' was not found.",
        )


def check_version(request: Request) -> None:
    """Refuse a call to ARM without an `api-version`; any that looks like one will do. Raises ArmError."""
    asked = request.one("api-version")
    if not asked:
        raise ArmError(
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not _VERSION.fullmatch(asked):
        raise ArmError("InvalidApiVersionParameter", f"The api-version '{asked}' is invalid.")


def answer(data: Any, status: int = 200, **headers: str) -> Answer:
    """JSON, with headers whose underscores become dashes."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/json; charset=utf-8", **told}, json.dumps(data).encode())


def page(call: Call, items: Iterable[dict[str, Any]]) -> Answer:
    """One page of a list: `$top` items, and a `nextLink` with `$skip` if there are more."""
    top, skip = _number(call.request, "$top", _PAGE), _number(call.request, "$skip", 0)
    found = list(items)
    size = min(max(top, 1), _MOST)
    said: dict[str, Any] = {"value": found[skip : skip + size]}
    if len(found) > skip + size:
        query = {key: values[-1] for key, values in call.request.query.items() if key != "$skip"}
        said["nextLink"] = f"{call.url}{call.request.path}?{urlencode({**query, '$skip': skip + size})}"
    return answer(said)


def _number(request: Request, key: str, otherwise: int) -> int:
    asked = request.one(key)
    if not asked:
        return otherwise
    if not re.fullmatch(r"[0-9]{1,9}", asked):
        raise invalid(f"{key}: {asked!r} is no number")
    return int(asked)


def below(*parts: str) -> str:
    """The id of something in the workspace."""
    return "/".join((WORKSPACE_PATH, *(quote(part, safe="-_.~:") for part in parts)))


def within(identifier: Any) -> str:
    """What an id of something in the workspace names in it, such as `components/x/versions/1`; else nothing.

    Also with `azureml:` before it, as the SDK sends ids.
    """
    text = str(identifier).removeprefix("azureml:")
    if not text.lower().startswith(f"{WORKSPACE_PATH.lower()}/"):
        return ""
    return unquote(text[len(WORKSPACE_PATH) + 1 :])
