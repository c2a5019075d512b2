"""The keys of an issuer: new ones, old ones, an issuer that is away, hangs, or answers what it should not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

PATH = "/v1/endpoints/hello"


@pytest.mark.thorough
def test_new_keys_are_found_and_old_ones_forgotten(folder, serving, issuing) -> None:
    issuer = issuing.Issuer()
    issuer.key("old")
    with issuing.running(folder, serving, [issuer.option()]) as server:
        old = issuer.token(kid="old")
        assert server.call("GET", PATH, token=old).status == 200
        issuer.published.clear()
        issuer.key("new")
        new = issuer.token(kid="new")
        assert server.call("GET", PATH, token=old).status == 200  # nobody has heard of it yet
        issuing.eventually(lambda: server.call("GET", PATH, token=new).status == 200)
        assert server.call("GET", PATH, token=old).status == 401
        # A name may come back with another key; the old one is no good under it.
        issuer.published.clear()
        before = issuer.keys["new"]
        issuer.key("new")
        issuer.key("third")
        issuing.eventually(lambda: server.call("GET", PATH, token=issuer.token(kid="third")).status == 200)
        assert server.call("GET", PATH, token=issuer.token(kid="new")).status == 200
        issuer.keys["new"] = before
        assert server.call("GET", PATH, token=issuer.token(kid="new")).status == 401
    issuer.stop()


def test_names_of_keys_that_are_made_up_do_not_press_the_issuer(folder, serving, issuing) -> None:
    issuer = issuing.Issuer()
    issuer.key("one")
    with issuing.running(folder, serving, [issuer.option()]) as server:
        assert server.call("GET", PATH, token=issuer.token()).status == 200
        began, asked = time.monotonic(), issuer.asked["/keys"]
        made_up = [issuer.token(header={"kid": f"k{number}"}) for number in range(200)]
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda token: server.call("GET", PATH, token=token).status, made_up))
        assert set(replies) == {401}
        assert issuer.asked["/keys"] - asked <= (time.monotonic() - began) / 5 + 1
        assert server.call("GET", PATH, token=issuer.token()).status == 200
    issuer.stop()


def unavailable(reply: Any) -> bool:
    return (reply.status, reply.json["code"]) == (503, "issuer_unavailable") and int(reply.headers["retry-after"]) > 0


@pytest.mark.thorough
def test_an_issuer_that_is_away_harms_no_other(folder, serving, issuing, tokens) -> None:
    here, away = issuing.Issuer(), issuing.Issuer()
    here.key("one")
    away.key("one")
    away.stop()
    with issuing.running(folder, serving, [here.option(), away.option()]) as server:
        issuing.eventually(lambda: unavailable(server.call("GET", PATH, token=away.token())))
        old_door = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices"
        refused = server.call("GET", f"{old_door}/workspaces/w/PipelineRuns/{'0' * 36}", token=away.token())
        assert (refused.status, "Error" in refused.json) == (503, True)
        assert server.call("GET", PATH, token=here.token()).status == 200
        assert server.call("GET", PATH, token=tokens["read"]).status == 200
        assert server.call("GET", PATH, token=here.token(iss="https://evil.example")).status == 401
        away.start()
        issuing.eventually(lambda: server.call("GET", PATH, token=away.token()).status == 200)
        # Once its keys are known, it may go: who is known stays so, who is new has to wait.
        away.stop()
        away.key("two")
        assert server.call("GET", PATH, token=away.token()).status == 200
        issuing.eventually(lambda: unavailable(server.call("GET", PATH, token=away.token(kid="two"))))
        assert server.call("GET", PATH, token=away.token()).status == 200
        away.start()
        issuing.eventually(lambda: server.call("GET", PATH, token=away.token(kid="two")).status == 200)
        log = server.log.read_text()
        assert f"the keys of {away.name} cannot be had" in log
        assert f"the keys of {here.name} cannot" not in log
    here.stop()
    away.stop()


@pytest.mark.thorough
def test_an_issuer_that_hangs_holds_up_nobody(folder, serving, issuing, tokens) -> None:
    issuer = issuing.Issuer()
    issuer.key("one")
    issuer.hang.clear()
    with issuing.running(folder, serving, [issuer.option()]) as server:
        token = issuer.token()
        with ThreadPoolExecutor(100) as threads:
            waiting = [threads.submit(server.call, "GET", PATH, token=token) for _ in range(100)]
            issuing.eventually(lambda: sum(one.done() for one in waiting) > 50)
            # Not all have their answer yet, and still there is a thread for everybody else.
            for _ in range(20):
                assert server.call("GET", PATH, token=tokens["one"]).status == 200
            assert all(unavailable(one.result()) for one in waiting)
        issuer.hang.set()
        issuing.eventually(lambda: server.call("GET", PATH, token=token).status == 200)
    issuer.stop()


@pytest.fixture
def verify(issuing) -> Iterator[Any]:
    """A fresh reading of a new issuer's keys each time."""
    from penstock.codec import structure
    from penstock.config import OidcIssuer
    from penstock.server.oidc import Oidc

    issuer = issuing.Issuer()
    issuer.key("one")
    issuer.verify = lambda **option: Oidc([structure(issuer.option(**option), OidcIssuer)]).verify(issuer.token())
    yield issuer
    issuer.stop()


