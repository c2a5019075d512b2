"""Tokens of an issuer that is really there: what they allow, and Entra's two kinds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

TENANT = "8a1f2f1c-0000-4000-8000-3c1d5b0a0001"
OTHER = "8a1f2f1c-0000-4000-8000-3c1d5b0a0002"
V1, V2 = "https://sts.windows.net/{}/", "https://login.microsoftonline.com/{}/v2.0"
PATH = "/v1/endpoints/hello"


def grant(claim: str, value: str, scope: str, *endpoints: str) -> dict[str, Any]:
    return {"claim": claim, "value": value, "scope": scope, **({"endpoints": list(endpoints)} if endpoints else {})}


SCOPES = [
    grant("roles", "Run", "submit", "hello"),
    grant("roles", "RunHidden", "submit", "hidden", "not-there"),
    grant("roles", "Absent", "submit", "not-there"),
    grant("groups", "ops", "admin"),
    grant("scp", "pipelines.read", "read"),
    grant("realm_access.roles", "publisher", "publish"),
    grant("https://acme.example/roles", "reader", "read", "hello"),
    grant("azp", "app-1", "submit"),
]


@pytest.fixture(scope="module")
def issuer(issuing) -> Iterator[Any]:
    made = issuing.Issuer("/realms/acme/")
    made.key("one")
    made.key("p-256", "P-256")
    made.key("p-521", "P-521")
    made.key("ed", "Ed25519")
    made.published += [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}, {"kty": "new", "kid": "one"}, "x", {"kty": "RSA"}]
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(folder, serving, issuing, issuer) -> Iterator[Any]:
    algorithms = ["RS256", "RS384", "PS256", "ES256", "ES512", "Ed25519", "EdDSA"]
    entra = [
        issuer.option(issuer=name.format(TENANT), jwks_uri=f"{issuer.address}/keys", actor=actor)
        for name, actor in ((V1, "appid"), (V2, "azp"))
    ]
    options = [issuer.option(scopes=SCOPES, algorithms=algorithms, clock_skew="30s"), *entra]
    with issuing.running(folder, serving, options) as started:
        yield started


def test_the_subject_is_the_actor_and_verified(server, issuer) -> None:
    run = server.call("POST", f"{PATH}/runs", {}, token=issuer.token(sub="svc-nightly"))
    assert (run.status, run.json["by"], run.json["verified"]) == (201, "svc-nightly", True)
    admin = issuer.token(sub="ops-1", groups=["ops"], roles=None)
    for action in ("disable", "enable"):
        assert server.call("POST", f"/v1/endpoints/hidden/{action}", {}, token=admin).status == 200
    entry = server.call("GET", "/v1/endpoints/hidden/history?limit=1", token=admin).json["items"][0]
    assert (entry["by"], entry["verified"], entry["door"]) == ("ops-1", True, "rest")


def test_the_configuration_is_shown_with_its_origin(folder, serving, issuer, monkeypatch) -> None:
    monkeypatch.setenv("PENSTOCK_SERVER_OIDC", json.dumps([issuer.option()]))
    shown = serving.penstock(folder, "server", "show")
    assert issuer.name in shown
    items = json.loads(serving.penstock(folder, "server", "show", "--json"))["items"]
    (one,) = [item for item in items if item["option"] == "oidc"]
    assert (one["origin"], one["value"][0]["issuer"]) == ("PENSTOCK_SERVER_OIDC", issuer.name)


@pytest.mark.parametrize(
    ("kid", "alg"),
    [
        ("one", "RS256"),
        ("one", "RS384"),
        ("one", "PS256"),
        ("p-256", "ES256"),
        ("p-521", "ES512"),
        ("ed", "Ed25519"),
        ("ed", "EdDSA"),
    ],
)
@pytest.mark.filterwarnings("ignore:EdDSA")
def test_every_configured_algorithm_is_taken(server, issuer, kid, alg) -> None:
    assert server.call("GET", PATH, token=issuer.token(kid=kid, alg=alg)).status == 200


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_a_token_is_of_a_known_type_or_of_none(server, issuer, typ) -> None:
    assert server.call("GET", PATH, token=issuer.token(header={"typ": typ})).status == 200


def test_what_says_nothing_to_us_is_let_be(server, issuer) -> None:
    token = issuer.token(header={"x5t": "abc", "pi.atm": "1"}, ver="1.0", nested={"roles": [1, None]})
    assert server.call("GET", PATH, token=token).status == 200
    for scheme in ("Bearer", "bearer", "Token"):
        headers = {"Authorization": f"{scheme} {issuer.token()}"}
        assert server.call("GET", PATH, headers=headers).status == 200


@pytest.mark.parametrize(("aud", "status"), [("api://penstock", 200), (["x", "api://penstock"], 200), (["x"], 401)])
def test_one_audience_is_enough(server, issuer, aud, status) -> None:
    assert server.call("GET", PATH, token=issuer.token(aud=aud)).status == status


@pytest.mark.parametrize(("name", "seconds", "status"), [("exp", -15, 200), ("nbf", 15, 200), ("iat", 15, 200)])
def test_clocks_may_differ_a_little(server, issuer, name, seconds, status) -> None:
    for off, expected in ((seconds, status), (seconds * 4, 401)):
        assert server.call("GET", PATH, token=issuer.token(**{name: int(time.time()) + off})).status == expected


@pytest.mark.parametrize(
    ("claims", "sees", "scope"),
    [
        ({"roles": ["Run"]}, ["hello"], "submit"),
        ({"roles": ["Other", "RunHidden", 3]}, ["hidden"], "submit"),
        ({"roles": ["Run", "RunHidden"]}, ["hello", "hidden"], "submit"),
        ({"roles": ["Absent"]}, [], "submit"),
        ({"roles": "Run"}, ["hello"], "submit"),
        ({"roles": ["Run"], "groups": ["ops"]}, ["hello", "hidden"], "submit"),
        ({"groups": ["ops"]}, ["hello", "hidden"], "admin"),
        ({"scp": "openid pipelines.read"}, ["hello", "hidden"], "read"),
        ({"scp": "pipelines.readx"}, None, ""),
        ({"scp": ["pipelines.read"]}, ["hello", "hidden"], "read"),
        ({"realm_access": {"roles": ["publisher"]}}, ["hello", "hidden"], "publish"),
        ({"realm_access.roles": ["publisher"]}, ["hello", "hidden"], "publish"),
        ({"realm_access": ["publisher"]}, None, ""),
        ({"https://acme.example/roles": ["reader"]}, ["hello"], "read"),
        ({"azp": "app-1"}, ["hello", "hidden"], "submit"),
        ({"scope": "Run"}, None, ""),
        ({}, None, ""),
    ],
)
def test_claims_become_a_scope_on_endpoints(server, issuer, claims, sees, scope) -> None:
    token = issuer.token(**{"roles": None, **claims})
    listed = server.call("GET", "/v1/endpoints", token=token)
    if sees is None:
        assert listed.status == 401
        return
    assert sorted(one["name"] for one in listed.json["items"]) == sees
    for endpoint in ("hello", "hidden"):
        status = server.call("GET", f"/v1/endpoints/{endpoint}", token=token).status
        assert status == (200 if endpoint in sees else 404)
        run = server.call("POST", f"/v1/endpoints/{endpoint}/runs", {}, token=token).status
        assert run == (403 if scope == "read" else 201 if endpoint in sees else 404)
    changed = server.call("PATCH", PATH, {}, token=token).status
    expected = 200 if scope in ("publish", "admin") else 403
    assert changed == expected


def test_both_kinds_of_entra_are_taken_and_no_other_tenant(server, issuer) -> None:
    """One tenant's keys sign for all of them, so that the issuer alone tells tenants apart."""
    for name, claims in ((V1, {"ver": "1.0", "appid": "app-1"}), (V2, {"ver": "2.0", "azp": "app-1"})):
        claims = {**claims, "sub": "AAAA-opaque", "tid": TENANT, "roles": ["Run"]}
        run = server.call("POST", f"{PATH}/runs", {}, token=issuer.token(iss=name.format(TENANT), **claims))
        assert (run.status, run.json["by"]) == (201, "app-1")
        for wrong in (name.format(OTHER), name.format("common"), name.format(TENANT) + "/", name.format(TENANT)[:-1]):
            assert server.call("GET", PATH, token=issuer.token(iss=wrong, **claims)).status == 401
    # A token without the claim that is to be the actor is nobody's.
    assert server.call("GET", PATH, token=issuer.token(iss=V2.format(TENANT), appid="app-1")).status == 401


def test_old_callers_of_azure_ml_come_with_theirs(server, issuer) -> None:
    path = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    path += "/PipelineRuns/PipelineEndpointSubmit/Name?endpointName=hello&name=hello"
    token = issuer.token(iss=V2.format(TENANT), azp="factory")
    run = server.call("POST", path, {"ExperimentName": "old"}, token=token)
    assert run.status == 200
    assert server.call("GET", f"/v1/runs/{run.json['Id']}", token=token).json["by"] == "factory"
    assert server.call("POST", path, {}, token=token[:-5]).status == 401


def test_tokens_of_ours_are_ours_still(server, tokens) -> None:
    assert server.call("GET", PATH, token=tokens["one"]).status == 200
    for token in ("penstock_a.b.c", "a.b.c", "penstocks_0000.x.y", tokens["one"] + "."):
        assert server.call("GET", PATH, token=token).status == 401
