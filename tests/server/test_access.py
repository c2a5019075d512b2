"""Who may come in, and how far: scopes, tokens of one endpoint, and what they must not learn (law 13)."""

from __future__ import annotations

import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.searching import holders

from penstock.registry.tokens import SESSIONS
from penstock.server.rest.routes import ROUTES
from penstock.workspace import Workspace


def shape(reply) -> tuple[int, object]:
    """An answer without what is the request's own."""
    data = {key: value for key, value in reply.json.items() if key != "request_id"}
    return reply.status, data


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer penstock_0000000000000000_aaaa"},
        {"Authorization": "Bearer " + "a" * 5000},
        {"Authorization": "Bearer pen\u00e9stock"},
    ],
)
def test_without_a_valid_token_nobody_comes_in(served, headers) -> None:
    reply = served.call("GET", "/v1/endpoints/hello", headers=headers)
    assert (reply.status, reply.json["code"]) == (401, "not_authenticated")
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_a_token_that_is_changed_anywhere_is_refused_alike(served, tokens) -> None:
    token = tokens["read"]
    plain = shape(served.call("GET", "/v1/endpoints"))
    for place in range(0, len(token), 7):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert shape(served.call("GET", "/v1/endpoints", token=other)) == plain
    for name in ("authorization", "Authorization"):
        assert served.call("GET", "/v1/endpoints", headers={name: f"Token {token}"}).status == 200


def test_a_revoked_token_is_refused_at_once(served, folder, serving) -> None:
    token = serving.token(folder, "brief", "read")
    assert served.call("GET", "/v1/endpoints", token=token).status == 200
    serving.penstock(folder, "token", "revoke", "brief")
    assert served.call("GET", "/v1/endpoints", token=token).status == 401


def test_a_token_that_has_triggered_is_refused_at_once_when_it_is_revoked_and_triggers_nothing(
    served, folder, serving
) -> None:
    """Who may come in is found out with the decision; what the server knew of a token before counts for nothing."""
    token = serving.token(folder, "often", "submit")
    for _ in range(3):
        assert served.call("POST", "/v1/endpoints/hello/runs", {}, token=token).status == 201
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert served.call("POST", "/v1/endpoints/hello/runs", {}, token=wrong).status == 401
    with Workspace.open(folder, env={}, actor="ada") as workspace:  # another process for all the server knows
        before = workspace.runs.list().items[0].id
        workspace.tokens.revoke("often")
        for body in ({}, {"parameters": {"nmae": "x"}}, {"version": "99"}):
            assert served.call("POST", "/v1/endpoints/hello/runs", body, token=token).status == 401
        assert served.call("POST", "/v1/endpoints/nothing/runs", {}, token=token).status == 401
        assert workspace.runs.list().items[0].id == before