DOCUMENT = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": 1},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "//evil.example/keys"},
        {"jwks_uri": "https://u:p@evil.example/keys"},
    ],
)
def test_a_document_that_is_not_the_issuers_own_is_not_followed(verify, change) -> None:
    from penstock.server.oidc import IssuerAway

    verify.document |= change
    with pytest.raises(IssuerAway):
        verify.verify()
    assert not verify.asked["/keys"]


@pytest.mark.sampled(11)
@pytest.mark.parametrize("path", [DOCUMENT, "/keys"])
@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, {}, b"{}"),
        (204, {}, b""),
        (200, {}, b""),
        (200, {}, b"[]"),
        (200, {}, b"{"),
        (200, {}, b"\xff"),
        (200, {}, b"{}"),
        (200, {}, b"[" * 100_000),
        (200, {}, b'{"keys": {"one": 1}}'),
        (200, {}, b'{"keys": [{"kty": "RSA", "kid": "one", "n": "!", "e": "AQAB"}]}'),
        (200, {}, b'{"x": "' + b"x" * 2_000_000 + b'"}'),
        (200, {"Content-Length": "1000"}, b"{}"),
        (302, {"Location": "/elsewhere"}, b""),
        (307, {"Location": "http://127.0.0.1:1/"}, b""),
    ],
)
def test_whatever_an_issuer_answers_is_not_ours(verify, path, status, headers, body) -> None:
    from penstock.server.oidc import IssuerAway

    verify.answers[path] = (status, headers, body)
    with pytest.raises(IssuerAway):
        verify.verify()
    assert not verify.asked["/elsewhere"]
    del verify.answers[path]
    assert verify.verify().actor == "nightly"


def test_the_keys_may_be_named_and_the_document_lie_elsewhere(verify) -> None:
    assert verify.verify(jwks_uri=f"{verify.address}/keys").actor == "nightly"
    assert not verify.asked[DOCUMENT]
    verify.answers["/document"] = verify.answer(DOCUMENT)
    assert verify.verify(discovery=f"{verify.address}/document").actor == "nightly"
    assert not verify.asked[DOCUMENT]


def test_keys_are_fetched_once_for_all_who_wait_and_again_when_they_are_old(issuing, monkeypatch) -> None:
    from penstock.codec import structure
    from penstock.config import OidcIssuer
    from penstock.server import jwks
    from penstock.server.oidc import IssuerAway, Oidc, TokenRefused

    issuer = issuing.Issuer()
    issuer.key("one")
    oidc = Oidc([structure(issuer.option(), OidcIssuer)])
    with ThreadPoolExecutor(8) as threads:
        together = threading.Barrier(8)

        def one() -> str:
            together.wait(30)
            return oidc.verify(issuer.token()).actor

        assert {each.result() for each in [threads.submit(one) for _ in range(8)]} == {"nightly"}
    assert issuer.asked["/keys"] == 1
    with pytest.raises(TokenRefused):
        oidc.verify(issuer.token(header={"kid": "other"}))
    assert issuer.asked["/keys"] == 1
    # Old ones are used on while new ones are fetched behind that, and a withdrawn key goes with it.
    monkeypatch.setattr(jwks, "_PAUSE", 0.0)
    monkeypatch.setattr(jwks, "_FRESH", 0.0)
    issuer.published.clear()
    issuer.key("two")
    assert oidc.verify(issuer.token()).actor == "nightly"
    issuing.eventually(lambda: issuer.asked["/keys"] >= 2)
    monkeypatch.setattr(jwks, "_FRESH", 900.0)
    assert oidc.verify(issuer.token(kid="two")).actor == "nightly"
    with pytest.raises(TokenRefused):
        oidc.verify(issuer.token())
    # Not for ever, when the issuer does not come back.
    issuer.stop()
    monkeypatch.setattr(jwks, "_STALE", 0.0)
    with pytest.raises(IssuerAway):
        oidc.verify(issuer.token(kid="two"))
