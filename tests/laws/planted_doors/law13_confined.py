"""Doors that let callers further than their token."""

from __future__ import annotations

from penstock.callers import Rights


def scopes_are_not_looked_at():
    """Whoever has a token may everything on what it is for."""
    Rights.holds = lambda self, scope: True


def listings_are_for_everybody():
    """A listing shows everything to whoever may list."""
    from penstock.registry.registry import Endpoints, Runs

    for group in (Endpoints, Runs):
        real = group.list
        group.list = lambda self, real=real, **asked: real(self, **{**asked, "within": None})


def runs_are_found_by_whoever_knows_their_id():
    """Who knows the id of a run may look at it."""
    from penstock.workspace import rights

    confine = rights.confine

    def other(services, caller, name, scope, within, ref):
        return ref if within == "run" else confine(services, caller, name, scope, within, ref)

    _everywhere(confine, other)


def what_is_not_yours_is_forbidden():
    """A caller is told that an endpoint is another's, where one that is not there is not found."""
    from penstock.errors import NotFound, PolicyRefused
    from penstock.workspace import rights

    confine = rights.confine

    def other(services, caller, name, scope, within, ref):
        try:
            return confine(services, caller, name, scope, within, ref)
        except NotFound as error:
            if within == "endpoint":
                services.registry.endpoints.get(str(ref).partition("@")[0])
                raise PolicyRefused("this is not yours", code="scope_missing") from error
            raise

    _everywhere(confine, other)


def public_is_looked_up_first():
    """A server finds out whether an endpoint is public, and the acceptance does not ask again."""
    import time

    from penstock.registry import runs
    from penstock.server.access import Gatekeeper

    is_public, find = Gatekeeper._is_public, runs.find_endpoint

    def slowly(self, ref):
        found = is_public(self, ref)
        time.sleep(0.005)
        return found

    def open_to_all(tx, ref, **more):
        row = find(tx, ref, **more)
        return row and {**{key: row[key] for key in row.keys()}, "access": "public"}  # noqa: SIM118  # no mapping

    Gatekeeper._is_public, runs.find_endpoint = slowly, open_to_all


def nobodys_keys_are_everybodys():
    """A key of a caller who is not known is the same key as that of one who is."""
    from planting.statements import changed

    def same_scope(connection, sql, values):
        return sql, [str(one).removesuffix(":anonymous") if isinstance(one, str) else one for one in values]

    changed(r"r\.scope = \? AND r\.key|INSERT INTO runs", same_scope)


def bodies_are_logged():
    """What a trigger says is written into the log."""
    import logging

    from planting.requests import TRIGGERS, requested

    def told(request):
        logging.getLogger("penstock.server").warning("asked for %s", request.body)
        return request

    requested("POST", TRIGGERS, told)


def tokens_are_looked_at_first():
    """A token that is good when a trigger comes is good for as long as that waits."""
    from penstock.registry import runs

    runs.refuse_revoked = lambda tx, caller: None


def a_server_serves_whatever_lies_there():
    """What is served is not asked whose it is, and who can write it."""
    from penstock import trust

    trust.distrust = lambda path, what, opened=None: None


def _everywhere(real, other):
    """Put another function in the place of one, in every module that has it."""
    import sys

    import penstock.workspace.verbs  # noqa: F401  # where it is asked

    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is real:
                setattr(module, name, other)


CASES = {
    scopes_are_not_looked_at: ("http", "a_token_may_what_its_scope_says"),
    listings_are_for_everybody: ("azureml_v1", "a_token_lists_its_own"),
    runs_are_found_by_whoever_knows_their_id: ("http", "a_token_learns_nothing_of_the_rest"),
    what_is_not_yours_is_forbidden: ("http", "a_token_learns_nothing_of_the_rest"),
    public_is_looked_up_first: ("http", "public_is_decided_with_the_acceptance"),
    nobodys_keys_are_everybodys: ("azureml_v1", "public_is_its_triggers_and_nothing_else"),
    tokens_are_looked_at_first: ("http", "a_revoked_token_triggers_nothing"),
    a_server_serves_whatever_lies_there: ("http", "what_everybody_can_write_decides_nothing"),
    bodies_are_logged: ("http", "a_sensitive_value_is_its_runs_alone"),
}
