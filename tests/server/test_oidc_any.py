"""Whatever a token is, it is somebody's or it is refused: never an error, and never taken with anything changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def issuer(issuing) -> Iterator[Any]:
    made = issuing.Issuer()
    made.key("one")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def oidc(issuer) -> Any:
    from penstock.codec import structure
    from penstock.config import OidcIssuer
    from penstock.server.oidc import Oidc

    return Oidc([structure(issuer.option(), OidcIssuer)])


@pytest.fixture(scope="module")
def token(issuer) -> str:
    """One for all examples: the next second's would be another."""
    made: str = issuer.token()
    return made


@given(data=st.data())
def test_a_token_of_which_anything_is_changed_is_refused_and_nothing_worse(oidc, token, data) -> None:
    from penstock.server.oidc import TokenRefused

    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii", exclude_characters=token[place]) | st.just(""))
    with pytest.raises(TokenRefused):
        oidc.verify(token[:place] + other + token[place + 1 :])


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "x5t", "crit", "other"]) | st.text(), values),
    claims=st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "roles", "value", "numeric_time"])
        | st.text(),
        values,
    ),
)
def test_whatever_is_signed_is_taken_or_refused(oidc, issuing, issuer, header, claims) -> None:
    from penstock.server.oidc import Subject, TokenRefused

    for head, body in (({"alg": "RS256", "kid": "one"}, issuer.claims() | claims), (header, issuer.claims())):
        token = issuing.signed(json.dumps(head).encode(), json.dumps(body).encode(), "RS256", issuer.keys["one"])
        try:
            assert isinstance(oidc.verify(token), Subject)
        except TokenRefused as refused:
            assert str(refused)


@given(st.text(st.characters(codec="ascii")) | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_what_is_no_token_is_refused(oidc, text) -> None:
    from penstock.server.oidc import TokenRefused

    for token in (text, f"{text}.{text}.{text}"):
        with pytest.raises(TokenRefused):
            oidc.verify(token)
