"""Whoever signs in: each kind of credentials against a real answer on this machine, and what is said without any."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from penstock.errors import TargetUnavailable
from penstock.workspace import Workspace
from penstock_azureml import credentials, datastores, history
from penstock_azureml.client import Azure, connect
from penstock_azureml.credentials import Tokens
from penstock_azureml.options import AzuremlOptions

CLIENT = "5e6f2a1c-0000-4000-8000-0000000000aa"
AZ = """\
#!{python}
import base64, json, sys, time
open({log!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
part = lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")
token = f"{{part({{'alg': 'none'}})}}.{{part({{'exp': time.time() + 3600}})}}.x"
print(json.dumps({{"accessToken": token, "expires_on": int(time.time()) + 3600, "tokenType": "Bearer"}}))
"""


def checked(folder: Path, target: dict[str, Any], **options: Any) -> list[str]:
    """What the check of a target says that signs in so; its calls go on to the workspace with the token."""
    found = {**target, **options}
    (folder / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": found}}))
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        health = workspace.services.targets.open("prod").check()
    assert not any("\n" in line or "Traceback" in line for line in health.lines)
    return [("ok" if health.ok else "not ok"), *health.lines]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs this is found, and nothing beyond this machine is asked."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "IDENTITY_", "MSI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")


@pytest.mark.usefixtures("alone")
def test_a_service_principal_signs_in_with_its_secret(tmp_path, target, emulator, faults, monkeypatch) -> None:
    principal = {"credentials": "service_principal", "tenant": "acme.test", "client_id": CLIENT}
    principal["authority"] = emulator["url"]
    said = checked(tmp_path, target, **principal)
    assert said == ["not ok", "there are no Azure credentials here (service_principal): set AZURE_CLIENT_SECRET"]
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hush")
    said = checked(tmp_path, target, **principal, poll_timeout="29s")
    assert said[:2] == ["ok", "credentials: service_principal"]
    assert faults()["calls"]["token"] >= 1


@pytest.mark.usefixtures("alone")
def test_a_managed_identity_is_asked_where_a_variable_says(tmp_path, target, emulator, faults, monkeypatch) -> None:
    for name, value in emulator["env"].items():
        monkeypatch.setenv(name, value)
    assert checked(tmp_path, target, credentials="managed_identity")[:2] == ["ok", "credentials: managed_identity"]
    assert faults()["calls"]["msi"] == 1


@pytest.mark.usefixtures("alone")
def test_the_chain_finds_what_there_is(tmp_path, target, emulator, faults, monkeypatch) -> None:
    for name, value in emulator["env"].items():
        monkeypatch.setenv(name, value)
    assert checked(tmp_path, target, credentials="default")[:2] == ["ok", "credentials: default"]
    assert faults()["calls"]["msi"] >= 1


@pytest.mark.usefixtures("alone")
def test_the_cli_is_asked_once_for_many_calls(tmp_path, target, monkeypatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    az, log = folder / "az", tmp_path / "log"
    az.write_text(AZ.format(python=sys.executable, log=str(log)))
    az.chmod(az.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    assert checked(tmp_path, target, credentials="cli")[:2] == ["ok", "credentials: cli"]
    asked = log.read_text().splitlines()
    assert len(asked) == 1 and "get-access-token" in asked[0] and "https://management.azure.com" in asked[0]


@pytest.mark.usefixtures("alone")
def test_who_has_none_is_told_how_to_get_them(tmp_path, target) -> None:
    said = checked(tmp_path, target, credentials="cli", poll_timeout="28s")
    assert said[0] == "not ok" and "there are no Azure credentials here (cli)" in said[1] and "az login" in said[1]


@pytest.mark.usefixtures("alone")
def test_credentials_that_azure_does_not_take_are_said(tmp_path, target, emulator, faults, monkeypatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    faults("token", error="AuthenticationFailed", times=9)
    principal = {"credentials": "service_principal", "tenant": "acme.test", "client_id": CLIENT}
    said = checked(tmp_path, target, **principal, authority=emulator["url"], poll_timeout="27s")
    assert said[0] == "not ok" and "Azure does not take the credentials (service_principal)" in said[1]


@pytest.fixture
def principal(target, emulator, monkeypatch, alone) -> AzuremlOptions:
    """A service principal with a secret, whom nobody knows yet."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hush")
    given = {key: value for key, value in target.items() if key != "backend"}
    given |= {"credentials": "service_principal", "tenant": "acme.test", "client_id": CLIENT}
    return AzuremlOptions(**{**given, "authority": emulator["url"]})


def test_a_token_that_is_taken_back_is_not_shown_again(principal, faults) -> None:
    """Whoever signs in again, or gets a right, need not start this process again."""
    azure = Azure(principal, "one", Tokens(principal), connect(principal)._transport)
    azure.arm("GET", "", "the workspace")
    azure.arm("GET", "", "the workspace")
    asked = faults()["calls"]["token"]
    faults("workspaces.get", error="ExpiredAuthenticationToken", message="it is over")
    with pytest.raises(TargetUnavailable, match=r"it is over; sign in again: look at AZURE_CLIENT_SECRET") as caught:
        azure.arm("GET", "", "the workspace")
    assert caught.value.code == "credentials_expired"
    azure.arm("GET", "", "the workspace")
    assert faults()["calls"]["token"] == asked + 1


def test_a_token_is_asked_for_again_before_it_ends(principal, monkeypatch) -> None:
    given = []

    class Signer:
        def get_token(self, scope: str) -> Any:
            given.append(scope)
            return SimpleNamespace(token=f"t{len(given)}", expires_on=time.time() + (200 if len(given) == 1 else 3600))

    monkeypatch.setattr(credentials, "credential", lambda options: Signer())
    tokens = Tokens(principal)
    assert [tokens.token("https://a") for _ in range(3)] == ["t1", "t2", "t2"]
    tokens.forget("t1")
    assert tokens.token("https://a") == "t2", "it is another one that was refused"
    assert (tokens.token("https://b"), given[-1]) == ("t3", "https://b/.default")
    tokens.forget("t2")
    assert (tokens.token("https://a"), tokens.token("https://b")) == ("t4", "t3")


def test_who_does_not_answer_keeps_nobody_waiting_for_ever(principal, monkeypatch) -> None:
    """And is asked by one for all."""
    going, asked = threading.Event(), []

    class Signer:
        def get_token(self, scope: str) -> Any:
            asked.append(scope)
            going.wait(60)
            return SimpleNamespace(token="late", expires_on=time.time() + 3600)

    monkeypatch.setattr(credentials, "credential", lambda options: Signer())
    tokens = Tokens(evolve(principal, poll_timeout=0.1))
    for _ in range(2):
        with pytest.raises(TargetUnavailable, match=r"no token yet after 0.1 s") as caught:
            tokens.token("https://a")
        assert caught.value.code == "target_unavailable"
    going.set()
    assert Tokens.token(tokens_of(tokens, 60), "https://a") == "late" and len(asked) == 1


def tokens_of(tokens: Tokens, limit: float) -> Tokens:
    """The same, with more patience."""
    tokens._options = evolve(tokens._options, poll_timeout=limit)
    return tokens


def test_a_withdrawn_secret_is_said_and_a_new_one_is_taken(principal, faults, monkeypatch) -> None:
    tokens = Tokens(principal)
    faults("token", error="AuthenticationFailed")
    with pytest.raises(TargetUnavailable, match=r"does not take the credentials \(service_principal\)") as caught:
        tokens.token("https://a")
    assert caught.value.code == "credentials_expired" and "hush" not in str(caught.value)
    assert tokens.token("https://a")


def nobody() -> str:
    """An address of this machine where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def test_no_network_is_no_fault_of_the_credentials(principal, emulator, faults, monkeypatch) -> None:
    for options in (
        evolve(principal, authority=f"https://{nobody()}"),
        evolve(principal, ca=None),  # somebody who is not trusted
    ):
        with pytest.raises(TargetUnavailable) as caught:
            Tokens(options).token("https://a")
        assert (caught.value.code, str(caught.value).isprintable()) == ("target_unavailable", True)
        assert "cannot be reached" in str(caught.value) and "hush" not in str(caught.value)
    faults("token", error="ServiceUnavailable", times=9)
    with pytest.raises(TargetUnavailable) as caught:
        Tokens(principal).token("https://a")
    assert caught.value.code == "target_unavailable"


def test_a_managed_identity_that_is_not_there_is_said(principal, monkeypatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://{nobody()}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    options = evolve(principal, credentials="managed_identity", authority=None)
    with pytest.raises(TargetUnavailable) as caught:
        Tokens(options).token("https://a")
    assert "az login" not in str(caught.value) and str(caught.value).isprintable()


class Raises:
    """A credential that says no, as azure-identity does."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_token(self, scope: str) -> Any:
        raise self.error


ENTRA = "Authentication failed: AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2\nmore"


def test_whatever_azure_identity_raises_is_one_line_with_a_code(principal, monkeypatch) -> None:
    from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
    from azure.identity import CredentialUnavailableError

    wrapped = ClientAuthenticationError(f"Authentication failed: {'hush ' * 99}")
    wrapped.__cause__ = ServiceRequestError("no route")
    for error, code, says in (
        (CredentialUnavailableError("\n".join(["hush"] * 99)), "credentials_missing", "no Azure credentials here"),
        (ClientAuthenticationError(ENTRA), "credentials_expired", "AADSTS7000215: Invalid client secret provided;"),
        (ClientAuthenticationError("hush\nhush"), "credentials_expired", "it is not said why"),
        (wrapped, "target_unavailable", "cannot be reached"),
        (ServiceRequestError("hush"), "target_unavailable", "cannot be reached (ServiceRequestError)"),
        (AzureError("hush"), "target_unavailable", "cannot be reached (AzureError)"),
        (ValueError("hush"), "target_unavailable", "cannot be reached (ValueError)"),
    ):
        monkeypatch.setattr(credentials, "credential", lambda options, error=error: Raises(error))
        for kind in ("default", "cli", "managed_identity", "service_principal"):
            with pytest.raises(TargetUnavailable) as caught:
                Tokens(evolve(principal, credentials=kind)).token("https://a")
            said = str(caught.value)
            assert (caught.value.code, said.isprintable()) == (code, True) and says in said
            assert "hush" not in said and "Trace ID" not in said and f"({kind})" in said
            assert "az login" not in said or kind in ("default", "cli")


def test_a_token_is_only_asked_for_what_it_is_for(principal, emulator, faults, monkeypatch, tmp_path) -> None:
    """The emulator refuses its own tokens elsewhere: ARM's, those of Azure ML's services, those of storage."""
    asked: list[str] = []

    class Asked(Tokens):
        def token(self, audience: str) -> str:
            asked.append(audience)
            return super().token(audience)

    azure = Azure(principal, uuid.uuid4().hex, Asked(principal), connect(principal)._transport)
    noted = datastores.noted(azure)
    uri = datastores.write(azure, f"tests/{uuid.uuid4().hex}", b"x", noted)
    assert history.of_run(azure, "none", "", "the run").status == 404
    assert history.resolved(azure, ["azureml://x"]) == {}
    assert set(asked) == {"https://management.azure.com", "https://ml.azure.com", "https://storage.azure.com"}
    assert datastores.read(azure, uri, 9) == b"x"


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("azure", "azure-core"),
        ("azure.core.pipeline.transport", "azure-core"),
        ("azure.identity", "azure-identity"),
        ("azure.storage.blob", "azure-storage-blob"),
    ],
)
def test_without_a_package_of_the_extra_it_is_said_what_to_install(target, module, package) -> None:
    code = """
import json, sys
sys.modules[sys.argv[2]] = None
from penstock_azureml.client import connect
from penstock_azureml.options import AzuremlOptions
options = json.loads(sys.argv[1])
options.pop("backend")
try:
    if sys.argv[2] == "azure.storage.blob":
        from penstock_azureml.shared_access import signed
        signed("acme", "c", "aHVzaA==")
    options |= {"credentials": "cli"}
    connect(AzuremlOptions(**options)).arm("GET", "", "the workspace")
except Exception as error:
    print(error.code, error)
"""
    command = [sys.executable, "-c", code, json.dumps(target), module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(f"backend_unavailable the backend `azureml` needs the package `{package}`"), done
    assert "pip install 'penstock[azureml]'" in done.stdout


def test_nothing_of_theirs_is_written_beside_what_we_say(tmp_path, target) -> None:
    options = {**target, "credentials": "service_principal", "tenant": "t", "client_id": CLIENT}
    options["authority"] = f"https://{nobody()}"
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": options}}))
    command = [Path(sys.executable).with_name("penstock"), "target", "check", "prod"]
    env = {**os.environ, "AZURE_CLIENT_SECRET": "hush"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert "there is no token (service_principal)" in done.stdout + done.stderr
    assert "ClientSecretCredential" not in done.stdout + done.stderr