def test_what_waits_to_be_decided_when_its_token_is_revoked_is_refused(served, folder, serving) -> None:
    """Who revokes a token finds no run of it in the history after that, however long a trigger waited for its turn."""
    token = serving.token(folder, "waiting", "submit")
    assert served.call("POST", "/v1/endpoints/hello/runs", {}, token=token).status == 201

    def trigger(path: str) -> int:
        return served.call("POST", f"/v1/endpoints/{path}/runs", {}, token=token).status

    with (
        closing(sqlite3.connect(folder / ".penstock/registry.db", isolation_level=None)) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        asked = pool.map(trigger, ["hello", "hidden"])
        time.sleep(0.5)  # both were let in by then, and wait for the lock
        other.execute("UPDATE tokens SET revoked = 1 WHERE name = 'waiting'")
        other.execute("COMMIT")
        assert list(asked) == [401, 401]


def test_an_expired_token_is_refused(served, folder, serving) -> None:
    import time

    token = serving.penstock(folder, "token", "create", "short", "--scope", "read", "--expires", "1s", "-q")
    deadline = time.monotonic() + 20
    while served.call("GET", "/v1/endpoints", token=token).status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert served.call("GET", "/v1/endpoints", token=token).status == 401


def test_no_secret_is_kept_or_logged(served, folder, tokens) -> None:
    served.call("GET", "/v1/endpoints", token=tokens["one"])
    for token in tokens.values():
        secret = token.split("_", 2)[2]
        assert holders(folder / ".penstock", secret) == []
        assert secret not in served.log.read_text()


NEEDS = {
    "read": ("GET", "/v1/endpoints/hello"),
    "submit": ("POST", "/v1/endpoints/hello/runs"),
    "publish": ("PATCH", "/v1/endpoints/hello"),
}


@pytest.mark.parametrize("scope", NEEDS)
def test_a_scope_holds_those_before_it_and_no_other(served, tokens, scope) -> None:
    order = [*NEEDS, "admin"]
    for other in order:
        reply = served.call(*NEEDS[scope], data={}, token=tokens[other])
        if order.index(other) < order.index(scope):
            assert (reply.status, reply.json["code"]) == (403, "scope_missing")
        else:
            assert reply.status in (200, 201)


def test_a_token_of_one_endpoint_sees_that_one(served, tokens) -> None:
    run = served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["one"])
    assert run.status == 201
    assert served.call("GET", f"/v1/runs/{run.json['id']}", token=tokens["one"]).status == 200
    other = served.call("POST", "/v1/endpoints/hidden/runs", {}, token=tokens["submit"]).json["id"]
    assert served.call("GET", f"/v1/runs/{other}", token=tokens["one"]).status == 404
    listed = served.call("GET", "/v1/endpoints", token=tokens["one"]).json
    assert [one["name"] for one in listed["items"]] == ["hello"]
    runs = served.call("GET", "/v1/runs?limit=1000", token=tokens["one"]).json["items"]
    assert {one["endpoint"] for one in runs} == {"hello"}


PATHS = sorted((route.method, route.path) for route in ROUTES if "{" in route.path)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_token_of_one_endpoint_learns_nothing_of_another(served, tokens, method, path) -> None:
    """Whatever is asked of an endpoint or run that is not the token's is answered as for one that is not there."""
    admin = tokens["admin"]
    hidden = served.call("GET", "/v1/endpoints/hidden", token=admin).json
    run = served.call("POST", "/v1/endpoints/hidden/runs", {}, token=admin).json["id"]
    there = {"name": "hidden", "id": run, "version": "0", "step": "write"}
    absent = {**there, "name": "hiddem", "id": run[:-1] + ("0" if run[-1] != "0" else "1")}
    if "/pipelines/" in path:
        there["id"] = hidden["versions"][0]["published"]
    replies = []
    for named in (there, absent):
        asked = re.sub(r"\{(\w+)\}", lambda found, named=named: named[found[1]], path)
        status, data = shape(served.call(method, asked, {} if method != "GET" else None, token=tokens["one"]))
        replies.append((status, str(data).replace(named["id"], "ID").replace(named["name"], "NAME")))
    assert replies[0] == replies[1]
    assert replies[0][0] in (400, 403, 404)


