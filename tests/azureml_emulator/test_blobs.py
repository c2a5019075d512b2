"""The built-in store, through Microsoft's storage client; and the same through Azurite, where it is installed."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

AZURITE = "azurite-blob"
# Everybody's: Azurite's documentation prints this account and key.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture
def store(emulator, monkeypatch):
    """A container of the emulator's account, through its default datastore's SAS."""
    from azure.storage.blob import BlobServiceClient

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", emulator.target["ca"])
    secrets = emulator.arm("POST", "datastores/workspaceblobstore/listSecrets", {}).body
    service = BlobServiceClient(f"{emulator.url}/penstockstore", credential=secrets["sasToken"])
    with service, service.create_container("trip") as container:
        yield container
        container.delete_container()


@pytest.fixture
def azurite(tmp_path):
    """A container of an Azurite of the test's own."""
    if shutil.which(AZURITE) is None:
        pytest.skip(f"{AZURITE} is not installed")
    from azure.core.exceptions import ServiceRequestError
    from azure.storage.blob import BlobServiceClient

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(tmp_path), "--silent"]
    process = subprocess.Popen([*command, "--disableTelemetry", "--skipApiVersionCheck"])
    try:
        url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        with BlobServiceClient(url, credential={"account_name": ACCOUNT, "account_key": KEY}, retry_total=0) as service:
            deadline = time.monotonic() + 60
            while True:
                try:
                    yield service.create_container("trip")
                    break
                except ServiceRequestError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(30)


def trip(container) -> dict:
    """What a client sees of a store when it does everything that the emulator's callers do."""
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import BlobBlock, ContentSettings

    seen = {}

    def refused(call, *args, **given):
        try:
            call(*args, **given)
        except HttpResponseError as error:
            return error.status_code, error.error_code
        return None

    told = {"metadata": {"k": "v"}, "content_settings": ContentSettings("text/x")}
    small = container.upload_blob("a/b c/ü.txt", b"small", **told)
    seen["again"] = refused(container.upload_blob, "a/b c/ü.txt", b"other")
    seen["overwritten"] = container.upload_blob("a/b c/ü.txt", b"smaller", overwrite=True).blob_name
    container.upload_blob("a/b c", b"a blob beside a folder")
    large = bytes(range(256)) * 50_000
    service = container.get_blob_client("large")
    service.upload_blob(large[:0], overwrite=True)
    seen["empty"] = service.download_blob().readall()
    for number in range(3):
        service.stage_block(f"{number:04}", large[number * 5_000_000 : (number + 1) * 5_000_000])
    seen["waiting"] = [block.id for block in service.get_block_list("uncommitted")[1]]
    service.commit_block_list([BlobBlock(f"{number:04}") for number in range(3)])
    seen["large"] = service.download_blob(max_concurrency=2).readall() == large
    seen["part"] = service.download_blob(offset=255, length=3).readall()
    seen["beyond"] = refused(service.download_blob, offset=len(large) + 1, length=1)
    seen["no block"] = refused(service.commit_block_list, [BlobBlock("9999")])
    about = small.get_blob_properties()
    seen["properties"] = about.size, about.metadata, about.content_settings.content_type, about.blob_type
    small.set_blob_metadata({"m": "n"})
    seen["metadata"] = [(one.name, one.metadata) for one in container.list_blobs("a/", include="metadata")]
    seen["walk"] = [one.name for one in container.walk_blobs(name_starts_with="a/", delimiter="/")]
    pages = container.list_blobs(results_per_page=2).by_page()
    seen["pages"] = [[one.name for one in page] for page in pages]
    seen["exists"] = small.exists(), container.get_blob_client("nothing").exists()
    seen["if-match"] = refused(small.upload_blob, b"x", overwrite=True, etag='"x"', match_condition=_unmodified())
    small.delete_blob()
    seen["gone"] = refused(small.delete_blob)
    seen["left"] = [one.name for one in container.list_blobs()]
    return seen


def _unmodified():
    from azure.core import MatchConditions

    return MatchConditions.IfNotModified


