"""The issuers of `server.oidc`: what is wrong is told with its place, and nothing unsafe can be configured."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import load_config, server_options, server_settings, url_problem
from penstock.errors import ConfigInvalid

Write = Callable[[str], Path]
GOOD = """\
server:
  oidc:
    - issuer: https://login.microsoftonline.com/t/v2.0
      audience: api://penstock
      clock_skew: 2m
      scopes:
        - {claim: roles, value: Run, scope: submit, endpoints: [digits]}
        - {claim: groups, value: ops, scope: admin}
"""


def test_issuers_are_read(write: Write) -> None:
    config = load_config(write(GOOD), env={})
    (issuer,) = server_options(config, {}).oidc
    assert (issuer.audience, issuer.clock_skew, issuer.algorithms) == (("api://penstock",), 120.0, ("RS256",))
    assert (issuer.actor, issuer.discovery, issuer.jwks_uri) == ("sub", None, None)
    assert [(one.scope, one.endpoints) for one in issuer.scopes] == [("submit", ("digits",)), ("admin", None)]
    shown = {one.option: one.origin for one in server_settings(config)}
    assert shown["oidc"].endswith("penstock.yaml:3:5")
    assert server_options(load_config(write("server: {port: 1}\n"), env={}), {}).oidc == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("https://login", "http://login", "3:15", "only https is safe here"),
        ("https://login", "file://login", "3:15", "only https is safe here"),
        ("/v2.0", "/v2.0?x=1", "3:15", "an issuer has no query"),
        ("/v2.0", "/v2.0#x", "3:15", "no fragment"),
        ("https://login", "https://me:secret@login", "3:15", "no user"),
        ("audience: api://penstock", "audience: []", "4:17", "this is empty"),
        ("audience: api://penstock", "audience: ['']", "4:17", "this is empty"),
        ("audience: api://penstock", "audience: 3", "4:17", "expected list or string"),
        ("      audience: api://penstock\n", "", "3:7", "missing key `audience`"),
        ("clock_skew: 2m", "clock_skew: 2h", "5:19", "<= 600"),
        ("clock_skew: 2m", "clock_skew: -1", "5:19", "a duration is not negative"),
        ("clock_skew: 2m", "algorithms: [HS256]", "5:20", "expected one of `RS256`"),
        ("clock_skew: 2m", "algorithms: [RS256, none]", "5:27", "expected one of `RS256`"),
        ("clock_skew: 2m", "algorithms: []", "5:19", "this is empty"),
        ("clock_skew: 2m", "actor: ''", "5:14", "this is empty"),
        ("clock_skew: 2m", "jwks_uri: http://evil.example/keys", "5:17", "only https is safe here"),
        ("clock_skew: 2m", "discovery: ftp://evil.example/x", "5:18", "only https is safe here"),
        ("clock_skew: 2m", "algorithm: RS256", "5:7", "did you mean `algorithms`?"),
        ("clock_skew: 2m", "jwks_uri: https://a/k, discovery: https://a/d".replace(", ", "\n      "), "3:", "give"),
        ("scope: submit", "scope: write", "7:45", "expected one of `read`"),
        ("value: Run", "value: 3", "7:33", "write it in quotes"),
        ("claim: roles", "claim: ' '", "7:19", "this is empty"),
        ("endpoints: [digits]", "endpoints: []", "7:64", "this is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(write: Write, old: str, new: str, place: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigInvalid) as raised:
        server_options(load_config(write(GOOD.replace(old, new)), env={}), {})
    assert f"penstock.yaml:{place}" in str(raised.value)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_issuer_is_there_once(write: Write) -> None:
    twice = GOOD + GOOD.split("oidc:\n")[1]
    with pytest.raises(ConfigInvalid, match=r"penstock\.yaml:3:5.*is there twice"):
        server_options(load_config(write(twice), env={}), {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    assert url_problem(f"http://{host}:80/x") is None
    assert url_problem(f"http://{host}:80/x", local_http=False)
    assert url_problem(f"http://{host}.evil.example/") or host == "[::1]"


@given(st.text())
def test_no_other_text_is_a_safe_url(text: str) -> None:
    for url in (text, f"http://{text}", f"http://127.0.0.1{text}", f"https://{text}"):
        if url_problem(url) is None:
            assert url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")) or "::1" in url