@settings(max_examples=60)
@given(ref=st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_reference_is_answered_and_gives_nothing_away(served, tokens, ref) -> None:
    from urllib.parse import quote

    reply = served.call("GET", f"/v1/endpoints/{quote(ref, safe='')}", token=tokens["one"])
    assert reply.status in (200, 400, 404)
    assert "hidden" not in reply.body.decode() or "hidden" in ref


def test_pages_of_other_origins_are_refused(served, tokens) -> None:
    refused = served.call("GET", "/v1/endpoints", token=tokens["read"], headers={"Origin": "https://evil.example"})
    assert (refused.status, refused.json["code"]) == (403, "origin_not_allowed")
    own = served.call("GET", "/v1/endpoints", token=tokens["read"], headers={"Origin": served.url})
    assert own.status == 200


def exchange(served, form: dict[str, str], path: str = "/common/oauth2/token"):
    from urllib.parse import urlencode

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return served.call("POST", path, body=urlencode(form).encode(), headers=kind)


def test_who_logs_in_as_a_service_principal_gets_a_short_lived_token(served, folder, serving) -> None:
    token = serving.token(folder, "principal", "submit", ["hello"])
    form = {"grant_type": "client_credentials", "client_id": "principal", "client_secret": token}
    old = exchange(served, {**form, "resource": "https://management.azure.com/"}).json
    assert old["token_type"] == "Bearer"
    assert 3500 < int(old["expires_in"]) <= 3600
    assert isinstance(old["expires_in"], str)
    assert old["resource"] == "https://management.azure.com/"
    new = exchange(served, {**form, "scope": "x/.default"}, "/t-1/oauth2/v2.0/token").json
    assert isinstance(new["expires_in"], int)
    for made in (old, new):
        run = served.call("POST", "/v1/endpoints/hello/runs", {}, token=made["access_token"])
        assert (run.status, run.json["by"]) == (201, "principal")
        assert served.call("GET", "/v1/endpoints/hidden", token=made["access_token"]).status == 404
        again = exchange(served, {**form, "client_secret": made["access_token"]})
        assert again.status == 401  # it cannot prolong itself
    serving.penstock(folder, "token", "revoke", "principal")
    assert served.call("GET", "/v1/endpoints", token=old["access_token"]).status == 401


def test_short_lived_tokens_fill_no_disk(served, folder, serving) -> None:
    """Of each token there are only so many, the newest; those that are over, or whose token is revoked, are deleted."""
    token = serving.token(folder, "in-a-loop", "read")
    other = serving.token(folder, "seldom", "read")
    form = {"grant_type": "client_credentials", "client_id": "in-a-loop", "client_secret": token}
    first, second = (exchange(served, form).json["access_token"] for _ in range(2))
    seldom = exchange(served, {**form, "client_id": "seldom", "client_secret": other}).json["access_token"]
    with closing(sqlite3.connect(folder / ".penstock/registry.db", timeout=30)) as registry:

        def count(where: str = "") -> int:
            sql = f"SELECT count(*) FROM sessions s JOIN tokens t ON t.seq = s.token WHERE t.name = 'in-a-loop' {where}"
            return int(registry.execute(sql).fetchone()[0])

        for number, expires in ((SESSIONS - 2, "expires"), (5, "1")):
            registry.execute(
                f"""INSERT INTO sessions (id, token, secret_hash, expires)
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
                    SELECT ? || i, token, secret_hash, {expires} FROM sessions, n WHERE id = ?""",
                (number, expires, first.split("_")[1]),
            )
        registry.commit()
        assert count() == SESSIONS + 5
        newest = exchange(served, form).json["access_token"]
        assert (count(), count("AND s.expires = 1")) == (SESSIONS, 0)
        reached = [served.call("GET", "/v1/endpoints", token=one).status for one in (first, second, newest, seldom)]
        assert reached == [401, 200, 200, 200]
        serving.penstock(folder, "token", "revoke", "in-a-loop")
        assert count() == 0
    assert served.call("GET", "/v1/endpoints", token=seldom).status == 200


def test_the_registry_grows_by_nothing_that_a_weak_caller_does(served, folder, serving, tokens) -> None:
    """Whatever is asked without a token, or with one that may only read, and whatever is refused, leaves no row."""
    run = served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["one"]).json["id"]
    served.call("POST", f"/v1/runs/{run}/cancel", {}, token=tokens["one"])
    session = {"grant_type": "client_credentials", "client_id": "read", "client_secret": "penstock_0_0"}

    with closing(sqlite3.connect(folder / ".penstock/registry.db", timeout=30)) as registry:

        def rows() -> dict[str, int]:
            tables = [row[0] for row in registry.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {one: registry.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in tables}

        before = rows()
        named = {"name": "hello", "id": run, "version": "0", "step": "write"}
        for route in ROUTES:
            path = re.sub(r"\{(\w+)\}", lambda found: named[found[1]], route.path)
            for token in (None, "penstock_0_0", tokens["read"]):
                assert served.call(route.method, path, {}, token=token).status < 500
        for path in ("/a/oauth2/token", "/a/oauth2/v2.0/token"):
            assert exchange(served, session, path).status == 401
        for _ in range(3):
            assert served.call("POST", f"/v1/runs/{run}/cancel", {}, token=tokens["one"]).status == 200
            for wrong in ({"parameters": {"times": 9}}, {"version": 7}, {"x": 1}):
                assert served.call("POST", "/v1/endpoints/hello/runs", wrong, token=tokens["one"]).status >= 400
            assert served.call(
                "POST", "/v1/endpoints/hello/runs", {}, token=tokens["one"], headers={"Idempotency-Key": "k"}
            )
        assert {name: count - before[name] for name, count in rows().items() if count != before[name]} == {
            # The one run that was accepted.
            "runs": 1, "requests": 1, "outbox": 1, "history": 1,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"client_secret": "x"}, 401, "invalid_client"),
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"client_id": ""}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_who_logs_in_wrongly_gets_none(served, tokens, change, status, code) -> None:
    form = {"grant_type": "client_credentials", "client_id": "read", "client_secret": tokens["read"], **change}
    reply = exchange(served, form)
    assert (reply.status, reply.json["error"]) == (status, code)


