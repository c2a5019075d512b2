"""Who calls: azure-identity's own credentials on loopback, and calls that carry nothing."""

from __future__ import annotations

import base64
import json

import pytest


@pytest.fixture
def trusting(emulator, monkeypatch):
    """The environment of a program that was told of the emulator."""
    for name, value in emulator.info["env"].items():
        monkeypatch.setenv(name, value)


def claims(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_client_with_a_secret_gets_a_token_that_opens(emulator, trusting) -> None:
    from azure.identity import ClientSecretCredential

    credential = ClientSecretCredential(
        "some-tenant", "client", "secret", authority=emulator.url, disable_instance_discovery=True
    )
    with credential:
        token = credential.get_token("https://ml.azure.com/.default").token
    assert claims(token)["aud"] == "https://ml.azure.com"
    there = f"/history/v1.0{emulator.workspace}/runs/x"
    assert emulator.ask("GET", there, headers={"Authorization": f"Bearer {token}"}).status == 404


def test_a_managed_identity_gets_one_too(emulator, trusting) -> None:
    from azure.identity import ManagedIdentityCredential

    with ManagedIdentityCredential() as credential:
        token = credential.get_token("https://management.azure.com/.default").token
    assert claims(token)["aud"] == "https://management.azure.com"
    assert emulator.arm("GET", "", headers={"Authorization": f"Bearer {token}"}).status == 200


@pytest.mark.parametrize(
    ("audience", "opens"),
    [
        ("https://management.azure.com", ("arm", "history")),
        ("https://management.core.windows.net/", ("arm", "history")),
        ("https://ml.azure.com", ("history",)),
        ("https://storage.azure.com", ("blob",)),
        ("https://vault.azure.net", ()),
    ],
)
def test_a_token_opens_what_it_is_for(emulator, audience, opens) -> None:
    from penstock_azureml_emulator.identity import token

    told = {"Authorization": f"Bearer {token(audience)}"}
    said = {
        "arm": emulator.arm("GET", "", headers=told).status,
        "history": emulator.ask("GET", f"/history/v1.0{emulator.workspace}/runs/x", headers=told).status,
        "blob": emulator.blob("x", **told).status,
    }
    assert {name for name, status in said.items() if status != 401} == set(opens)


@pytest.mark.parametrize("header", ["", "Basic eDp5", "Bearer", "Bearer "])
def test_who_shows_nothing_is_not_let_in(emulator, header) -> None:
    for path in (f"{emulator.workspace}?api-version=2024-01-01-preview", f"/history/v1.0{emulator.workspace}/runs/x"):
        assert emulator.ask("GET", path, headers={"Authorization": header}).error == (401, "AuthenticationFailed")
    assert emulator.ask("POST", "/batch/x/jobs", {}, {"Authorization": header}).status == 401
    assert emulator.blob("x", Authorization=header).status == 401


def test_a_token_that_is_over_is_said_to_be(emulator) -> None:
    part = base64.urlsafe_b64encode(json.dumps({"exp": 1}).encode()).decode().rstrip("=")
    answer = emulator.arm("GET", "", headers={"Authorization": f"Bearer x.{part}.x"})
    assert answer.error == (401, "ExpiredAuthenticationToken")


def test_other_places_are_not_there(emulator) -> None:
    there = f"{emulator.workspace}?api-version=2024-01-01-preview"
    assert emulator.ask("GET", f"{emulator.workspace.upper()}?api-version=2024-01-01").status == 200
    for other in (there.replace("workspaces/penstock", "workspaces/x"), there.replace("000001/", "000009/")):
        assert emulator.ask("GET", other).error == (404, "ResourceNotFound")
    assert emulator.ask("GET", emulator.workspace).error == (400, "MissingApiVersionParameter")
    assert emulator.ask("GET", f"{emulator.workspace}?api-version=x").error == (400, "InvalidApiVersionParameter")
