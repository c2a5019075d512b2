"""Whoever signs in: each kind of credentials against a real answer on this machine, and what is said without any."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import TargetUnavailable
from penstock.workspace import Workspace

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


def test_an_expired_token_is_said_in_words(tmp_path, target, faults) -> None:
    faults("workspaces.get", error="ExpiredAuthenticationToken")
    said = checked(tmp_path, target)
    assert said[0] == "not ok" and "sign in again" in said[2]


def test_without_the_extra_it_is_said_what_to_install(tmp_path, target) -> None:
    code = """
import json, sys
sys.modules["azure.core.pipeline.transport"] = None
from penstock_azureml.client import connect
from penstock_azureml.options import AzuremlOptions
options = json.loads(sys.argv[1])
options.pop("backend")
try:
    connect(AzuremlOptions(**options))
except Exception as error:
    print(error.code, error)
"""
    done = subprocess.run([sys.executable, "-c", code, json.dumps(target)], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("backend_unavailable") and "pip install 'penstock[azureml]'" in done.stdout


def test_a_target_unavailable_is_what_is_raised(target) -> None:
    from penstock_azureml.credentials import Tokens
    from penstock_azureml.options import AzuremlOptions

    options = {key: value for key, value in target.items() if key != "backend"}
    options |= {"credentials": "service_principal", "tenant": "t", "client_id": CLIENT}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AZURE_CLIENT_SECRET", raising=False)
        with pytest.raises(TargetUnavailable) as caught:
            Tokens(AzuremlOptions(**options)).token("https://management.azure.com")
    assert caught.value.code == "credentials_missing"