OWN = [
    ("GET", "/v1/endpoints/{}@0"),
    ("PATCH", "/v1/endpoints/{}@0"),
    ("GET", "/v1/endpoints/{}@0/at?time=2026-11-26T00:00:00Z"),
    ("GET", "/v1/endpoints/{}"),
    ("POST", "/v1/endpoints/{}/runs"),
    ("DELETE", "/v1/endpoints/{}"),
]


def test_what_is_no_more_of_ones_own_names_no_other_endpoint(served, folder, serving) -> None:
    """A reference to an own endpoint that leads nowhere is answered without what there is instead."""
    from penstock.workspace import Workspace

    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "greet.yaml", endpoint="brief")
    token = serving.token(folder, "of-brief", "admin", ["brief"])
    run = served.call("POST", "/v1/endpoints/brief/runs", {}, token=token).json["id"]
    served.call("POST", f"/v1/runs/{run}/cancel", {}, token=token)
    replies = [served.call(method, path.format("brief"), {}, token=token) for method, path in OWN[:3]]
    assert served.call("DELETE", "/v1/endpoints/brief", token=token).status == 200
    replies += [served.call(method, path.format("brief"), {}, token=token) for method, path in OWN]
    replies.append(served.call("POST", f"/v1/runs/{run}/rerun", {}, token=token))
    for reply in replies:
        assert reply.status == 404
        assert b"hidden" not in reply.body
        assert b"hello" not in reply.body


def test_a_page_whose_name_leads_here_is_refused_where_no_token_is_asked_for(folder, serving) -> None:
    """It is of one origin with what it asks (DNS rebinding), so only the name it was addressed by gives it away."""
    server = serving.Served(folder, "--no-dispatch", "--no-auth")
    try:
        for host in (
            "evil.example",
            f"evil.example:{server.port}",
            "localhost.evil.example",
            "10.0.0.1",
            "127.0.0.1.x",
        ):
            for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
                refused = server.call("POST", "/v1/endpoints/hello/runs", {}, headers=headers)
                assert (refused.status, refused.json["code"]) == (403, "origin_not_allowed"), host
        for host in ("localhost", f"LOCALHOST:{server.port}", "127.0.0.1", f"[::1]:{server.port}", "[::1]"):
            assert server.call("GET", "/v1/endpoints", headers={"Host": host}).status == 200, host
    finally:
        server.stop()


def test_who_has_no_token_waits_for_no_writer(served, folder, tokens) -> None:
    """Whoever asks for a short-lived token without one to give is refused without taking the lock of decisions."""
    form = {"grant_type": "client_credentials", "client_id": "read", "client_secret": "penstock_0_0"}
    with closing(sqlite3.connect(folder / ".penstock/registry.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert exchange(served, form).status == 401
        assert time.monotonic() - began < 5
        connection.execute("ROLLBACK")
