"""Names, values and places on their way to Google and back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.contract.target import Location, Problem
from penstock.launcher.reports import AttemptReport, attempt_number, read_report
from penstock.launcher.wire import MARKER, decode_value, encode_value
from penstock.testing.strategies.text import hostile_text, keys, names
from penstock_vertex.locations import resolve_location
from penstock_vertex.names import label_problem, pipeline_name, step_name, task_name
from penstock_vertex.options import VertexOptions
from penstock_vertex.staging import code_object, compiled_object, object_path, reports_folder, split_uri
from penstock_vertex.wire import REFERENCE

odd = st.text("xX-_a0f5", min_size=1, max_size=8).filter(lambda text: text[0] != "-")


@given(keys() | odd)
@example("x-")
@example("_-B")
@example("a-x2d")
def test_a_step_and_its_task_are_made_of_each_other(step):
    task = task_name(step)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", task)
    assert step_name(task) == step


def test_a_step_that_google_takes_keeps_its_name():
    for step in ("train", "fit-2", "a-b-c9"):
        assert task_name(step) == step
    assert task_name("fit_model") == "fit--model"
    assert task_name("Fit") == "x--x46it"


@given(names(), names())
@example("Ünïcode and spaces", "unicode-and-spaces")
@example("1", "p-1")
def test_a_pipeline_has_a_name_that_google_takes(first, second):
    for name in (first, second):
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,127}", pipeline_name(name))
        assert len(pipeline_name(name)) <= 74
    assert (pipeline_name(first) == pipeline_name(second)) == (first == second)
    assert pipeline_name("digits-2") == "digits-2"


@given(hostile_text() | st.text("$(){X penstock-b64:=", max_size=20).map(MARKER.__add__))
@example(f"{REFERENCE}acme/x")
@example('{"Concat": ["a"]}')
def test_a_value_comes_back_and_nothing_finds_anything_in_it(text):
    sent = encode_value(text)
    assert decode_value(sent) == text
    assert not sent.startswith((REFERENCE, "{"))
    assert sent and "$" not in sent and "{{" not in sent
    assert sent.isprintable() or not text.isascii()
    assert sent == sent.strip() and not re.search(r"[\x00-\x1f\x7f]", sent)


def test_a_plain_value_stays_readable():
    for text in ("8", "0.25", '["a",{"b":null}]', "two words", "日本", "a=b"):
        assert encode_value(text) == text


@pytest.mark.parametrize("text", [f"{MARKER}!", f"{MARKER}gA==", f"{MARKER}eA"])
def test_what_is_no_encoded_value_is_told(text):
    with pytest.raises(ValueError, match="no value that penstock encoded"):
        decode_value(text)


def test_places_lie_below_staging():
    assert split_uri("gs://acme-staging/a/b") == ("acme-staging", "a/b")
    assert split_uri("gs://acme-staging") == ("acme-staging", "")
    assert object_path("gs://acme-staging/a", code_object("sha256:0f")) == "acme-staging/a/code/0f.tar"
    assert object_path("gs://acme-staging", compiled_object("0f")) == "acme-staging/compiled/0f.json"
    assert reports_folder("penstock-1", "train") == "runs/penstock-1/reports/train"


STAGING = [
    "gs://",
    "gs://B",
    "gs://b",
    "s3://bucket",
    "bucket",
    "gs://bucket//a",
    "gs://bucket/../a",
    "gs://bucket/$(x)",
]


@pytest.mark.parametrize("staging", [*STAGING, "gs://bucket/a b", "gs://bucket/a#1", "gs://bucket/{{$}}", "/gs/bucket"])
def test_a_staging_folder_that_is_none_is_refused(staging):
    with pytest.raises(ValueError, match="is no staging folder: write `gs://bucket`"):
        VertexOptions(project="acme", staging=staging)


def where(text: str, type_="file") -> str | Problem:
    return resolve_location(Location(parameter="data", type=type_, text=text, base=Path("/")))


def test_a_location_is_a_uri_of_cloud_storage():
    assert where("gs://bucket/a b/é.csv") == "gs://bucket/a b/é.csv"
    assert where("gs://bucket/folder/", "directory") == "gs://bucket/folder"
    assert where("gs://bucket", "directory") == "gs://bucket"


REFUSED = {
    "./here.csv": "see no file of this machine",
    "/etc/passwd": "see no file of this machine",
    "file:///etc/passwd": "reads gs:// only, not file://",
    "s3://bucket/x": "reads gs:// only, not s3://",
    "GS://bucket/x": "reads gs:// only, not GS://",
    "gs://bucket": "a file is expected",
    "gs:///x": "names no bucket",
    "gs://b/x": "names no bucket",
    "gs://bucket/a/../../other/x": "an empty part",
    "gs://bucket/a//x": "an empty part",
    "gs://bucket/x/": "an empty part",
    "gs://bucket/a\nb": "not printable",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_location_that_steps_cannot_read_is_refused(text):
    found = where(text)
    assert isinstance(found, Problem)
    assert (found.severity, found.code, found.path) == ("error", "location_unsupported", ("parameters", "data"))
    assert REFUSED[text] in found.message and "\n" not in found.message


def test_labels_are_held_to_what_google_takes():
    assert label_problem("penstock-run", "0f8c7a52") is None
    assert label_problem("ключ", "") is None
    assert (
        label_problem("Team", "x")
        == "the key of the label `Team` holds `T`; it takes lower-case letters, digits, `_` and `-`"
    )
    assert label_problem("1a", "x") == "the label `1a` does not begin with a letter"
    assert label_problem("a", "x" * 64) == "the value of the label `a` has 64 characters; at most 63"
    assert label_problem("", "x") == "the label `` does not begin with a letter"


BAD_OPTIONS = {
    "project": ("Acme Project", "is no project: write it like `acme-pipelines`"),
    "location": ("us-central1-a-b", "is no location: write it like `us-central1`"),
    "service_account": ("me", "is no service account"),
    "network": ("projects/acme/global/networks/ml", "is no network: write it like `projects/123/"),
    "encryption_key": ("key", "is no encryption key"),
    "accelerator": ("t4", "has no accelerator `t4` (did you mean `NVIDIA_TESLA_T4`?)"),
    "cpu": (97, "97 cores are more than the 96"),
    "memory": ("625Gi", "625Gi of memory are more than the 624Gi"),
    "image": ("a b", "`a b` is no container image"),
    "api_endpoint": ("http://example.com", "`http://example.com` would be told the credentials in the clear"),
    "storage_endpoint": ("ftp://x", "is no address"),
    "logging_endpoint": ("http://10.0.0.1:1", "in the clear"),
    "labels": ({"Team": "x"}, "the key of the label `Team` holds `T`"),
    "poll_timeout": ("soon", "is not a duration"),
}


@pytest.mark.parametrize(("name", "value"), [("cpu", 0), ("image", "")])
def test_a_target_asks_for_something(name, value):
    with pytest.raises(ValueError, match=name):
        VertexOptions(**{"project": "acme", "staging": "gs://acme-staging", name: value})


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_an_option_that_makes_no_sense_says_so(name):
    value, message = BAD_OPTIONS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        VertexOptions(**{"project": "acme", "staging": "gs://acme-staging", name: value})


def test_labels_of_penstock_are_its_own():
    with pytest.raises(ValueError, match="are penstock's own"):
        VertexOptions(project="acme", staging="gs://acme-staging", labels={"penstock-run": "x"})
    with pytest.raises(ValueError, match="57 labels are more than the 56"):
        VertexOptions(project="acme", staging="gs://acme-staging", labels={f"a{n}": "x" for n in range(57)})


@pytest.mark.parametrize("host", ["127.0.0.1:8500", "localhost:1", "[::1]:1"])
def test_anonymous_calls_go_to_this_machine_only(host):
    given = {"project": "acme", "staging": "gs://acme-staging/", "credentials": "anonymous"}
    endpoints = ("api_endpoint", "storage_endpoint", "logging_endpoint")
    here = dict.fromkeys(endpoints, f"http://{host}")
    assert VertexOptions(**given, **here).staging == "gs://acme-staging"
    assert VertexOptions(**given, **{**here, "api_endpoint": host}).transport == "rest"
    for name in endpoints:
        for wrong in (None, "https://us-central1-aiplatform.googleapis.com", "https://localhost.example.com"):
            with pytest.raises(ValueError, match=f"`{name}` is not on this machine"):
                VertexOptions(**given, **{**here, name: wrong})


def test_a_report_is_read_as_it_was_written_or_not_at_all():
    assert read_report(b"running\n\n\n") == AttemptReport(ended=False)
    assert read_report(b"succeeded\n0\n\n") == AttemptReport(exit_code=0)
    assert read_report(b"step_failed\n3\nexited with code 3\n") == AttemptReport(
        code="step_failed", exit_code=3, message="exited with code 3"
    )
    assert read_report(b"output_invalid\n0\na\nb\n") == AttemptReport(code="output_invalid", exit_code=0, message="a b")
    assert read_report(b"") == AttemptReport(ended=False)
    assert read_report(b"\xff") == AttemptReport(ended=False)


@given(st.text(max_size=30) | st.sampled_from(["\u00b2", "0", "01", "1000000", "-1", "1 "]))
def test_only_a_launcher_s_numbers_are_attempts(name):
    number = attempt_number(name)
    assert number is None or (str(number) == name and 1 <= number < 10**6)


@given(st.binary(max_size=200) | st.sampled_from([b"step_failed\n9" + b"9" * 5000, b"run_lost\n3\nx", b"\xff\n1"]))
def test_whatever_lies_where_a_report_does_is_read_or_left(data):
    report = read_report(data)
    assert report.code in (None, *CODES)
    assert report.message.isprintable() and len(report.message) <= 500
    assert report.exit_code is None or 0 <= report.exit_code <= 255


def test_a_report_is_read_as_it_was_written():
    assert read_report(b"step_failed\n3\nexited with code 3\n") == AttemptReport(
        code="step_failed", message="exited with code 3", exit_code=3
    )
    assert read_report(b"step_failed\n256\nx\n").exit_code is None
    assert read_report(b"output_missing\n0\na\x1b[31mb").message == "a [31mb"


CODES = ("step_not_started", "step_failed", "step_timeout", "output_missing", "output_invalid")
