"""What a caller may (law 13): a scope for each verb, and for who was given some endpoints only, nothing of the others.

Who has the registry's file at hand has no `rights` on record and may everything.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from penstock.callers import Caller, Rights, Scope
from penstock.errors import NotAuthenticated, NotFound, PenstockError, PolicyRefused
from penstock.workspace.asked import ASKED
from penstock.workspace.references import split_version
from penstock.workspace.services import Services

Within: TypeAlias = Literal["endpoint", "run", "listing"]
"""How a verb keeps a caller to some endpoints: its first argument names one or a run of one, or it lists just those."""


@frozen
class Verb:
    """What a verb is called, the scope that it needs, and how a caller of some endpoints is kept to them."""

    name: str
    scope: Scope
    within: Within | None


SUBMIT_PUBLISHED = Verb("run.submit_published", "submit", None)
"""Triggering what `run.submit` is told to be a published pipeline: who was given endpoints has none of these."""


def confine(services: Services, caller: Caller, name: str, scope: Scope, within: Within | None, ref: object) -> object:
    """Check that a caller may call a verb on what `ref` names; returns the reference to go on with.

    For a caller with some endpoints that is an id: what is renamed meanwhile does not become something else. Raises
    PolicyRefused `scope_missing`, and NotFound alike for what is not there and for what is not the caller's.
    """
    rights = caller.rights
    if rights is None:
        return ref
    if rights.public:
        # Only triggers pass; whether the endpoint is public is decided with the acceptance.
        if name != "run.submit":
            raise NotAuthenticated()
        return ref
    if not rights.holds(scope) or (within is None and rights.endpoints is not None):
        raise scope_missing(caller, name, scope, within)
    if rights.endpoints is None or within == "listing":
        return ref
    text = str(ref)
    if within == "run":
        if not services.registry.runs.is_within(text, rights.endpoints):
            raise NotFound(f"no run `{text}`", code="run_not_found")
        return text
    endpoint, version = split_version(text)
    found = services.registry.endpoints.within(endpoint, rights.endpoints)
    if found is None:
        raise NotFound(f"no endpoint `{endpoint}`", code="endpoint_not_found")
    return found if version is None else f"{found}@{version}"


def scope_missing(caller: Caller, name: str, scope: Scope, within: Within | None) -> PolicyRefused:
    """The refusal of a verb that needs another token, and which."""
    rights = caller.rights or Rights(scope="admin")
    some = " on some endpoints only" if rights.endpoints is not None else ""
    return PolicyRefused(
        f"{ASKED.get(name, name)} needs {token_needed(scope, within)}; {caller.actor} has `{rights.scope}`{some}",
        code="scope_missing",
    )


def token_needed(scope: Scope, within: Within | None) -> str:
    """Which token a verb needs: one of a scope, and for all endpoints unless the verb is of one."""
    return f"a token with the scope `{scope}`" + (", made without `--endpoint`" if within is None else "")


def without_names(caller: Caller, within: Within | None, ref: object, error: PenstockError) -> PenstockError:
    """The error for a caller of some endpoints or of none, who is not told what there is instead of what is not there.

    Between the check and the verb an endpoint may go, and the verb's own message would name those that are there.
    """
    rights = caller.rights
    if rights is None or error.code not in ("endpoint_not_found", "pipeline_not_found"):
        return error
    if rights.public:
        return NotAuthenticated()
    if rights.endpoints is None:
        return error
    what = f"the endpoint of run `{ref}` is no more" if within == "run" else f"no endpoint `{ref}`"
    return NotFound(what, code=error.code)


def within(caller: Caller) -> frozenset[str] | None:
    """The ids of the endpoints that a caller is kept to, or None for all."""
    return None if caller.rights is None else caller.rights.endpoints