SEEN = {
    "again": (409, "BlobAlreadyExists"),
    "overwritten": "a/b c/ü.txt",
    "empty": b"",
    "waiting": ["0000", "0001", "0002"],
    "large": True,
    "part": b"\xff\x00\x01",
    "beyond": (416, "InvalidRange"),
    "no block": (400, "InvalidBlockList"),
    "properties": (7, {}, "application/octet-stream", "BlockBlob"),
    "metadata": [("a/b c", {}), ("a/b c/ü.txt", {"m": "n"})],
    "walk": ["a/b c/", "a/b c"],
    "pages": [["a/b c", "a/b c/ü.txt"], ["large"]],
    "exists": (True, False),
    "if-match": (412, "ConditionNotMet"),
    "gone": (404, "BlobNotFound"),
    "left": ["a/b c", "large"],
}


def test_the_store_does_what_its_callers_need(store) -> None:
    assert trip(store) == SEEN


def test_azurite_does_the_same(azurite) -> None:
    assert trip(azurite) == SEEN


def test_a_sas_lets_in_for_what_it_says_alone(emulator, emulated) -> None:
    name, _ = emulator.run(emulator.pipeline({"n": emulated.node(emulator.command("echo said"))}))
    run = emulator.children(name)["n"]["runId"]
    log = emulator.history("GET", f"runs/{run}/details").body["logFiles"]["user_logs/std_log.txt"]
    assert emulator.ask("GET", log, headers={"Authorization": ""}).data == b"said\n"
    told = {"Authorization": "", "x-ms-blob-type": "BlockBlob"}
    assert emulator.ask("PUT", log, b"x", told).headers["x-ms-error-code"] == "AuthorizationPermissionMismatch"
    over = log.replace("se=20", "se=19")
    assert emulator.ask("GET", over, headers={"Authorization": ""}).headers["x-ms-error-code"] == "AuthenticationFailed"


def test_a_log_is_read_from_where_one_was(emulator, emulated) -> None:
    name, _ = emulator.run(emulator.pipeline({"n": emulated.node(emulator.command("echo one; echo two"))}))
    run = emulator.children(name)["n"]["runId"]
    path = f"ExperimentRun/dcid.{run}/user_logs/std_log.txt"
    assert emulator.blob(path, container="azureml", Range="bytes=4-").data == b"two\n"
    assert emulator.blob(path, container="azureml", Range="bytes=8-").status == 416


def test_uploads_that_the_sdk_does_not_make_are_refused(emulator) -> None:
    for kind in ("AppendBlob", "PageBlob", ""):
        assert emulator.blob("x", verb="PUT", data=b"", **{"x-ms-blob-type": kind}).status == 501
    assert emulator.blob("x", container="No_Container", verb="PUT", data=b"").status == 404


def test_a_blob_is_read_whole_while_it_is_written(emulator) -> None:
    """What is read is one of the contents that were written, never half of one, and nothing of two."""
    told, name = {"x-ms-blob-type": "BlockBlob"}, "read-while-written"
    contents = [bytes([letter]) * 300_000 for letter in b"abc"]
    assert emulator.blob(name, verb="PUT", data=contents[0], **told).status == 201
    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(emulator.blob, name, verb="PUT", data=contents[n % 3], **told) for n in range(60)]
        found = [pool.submit(emulator.blob, name) for _ in range(60)]
    assert {one.result().status for one in written} == {201}
    assert {(one.result().status, one.result().data in contents) for one in found} == {(200, True)}


def test_a_body_that_is_too_large_is_refused_in_words(emulator) -> None:
    class Zeros:
        """As many as are asked for."""

        def __init__(self) -> None:
            self.left = (256 << 20) + 1

        def read(self, size: int) -> bytes:
            block = bytes(min(size, self.left, 1 << 20))
            self.left -= len(block)
            return block

    headers = {"Content-Length": str((256 << 20) + 1), "Authorization": "Bearer x", "x-ms-blob-type": "BlockBlob"}
    url = urlsplit(emulator.url)
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=emulator.tls, timeout=60)
    connection.request("PUT", "/any/thing", Zeros(), headers)
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"the emulator takes up to 268435456 bytes at once" in answer.read()
    connection.close()
