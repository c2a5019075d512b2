"""Files in datastores: whatever lets one in, for as long as it does; as much of them as is asked for, and no further
than Azure's own addresses. And what a process asks that hands over a run and knows nothing.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import evolve

from penstock.errors import PenstockError, TargetRefused, TargetUnavailable
from penstock.workspace import Workspace
from penstock_azureml import datastores
from penstock_azureml.client import Azure, connect
from penstock_azureml.kept import Kept, kept
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.shared_access import EARLY, good_until, signed

XML = {"Content-Type": "application/xml", "x-ms-request-id": "1", "x-ms-error-code": "AuthenticationFailed"}
REFUSED = (
    b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code><Message>Server failed '
    b"to authenticate the request. Make sure the value of Authorization header is formed correctly.\n"
    b"RequestId:1\nTime:2026-01-01</Message><AuthenticationErrorDetail>Signature did not match. String to sign used "
    b"was hush</AuthenticationErrorDetail></Error>"
)


@pytest.fixture
def azure(between: Any) -> Azure:
    """Calls to the emulator with somebody between; nothing is known of it yet."""
    kept.clear()
    return connect(AzuremlOptions(**{key: value for key, value in between.target.items() if key != "backend"}))


def described(between: Any, secrets: Any = None, **properties: Any) -> None:
    """Let a datastore say these of its properties, and give these secrets."""

    def change(verb: str, path: str, body: Any) -> Any:
        if "listSecrets" in path:
            return secrets(body) if callable(secrets) else secrets if secrets is not None else body
        return {**body, "properties": {**body["properties"], **properties}} if "/datastores/" in path else body

    between.change = change


def query_of(call: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(call[1]).query)


def path() -> str:
    return f"tests/{uuid.uuid4().hex}/ä b"


@pytest.mark.parametrize(
    ("kind", "secrets", "shows"),
    [
        ("None", None, "token"),
        ("Sas", None, "sas"),
        ("AccountKey", {"secretsType": "AccountKey", "key": "aHVzaA=="}, "sas"),
        ("ServicePrincipal", {"secretsType": "ServicePrincipal", "clientSecret": "hush"}, "token"),
    ],
)
def test_a_datastore_is_opened_by_what_the_workspace_has_for_it(azure, between, kind, secrets, shows) -> None:
    described(between, secrets, credentials={"credentialsType": kind})
    uri = datastores.write(azure, path(), b"content")
    assert datastores.read(azure, uri, 100) == b"content"
    assert datastores.read(azure, f"{uri}-not", 100) is None
    for call in between.called("core.windows.net"):
        assert ("sig" in query_of(call)) == (shows == "sas")
        assert ("Authorization" in call[2]) == (shows == "token")
    assert len(between.called("listSecrets")) == (0 if kind == "None" else 1)
    assert len(between.called("GET .*/datastores/")) == 1


def test_a_data_lake_has_blobs_too(azure, between) -> None:
    container = datastores.noted(azure)[datastores.NOTED].rpartition("/")[2]
    described(between, datastoreType="AzureDataLakeGen2", filesystem=container, containerName=None)
    assert datastores.read(azure, datastores.write(azure, path(), b"x"), 9) == b"x"


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"datastoreType": "AzureFile"}, "it is of type AzureFile, and penstock reads and writes blobs"),
        ({"accountName": "acme", "endpoint": "evil.example"}, "no address of blobs"),
        ({"protocol": "http"}, "no address of blobs"),
        ({"accountName": "evil.example/"}, "no address of blobs"),
        ({"accountName": "x@evil.example"}, "no address of blobs"),
    ],
)
def test_what_is_no_datastore_of_blobs_is_sent_nothing(azure, between, properties, says) -> None:
    described(between, **properties)
    with pytest.raises(TargetRefused, match=says):
        datastores.write(azure, path(), b"hush")
    assert datastores.noted(azure) == {}
    noted = {datastores.NOTED: f"{azure.options.datastore} https://evil.example/c"}
    with pytest.raises(TargetRefused, match=says):
        datastores.write(azure, path(), b"hush", noted)
    with pytest.raises(TargetRefused, match="no address of blobs"):
        datastores.put(azure, "https://evil.example/c/x?sig=hush", b"hush")
    assert not between.called("core.windows.net")


def test_what_lets_one_in_is_used_until_shortly_before_it_ends(azure, between) -> None:
    def ending(body: Any) -> Any:
        ends = datetime.now(UTC) + timedelta(seconds=EARLY - 10)
        return {**body, "sasToken": f"sp=rcw&sig=x&se={ends:%Y-%m-%dT%H:%M:%SZ}"}

    described(between, ending)
    for _ in range(2):
        datastores.write(azure, path(), b"x")
    assert len(between.called("listSecrets")) == 2, "it is not good long enough to be kept"
    described(between)
    for _ in range(2):
        datastores.write(azure, path(), b"x")
    assert len(between.called("listSecrets")) == 3


def test_what_is_refused_is_asked_for_again_once(azure, between) -> None:
    """A SAS that ended, a key that was replaced: nobody has to start the process again."""
    uri = datastores.write(azure, path(), b"x")
    between.answer = lambda verb, path: None
    (first,) = {query_of(call)["sig"][0] for call in between.called("PUT .*core.windows.net")}
    between.answer = lambda verb, path: (403, XML, REFUSED) if first in path else None
    described(between, lambda body: {**body, "sasToken": "sp=rcw&se=2999-01-01T00:00:00Z&sig=another"})
    assert datastores.read(azure, uri, 9) == b"x"
    assert datastores.read(azure, uri, 9) == b"x"
    assert len(between.called("listSecrets")) == 2


@pytest.mark.parametrize("kind", ["None", "Sas"])
def test_who_is_not_let_in_is_told_where_and_what_to_ask_for(azure, between, kind) -> None:
    described(between, credentials={"credentialsType": kind})
    between.answer = lambda verb, path: (403, XML, REFUSED) if "core.windows.net" in path else None
    name = path()
    with pytest.raises(TargetUnavailable) as caught:
        datastores.write(azure, name, b"x")
    said = str(caught.value)
    assert caught.value.code == "permission_denied" and said.isprintable()
    assert f"`{name}` of the datastore `workspaceblobstore` cannot be written" in said
    assert "azureml-blobstore-" in said and "Server failed to authenticate" in said
    assert ("the role `Storage Blob Data Contributor`" in said) == (kind == "None")
    for hidden in ("String to sign", "hush", "RequestId", "<", "sig=", "workspace `"):
        assert hidden not in said
    assert len(between.called("PUT .*core.windows.net")) == 2


def test_a_container_that_is_gone_is_said(azure, between) -> None:
    described(between, containerName="gone")
    with pytest.raises(TargetRefused, match=r"container does not exist.*was it deleted, or is the target's"):
        datastores.write(azure, path(), b"x")
    between.answer = lambda verb, path: (404, {}, b"<html>") if "/gone/" in path else None
    with pytest.raises(TargetUnavailable, match="not Azure who answers 404"):
        datastores.read(azure, "azureml://datastores/workspaceblobstore/paths/x", 9)


def test_a_page_is_not_read_as_a_file(azure, between) -> None:
    uri = datastores.write(azure, path(), b"x")
    between.answer = lambda verb, path: (200, {"Content-Type": "text/html"}, b"<html>")
    for ask in (lambda: datastores.read(azure, uri, 9), lambda: datastores.write(azure, "x", b"y")):
        with pytest.raises(TargetUnavailable, match="not understood"):
            ask()


def test_no_more_is_read_than_was_asked_for(azure, between) -> None:
    uri = datastores.write(azure, path(), b"0123456789" * 100_000)
    assert datastores.read(azure, uri, 11) == b"01234567890"
    assert between.calls[-1][2]["Range"] == "bytes=0-10"
    assert datastores.read(azure, datastores.write(azure, path(), b""), 11) == b""
    endless = {"Transfer-Encoding": "chunked", "x-ms-request-id": "1"}
    between.answer = lambda verb, path: (200, endless, b"x" * 65536) if "core.windows.net" in path else None
    assert datastores.read(azure, uri, 11) == b"x" * 11, "also where the range is not heeded"


def test_what_lies_in_no_datastore_is_not_read(azure) -> None:
    for uri in ("https://x/y", "azureml:data:1", "", "azureml://registries/r/datastores/x/paths/y"):
        with pytest.raises(TargetRefused, match="lies in no datastore"):
            datastores.read(azure, uri, 9)


def test_a_datastore_of_another_workspace_is_not_ours(azure) -> None:
    """Each workspace has datastores of the same names."""
    name = path()
    datastores.write(azure, name, b"x")
    end = f"datastores/{azure.options.datastore}/paths/{name}"
    own = azure.options.path.lower()
    for here in (
        f"azureml:/{own}/{end}",
        f"azureml:/{own.replace('/providers/microsoft.machinelearningservices', '')}/{end}",
    ):
        assert datastores.read(azure, here, 9) == b"x"
    for key, other in (("subscription", "5e6f2a1c-0000-4000-8000-00000000000f"), ("workspace", "other")):
        away = evolve(azure.options, **{key: other}).path
        with pytest.raises(TargetRefused, match="lies in another workspace"):
            datastores.read(azure, f"azureml:/{away}/{end}", 9)


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("se=2999-01-01T00:00:00Z&sig=x", datetime(2999, 1, 1, tzinfo=UTC).timestamp() - EARLY),
        ("se=2999-01-01&sig=x", datetime(2999, 1, 1, tzinfo=UTC).timestamp() - EARLY),
        ("si=policy&sig=x", math.inf),
        ("se=soon", math.inf),
        ("", math.inf),
    ],
)
def test_the_end_of_a_signature_is_read(query, ends) -> None:
    assert good_until(query) == ends


def test_a_signature_made_of_a_key_ends() -> None:
    assert time.time() < good_until(signed("acme", "c", "aHVzaA==")) < time.time() + 86400


def test_what_is_kept_is_kept_until_it_ends_or_is_forgotten() -> None:
    known: Kept = Kept(2)
    ask = iter(range(99)).__next__
    assert [known.get("a", ask), known.get("a", ask)] == [0, 0]
    known.forget("a")
    assert known.get("a", ask) == 1
    assert [known.get("b", ask, lambda _: time.time() - 1) for _ in range(2)] == [2, 3]
    assert [known.get(key, ask) for key in "cda"] == [4, 5, 6], "the oldest go"

    def fails() -> int:
        raise TargetUnavailable("no")

    with pytest.raises(PenstockError):
        known.get("e", fails)
    assert known.get("e", ask) == 7


SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: cold
parameters: {text: {type: string, default: ""}, table: {type: file}}
steps:
  only:
    inputs: {table: "${{ parameters.table }}"}
    command: [sh, -c, 'printf %s "$1" | wc -c > "$3"; wc -c < "$2" >> "$3"', sh, "${{ parameters.text }}",
      "${{ inputs.table }}", "${{ outputs.sizes }}"]
    outputs: {sizes: string}
outputs: {sizes: "${{ steps.only.outputs.sizes }}"}
"""
COLD = """
import json, sys
from penstock.contract.run import RunRequest, BoundParameters
from penstock.contract.target import Publication
from penstock.workspace import Workspace
with Workspace.open(sys.argv[1], env={}, actor="ada") as workspace:
    for given in json.load(sys.stdin):
        request = RunRequest(
            id=given["id"],
            publication=Publication(**given["publication"]),
            pipeline="cold",
            parameters=BoundParameters(texts={"text": given["text"]}, artifacts={"table": given["table"]}),
        )
        print(workspace.services.targets.open("prod").submit(request).external)
"""


