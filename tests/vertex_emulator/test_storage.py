"""Objects through Google's own client: preconditions, pieces, listings, and the same files that steps see."""

from __future__ import annotations

import os
import threading
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture
def bucket(emulator):
    made = emulator.storage.create_bucket(f"b-{uuid.uuid4().hex}")
    yield made
    made.delete(force=True)


@settings(max_examples=15)
@given(data=st.binary(max_size=2000), boundary=st.sampled_from([b"", b"\r\n--", b"--==", b"\r\n\r\n"]))
def test_bytes_come_back(emulator, data: bytes, boundary: bytes) -> None:
    blob = emulator.bucket.blob("bytes/é b%2F+&?.bin")
    blob.upload_from_string(boundary + data + boundary, content_type="a/b")
    found = emulator.bucket.get_blob("bytes/é b%2F+&?.bin")
    assert found.download_as_bytes() == boundary + data + boundary
    assert (found.size, found.content_type) == (len(data) + 2 * len(boundary), "a/b")


def test_large_objects_go_in_pieces(exceptions, bucket) -> None:
    data = os.urandom(2_500_000)
    blob = bucket.blob("large", chunk_size=1 << 20)
    blob.upload_from_string(data)
    assert bucket.blob("large").download_as_bytes() == data
    assert bucket.blob("large", chunk_size=1 << 20).download_as_bytes() == data
    assert bucket.blob("large").download_as_bytes(start=7, end=9) == data[7:10]
    assert bucket.blob("large").download_as_bytes(start=2_499_999) == data[-1:]
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        bucket.blob("large").download_as_bytes(start=2_500_000)


@pytest.mark.parametrize("chunk", [None, 1 << 18], ids=["whole", "pieces"])
def test_only_one_creates(exceptions, bucket, chunk: int | None) -> None:
    data = b"x" * (1 << 19)
    results: list[object] = []

    def create(number: int) -> None:
        try:
            bucket.blob("once", chunk_size=chunk).upload_from_string(bytes([number]) + data, if_generation_match=0)
            results.append(number)
        except exceptions.PreconditionFailed as error:
            results.append(error.code)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [one for one in results if one != 412]
    assert len(results) == 6
    assert len(winners) == 1
    assert bucket.blob("once").download_as_bytes()[0] == winners[0]


def test_generations_are_compared_and_swapped(exceptions, bucket) -> None:
    blob = bucket.blob("swapped")
    blob.upload_from_string(b"1")
    first = blob.generation
    blob.upload_from_string(b"2", if_generation_match=first)
    assert blob.generation > first
    for attempt in (
        lambda: blob.upload_from_string(b"3", if_generation_match=first),
        lambda: blob.delete(if_generation_match=first),
        lambda: bucket.blob("swapped").download_as_bytes(if_generation_match=first),
    ):
        with pytest.raises(exceptions.PreconditionFailed):
            attempt()
    assert bucket.blob("swapped").download_as_bytes() == b"2"
    blob.delete(if_generation_match=blob.generation)
    assert not bucket.blob("swapped").exists()


def test_listings_have_prefixes_pages_and_an_order(bucket) -> None:
    names = ["a", "b/1", "b/2", "b/c/3", "b-", "ba", "d/4"]
    for name in names:
        bucket.blob(name).upload_from_string(name.encode())
    assert [one.name for one in bucket.list_blobs()] == sorted(names)
    assert [one.name for one in bucket.list_blobs(page_size=2)] == sorted(names)
    assert [one.name for one in bucket.list_blobs(prefix="b/")] == ["b/1", "b/2", "b/c/3"]
    assert [one.name for one in bucket.list_blobs(prefix="b")] == ["b-", "b/1", "b/2", "b/c/3", "ba"]
    listing = bucket.list_blobs(delimiter="/", page_size=2)
    assert [one.name for one in listing] == ["a", "b-", "ba"]
    assert listing.prefixes == {"b/", "d/"}


def test_what_is_not_there_is_not_found(exceptions, emulator, bucket) -> None:
    for attempt in (
        lambda: bucket.blob("none").download_as_bytes(),
        lambda: bucket.blob("none").delete(),
        lambda: emulator.storage.bucket("none-at-all").blob("x").upload_from_string(b""),
        lambda: emulator.storage.get_bucket("none-at-all"),
        lambda: list(emulator.storage.list_blobs("none-at-all")),
    ):
        with pytest.raises(exceptions.NotFound):
            attempt()
    assert not emulator.storage.bucket("none-at-all").exists()
    with pytest.raises(exceptions.Conflict):
        emulator.storage.create_bucket(bucket.name)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a//b", "a/", ".", "a\0b"])
def test_no_name_leaves_the_bucket(exceptions, emulator, bucket, name: str) -> None:
    for attempt in (bucket.blob(name).upload_from_string, lambda _: bucket.blob(name).download_as_bytes()):
        with pytest.raises(exceptions.BadRequest, match="cannot be a file"):
            attempt(b"x")
    assert not (emulator.state / "x").exists()


@pytest.mark.parametrize("name", ["..", "../uploads", "%2e%2e", "a%2Fb"])
def test_no_bucket_leaves_the_folder(emulator, name: str) -> None:
    import urllib.error
    import urllib.parse
    import urllib.request

    quoted = urllib.parse.quote(name, safe="")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{emulator.url}/storage/v1/b/{quoted}/o").close()


def test_wrong_sums_are_refused_and_nothing_is_there(exceptions, bucket) -> None:
    blob = bucket.blob("sums")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="md5Hash"):
        blob.upload_from_string(b"x", checksum=None)
    assert not bucket.blob("sums").exists()


def test_an_object_can_lie_where_others_lay(exceptions, bucket) -> None:
    bucket.blob("a/b/c").upload_from_string(b"deep")
    with pytest.raises(exceptions.BadRequest, match="cannot be a file"):
        bucket.blob("a").upload_from_string(b"x")
    with pytest.raises(exceptions.BadRequest, match="cannot be a file"):
        bucket.blob("a/b/c/d").upload_from_string(b"x")
    bucket.blob("a/b/c").delete()
    bucket.blob("a").upload_from_string(b"flat")
    assert [one.name for one in bucket.list_blobs()] == ["a"]


def test_metadata_can_be_changed(bucket) -> None:
    blob = bucket.blob("said")
    blob.upload_from_string(b"x")
    blob.metadata = {"k": "v"}
    blob.patch()
    assert bucket.get_blob("said").metadata == {"k": "v"}
    assert bucket.blob("said").download_as_bytes() == b"x"


def test_permissions_are_all_given(bucket) -> None:
    wanted = ["storage.objects.create", "storage.objects.get"]
    assert bucket.test_iam_permissions(wanted) == wanted
