"""The ways in which an issuer's token can be wrong: each is answered as no token at all, and the log alone says why."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Wrong = Callable[[Any, Any], str]
NOT_FOR_US = "its algorithm is not one"
UNSIGNED = "the signature is not"
NO_BASE64 = "a part of it is empty or no base64url"
NO_JSON = "a part of it is no JSON"
LATER = 10_000

TABLE: list[tuple[str, Wrong, str]] = []


def wrong(reason: str) -> Callable[[Wrong], Wrong]:
    """A way to make a token that is wrong, and what the log has to say of it."""

    def listed(make: Wrong) -> Wrong:
        TABLE.append((make.__name__, make, reason))
        return make

    return listed


def header(reason: str, **changed: Any) -> None:
    TABLE.append((f"header {changed}"[:60], lambda issuer, _: issuer.token(header=changed), reason))


def claim(reason: str, **changed: Any) -> None:
    TABLE.append((f"claim {changed}"[:60], lambda issuer, _: issuer.token(**changed), reason))


def time_claim(reason: str, name: str, seconds: int) -> None:
    def made(issuer: Any, _: Any) -> str:
        return issuer.token(**{name: int(time.time()) + seconds})

    TABLE.append((f"{name} in {seconds} s", made, reason))


def raw(reason: str, said: bytes | None = None, claims: bytes | None = None) -> None:
    def made(issuer: Any, tools: Any) -> str:
        good = json.dumps({"alg": "RS256", "kid": "one"}).encode()
        whole = json.dumps(issuer.claims()).encode()
        text = whole if claims is None else claims.replace(b"REST", whole[1:-1])
        return tools.signed(good if said is None else said, text, "RS256", issuer.keys["one"])

    TABLE.append((f"raw {said or claims!r}"[:60], made, reason))


def changed(reason: str, change: Callable[[list[str]], list[str]]) -> None:
    def made(issuer: Any, _: Any) -> str:
        return ".".join(change(issuer.token().split(".")))

    TABLE.append((f"parts {len(TABLE)}", made, reason))


# Of how it is signed.
@wrong(NOT_FOR_US)
def signed_by_nobody(issuer: Any, tools: Any) -> str:
    return ".".join(
        [tools.b64(json.dumps(one).encode()) for one in ({"alg": "none", "kid": "one"}, issuer.claims())] + ["AA"]
    )


@wrong(NO_BASE64)
def signed_by_nobody_and_nothing(issuer: Any, tools: Any) -> str:
    return ".".join([tools.b64(json.dumps(one).encode()) for one in ({"alg": "none"}, issuer.claims())] + [""])


def _with_a_secret(issuer: Any, tools: Any, secret: bytes) -> str:
    said = {"alg": "HS256", "kid": "one", "typ": "JWT"}
    text = ".".join(tools.b64(json.dumps(one).encode()) for one in (said, issuer.claims()))
    return f"{text}.{tools.b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


@wrong(NOT_FOR_US)
def the_public_key_as_a_secret(issuer: Any, tools: Any) -> str:
    return _with_a_secret(issuer, tools, issuer.keys["one"].as_pem(private=False))


@wrong(NOT_FOR_US)
def the_published_key_as_a_secret(issuer: Any, tools: Any) -> str:
    return _with_a_secret(issuer, tools, json.dumps(issuer.published[0]).encode())


@wrong(NOT_FOR_US)
def an_algorithm_that_is_not_configured(issuer: Any, tools: Any) -> str:
    return issuer.token(alg="RS512")


@wrong(UNSIGNED)
def a_key_of_another_type(issuer: Any, tools: Any) -> str:
    return issuer.token(kid="curve", by="one")


@wrong(UNSIGNED)
def a_curve_for_the_name_of_another(issuer: Any, tools: Any) -> str:
    return issuer.token(kid="one", alg="ES256", by="curve")


@wrong(UNSIGNED)
def a_key_that_says_it_is_for_another_algorithm(issuer: Any, tools: Any) -> str:
    return issuer.token(kid="other-alg")


@wrong("no key of that name")
def a_key_for_encryption(issuer: Any, tools: Any) -> str:
    return issuer.token(kid="for-encryption")


@wrong("no key of that name")
def a_key_that_is_too_short(issuer: Any, tools: Any) -> str:
    return issuer.token(kid="short")


@wrong(UNSIGNED)
def somebody_elses_key_under_a_known_name(issuer: Any, tools: Any) -> str:
    return issuer.token(by="theirs")


@wrong("no key of that name")
def an_unknown_key(issuer: Any, tools: Any) -> str:
    return issuer.token(kid="theirs")


@wrong(UNSIGNED)
def the_signature_of_another_token(issuer: Any, tools: Any) -> str:
    return ".".join([*issuer.token(sub="admin").split(".")[:2], issuer.token().split(".")[2]])


@wrong("has `jwk`")
def a_key_that_it_brings(issuer: Any, tools: Any) -> str:
    return issuer.token(by="theirs", header={"jwk": issuer.keys["theirs"].as_dict(private=False)})


@wrong("has `jku`")
def keys_that_it_says_where_they_are(issuer: Any, tools: Any) -> str:
    return issuer.token(by="theirs", header={"jku": f"{issuer.address}/theirs"})


changed(NO_BASE64, lambda parts: [*parts[:2], ""])
changed(UNSIGNED, lambda parts: [*parts[:2], parts[2][:-2]])
changed(UNSIGNED, lambda parts: [*parts[:2], "A" * 342])
changed(UNSIGNED, lambda parts: [*parts[:2], "A" * 4000])
changed(NO_BASE64, lambda parts: [*parts[:2], parts[2] + "=="])
changed(NO_BASE64, lambda parts: [*parts[:2], parts[2][:-1] + chr(ord(parts[2][-1]) + 1)])
changed(NO_BASE64, lambda parts: [*parts[:2], parts[2][:9] + "~" + parts[2][10:]])
changed("not three parts", lambda parts: parts[:2])
changed("not three parts", lambda parts: [*parts, parts[2]])
changed("not three parts", lambda parts: [*parts, "", parts[2]])
changed(NO_BASE64, lambda parts: ["", parts[1], parts[2]])
changed(NO_BASE64, lambda parts: [parts[0], "", parts[2]])
changed(NO_BASE64, lambda _: ["", "", ""])

# Of its header.
header("names no key", kid=None)
header("names no key", kid="")
header("names no key", kid=1)
header("names no key", kid=["one"])
header("names no key", kid="k" * 300)
header("no key of that name", kid="../../../etc/passwd")
header("no key of that name", kid="one\x00")
header(NOT_FOR_US, alg=None)
header(NOT_FOR_US, alg="rs256")
header(NOT_FOR_US, alg="")
header(NOT_FOR_US, alg="none")
header(NOT_FOR_US, alg=["RS256"])
header(NOT_FOR_US, alg={"RS256": 1})
header("has `crit`", crit=["exp"])
header("has `crit`", crit=[])
header("has `crit`", crit=["b64"], b64=False)
header("has `b64`", b64=False)
header("has `b64`", b64=True)
header("has `x5u`", x5u="https://evil.example/cert")
header("has `x5c`", x5c=["MIIB"])
header("has `cty`", cty="JWT")
header("has `zip`", zip="DEF")
header("has `enc`", enc="A128GCM")
header("its type is not", typ="logout+jwt")
header("its type is not", typ="dpop+jwt")
header("its type is not", typ="")
header("its type is not", typ=["JWT"])
header(UNSIGNED, long="x" * 3000)
raw(NO_JSON, said=b'{"alg": "none", "alg": "RS256", "kid": "one"}')
raw(NO_JSON, said=b'{"alg": "RS256", "kid": "theirs", "kid": "one"}')
raw(NO_JSON, said=b'["RS256"]')
raw(NO_JSON, said=b'{"alg": "RS256", "kid": "one\xff"}')
raw(NO_JSON, said=b'\xef\xbb\xbf{"alg": "RS256", "kid": "one"}')
raw(NO_JSON, said=b'{"alg": "RS256", "kid": "one"} {}')

# Of what it claims.
claim("missing_claim `aud`", aud=None)
claim("invalid_claim `aud`", aud="api://other")
claim("invalid_claim `aud`", aud="api://penstock/")
claim("invalid_claim `aud`", aud="API://PENSTOCK")
claim("invalid_claim `aud`", aud=["api://other", "api://another"])
claim("invalid_claim `aud`", aud=["api://penstock", 1])
claim("invalid_claim `aud`", aud=[["api://penstock"]])
claim("invalid_claim `aud`", aud=[])
claim("invalid_claim `aud`", aud={"api://penstock": 1})
claim("its issuer", iss=None)
claim("its issuer", iss="https://evil.example")
claim("its issuer", iss=["https://evil.example"])
claim("its issuer", iss=1)
TABLE.append(("issuer with a slash", lambda issuer, _: issuer.token(iss=issuer.name + "/"), "its issuer"))
TABLE.append(("issuer in a list", lambda issuer, _: issuer.token(iss=[issuer.name]), "its issuer"))
TABLE.append(("issuer, larger", lambda issuer, _: issuer.token(iss=issuer.name.upper()), "its issuer"))
claim("missing_claim `sub`", sub=None)
claim("invalid_claim `sub`", sub=1)
claim("invalid_claim `sub`", sub=["nightly"])
claim("invalid_claim `sub`", sub={"name": "nightly"})
claim("invalid_claim `sub`", sub="")
claim("its claim `sub`", sub=" nightly")
claim("its claim `sub`", sub="nightly\nadmin")
claim("its claim `sub`", sub="\ud800")
claim("its claim `sub`", sub="\u202enightly")
claim("its claim `sub`", sub="n" * 300)
claim("missing_claim `exp`", exp=None)
claim("invalid_claim `exp`", exp="2999-01-01")
claim("invalid_claim `exp`", exp="99999999999")
claim("invalid_claim `exp`", exp=True)
claim("invalid_claim `exp`", exp=[99999999999])
claim("expired_token `exp`", exp=0)
claim("expired_token `exp`", exp=-1)
time_claim("expired_token `exp`", "exp", -LATER)
time_claim("expired_token `exp`", "exp", -61)
time_claim("invalid_claim `nbf`", "nbf", LATER)
time_claim("invalid_claim `nbf`", "nbf", 90)
time_claim("invalid_claim `iat`", "iat", LATER)
claim("invalid_claim `nbf`", nbf="yesterday")
claim("invalid_claim `iat`", iat="yesterday")
claim("has `cnf`", cnf={"jkt": "x"})
claim("has `at_hash`", at_hash="x")
claim("no claim of it has a scope", roles=None)
claim("no claim of it has a scope", roles=[])
claim("no claim of it has a scope", roles="run")
claim("no claim of it has a scope", roles="Run Other")
claim("no claim of it has a scope", roles={"Run": True})
claim("no claim of it has a scope", roles=[["Run"]])
raw(NO_JSON, claims=b'{"sub": "admin", REST}')
raw(NO_JSON, claims=b'{REST, "exp": NaN}')
raw(NO_JSON, claims=b'{"not": NaN, REST}')
raw(NO_JSON, claims=b'{"not": 1e999, REST}')
raw(NO_JSON, claims=b'{"not": -Infinity, REST}')
raw(NO_JSON, claims=b'{"not": ' + b"9" * 5000 + b", REST}")
raw(NO_JSON, claims=b'{"not": "\xff", REST}')
raw(NO_JSON, claims=b'{"not": "\xed\xa0\x80", REST}')
raw(NO_JSON, claims=b'{"not": ' + b"[" * 5000 + b"]" * 5000 + b", REST}")
raw(NO_JSON, claims=b"[{REST}]")
raw(NO_JSON, claims=b'"text"')
raw(NO_JSON, claims=b"null")
raw(NO_JSON, claims=b"{REST")
raw(NO_JSON, claims="{REST}".encode("utf-16").replace("REST".encode("utf-16-le"), b""))


@wrong(NO_JSON)
def a_token_in_a_token(issuer: Any, tools: Any) -> str:
    said = json.dumps({"alg": "RS256", "kid": "one"}).encode()
    return tools.signed(said, issuer.token().encode(), "RS256", issuer.keys["one"])


@pytest.fixture(scope="module")
def issuer(issuing) -> Iterator[Any]:
    made = issuing.Issuer()
    made.key("one")
    made.key("curve", "P-256")
    made.key("other-alg", alg="PS256")
    made.key("for-encryption", use="enc")
    made.key("short", size=1024)
    made.secret("theirs")
    made.answers["/theirs"] = (200, {}, json.dumps({"keys": [made.keys["theirs"].as_dict(private=False)]}).encode())
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(folder, serving, issuer) -> Iterator[Any]:
    option = [issuer.option(algorithms=["RS256", "ES256"])]
    started = serving.Served(folder, "--no-dispatch", env={"PENSTOCK_SERVER_OIDC": json.dumps(option)})
    yield started
    started.stop()


def said(reply: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    """All of an answer but what is each answer's own."""
    data = {key: value for key, value in reply.json.items() if key != "request_id"}
    return reply.status, {k: v for k, v in reply.headers.items() if k not in ("date", "x-request-id")}, data