@pytest.mark.parametrize(("text", "puts"), [("short", 1), ("é" * 9_000, 2)])
@pytest.mark.parametrize("token_opens", [True, False])
def test_a_submit_in_a_new_process_is_a_request_or_two(tmp_path, between, text, puts, token_opens) -> None:
    """With an asset, which does not say what it is; a value that is too long for a command is the second one.

    Where storage takes no tokens of ours, what the workspace keeps for it is asked for besides.
    """
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": between.target}}))
    (tmp_path / "cold.yaml").write_text(SPEC)
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        record = workspace.publish(tmp_path / "cold.yaml", endpoint="cold")
        target = workspace.services.targets.open("prod")
        azure = connect(target.target.options)
        uri = datastores.write(azure, path(), b"a\n")
        about = {"dataType": "uri_file", "dataUri": uri, "isAnonymous": False}
        asset = f"cold-{uuid.uuid4().hex[:8]}"
        azure.arm("PUT", f"data/{asset}/versions/1", "no asset", {"properties": about})
        shown = workspace.pipelines.get(record.id)
        publication = {"external": shown.external, "details": dict(shown.details)}
        assert "sig=" not in json.dumps(publication), "nothing secret is noted"
        given = {"id": str(uuid.uuid4()), "publication": publication, "text": text, "table": f"azureml:{asset}:1"}
        if not token_opens:
            between.answer = lambda verb, path: (
                (403, XML, REFUSED) if "core.windows.net" in path and "sig=" not in path else None
            )
        between.calls.clear()
        done = subprocess.run(
            [sys.executable, "-c", COLD, tmp_path],
            input=json.dumps([given]),
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        fallback = 3 if puts == 2 and not token_opens else 0
        assert len(between.calls) == puts + fallback, between.calls