def reasons(server: Any, request_id: str) -> list[str]:
    """What the log says of why a request's token was refused."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    start = "a token was refused: "
    mine = [one["message"] for one in lines if one.get("request_id") == request_id]
    return [one.removeprefix(start) for one in mine if one.startswith(start)]


def test_a_good_token_is_taken(server, issuer) -> None:
    assert server.call("GET", "/v1/endpoints/hello", token=issuer.token()).status == 200
    assert server.call("GET", "/v1/endpoints/hello", token=issuer.token(kid="curve", alg="ES256")).status == 200


def test_there_are_many_ways_to_be_wrong() -> None:
    assert len({name for name, _, _ in TABLE}) == len(TABLE) > 100


@pytest.mark.parametrize(("make", "reason"), [pytest.param(make, why, id=name) for name, make, why in TABLE])
def test_a_wrong_token_is_answered_like_none(server, issuer, issuing, make, reason) -> None:
    token = make(issuer, issuing)
    plain = server.call("GET", "/v1/endpoints/hello")
    asked = str(uuid.uuid4())
    reply = server.call("GET", "/v1/endpoints/hello", token=token, headers={"X-Request-Id": asked})
    assert (reply.status, reply.json["code"]) == (401, "not_authenticated")
    assert said(reply) == said(plain)
    (why,) = reasons(server, asked)
    assert reason in why
    log = server.log.read_text()
    assert not [part for part in token.split(".") if len(part) > 20 and part in log]


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer {}"), ("Authorization", "Bearer {}")],
        [("Authorization", "Bearer {}"), ("authorization", "Bearer x")],
        [("Authorization", "Bearer {}, Bearer {}")],
        [("Authorization", "Bearer {} {}")],
        [("Authorization", "{}")],
        [("Authorization", "Basic {}")],
        [("Authorization", "Bearer penstock_{}")],
        [("Authorization", "Bearer {}\u00e9")],
        [("Authorization", 'Bearer "{}"')],
        [("Proxy-Authorization", "Bearer {}")],
        [("Cookie", "token={}")],
    ],
)
def test_a_good_token_comes_in_one_header_and_by_itself(server, issuer, headers) -> None:
    import http.client

    token = issuer.token()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.putrequest("GET", "/v1/endpoints/hello")
    for name, value in headers:
        connection.putheader(name, value.replace("{}", token).encode("latin-1"))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (401, "not_authenticated")
    connection.close()


@pytest.mark.parametrize("size", [13_000, 17_000, 30_000])
def test_a_large_token_is_refused_and_a_rather_large_one_taken(server, issuer, size) -> None:
    token = issuer.token(groups=["g" * 36] * (size * 3 // 4 // 40))
    reply = server.call("GET", "/v1/endpoints/hello", token=token)
    assert reply.status == (200 if size == 13_000 else 401)


def test_every_door_refuses_alike(server, issuer) -> None:
    wrong_one = issuer.token(aud="api://other")
    for path in ("/v1/runs", "/v1/status", "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/p/w/x"):
        told = server.call("GET", path)
        assert server.call("GET", path, token=wrong_one).status == told.status
        assert told.status in (401, 404)
