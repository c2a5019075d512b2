"""Who answers is not always Azure, and what Azure says is not always to be believed at once: neither ends a run, gets a
token, or is held for what was asked.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from penstock.contract.run import Absent, RunRef, RunReport, RunRequest
from penstock.contract.target import Publication, Target
from penstock.errors import NotFound, PenstockError, TargetRefused, TargetUnavailable
from penstock.workspace import Workspace
from penstock_azureml import checking, history, jobs
from penstock_azureml.addresses import audience_of, is_storage
from penstock_azureml.client import MOST, connect
from penstock_azureml.kept import kept
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.troubles import Answer, meaning

HTML = {"Content-Type": "text/html"}
PAGE = b"<html>please sign in to the wireless network</html>"
STRANGE = {
    "302": (302, {"Location": "https://127.0.0.1:9/", **HTML}, PAGE),
    "304": (304, {}, b""),
    "200 HTML": (200, HTML, PAGE),
    "200 of a list": (200, {"Content-Type": "application/json"}, b"[]"),
    "200 of null": (200, {"Content-Type": "application/json"}, b"null"),
    "200 of nothing known": (200, {"Content-Type": "application/json"}, b"{}"),
    "400 HTML": (400, HTML, PAGE),
    "401 HTML": (401, HTML, PAGE),
    "403 HTML": (403, HTML, PAGE),
    "404 HTML": (404, HTML, PAGE),
    "404 of another service": (404, {"Content-Type": "application/json"}, b'{"error": "not here", "detail": "x"}'),
    "407": (407, {"Proxy-Authenticate": "Basic", **HTML}, PAGE),
    "409 HTML": (409, HTML, PAGE),
    "501 HTML": (501, HTML, PAGE),
    "502 HTML": (502, HTML, PAGE),
}
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: quick
steps:
  only: {command: [sh, -c, 'printf done > "$1"', sh, "${{ outputs.text }}"], outputs: {text: string}}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""


@pytest.fixture
def workspace(tmp_path: Path, target: dict[str, Any]) -> Iterator[Workspace]:
    """A workspace whose default target is the emulator, with the endpoint `quick`."""
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    (tmp_path / "quick.yaml").write_text(SPEC)
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        opened.publish(tmp_path / "quick.yaml", endpoint="quick")
        yield opened


def published(workspace: Workspace) -> Publication:
    """What was published."""
    from penstock.codec import load_pipeline
    from penstock.snapshot import take

    folder = workspace.config.base
    taken = take(load_pipeline(folder / "quick.yaml"), folder, folder / "store")
    target = workspace.services.targets.open("prod")
    return target.publish(taken, target.compile(taken))


@pytest.fixture
def reached(between: Any, workspace: Workspace) -> Target:
    """The same target, with somebody between it and the emulator. Nothing is known of it yet."""
    options = {name: value for name, value in between.target.items() if name != "backend"}
    kept.clear()
    found: Target = evolve(workspace.services.targets.open("prod").target, options=AzuremlOptions(**options))
    return found


def one_line(error: PenstockError) -> str:
    """What is said, which shows nobody's page, token or signature."""
    said = str(error)
    assert "\n" not in said and said.isprintable() and "wireless" not in said and "<" not in said and "sig=" not in said
    return said


def submitted(target: Target, run: RunRef) -> None:
    """Hand over what `run` names."""
    jobs.submit(target, RunRequest(id=run.id, publication=run.publication, pipeline="quick"))


ASKS: list[tuple[str, str, Callable[[Target, RunRef], Any]]] = [
    ("PUT", "/jobs/", submitted),
    ("GET", "/runs/", jobs.look),
    ("GET", "/runs/", jobs.outputs),
    ("POST", "/cancel", lambda target, run: jobs.cancel(target, run.id)),
    ("GET", "/components/", jobs.outputs),
    ("GET", "/discovery", jobs.look),
]


@pytest.mark.parametrize(("verb", "asked", "ask"), ASKS)
def test_what_is_not_azure_s_answer_is_no_answer(workspace, between, reached, verb, asked, ask) -> None:
    run = RunRef(id=str(uuid.uuid4()), publication=published(workspace))
    if verb != "PUT":
        submitted(reached, run)
    if verb == "POST":  # what has ended is not canceled
        between.change = lambda told, path, body: {**body, "status": "Running"} if "/runs/" in path else body
    for name, answer in STRANGE.items():
        if name == "200 of nothing known" and verb == "POST":
            continue  # nothing in it is needed
        kept.clear()
        between.answer = lambda told, path, answer=answer: answer if told == verb and asked in path else None
        with pytest.raises(TargetUnavailable) as caught:
            ask(reached, run)
        assert caught.value.code == "target_unavailable", one_line(caught.value)
        assert between.host in one_line(caught.value) or "Azure answers 502" in str(caught.value)
        between.answer = lambda told, path: None
        ask(reached, run)  # nothing of it was kept


def test_one_answer_that_something_is_not_there_is_no_proof(workspace, faults) -> None:
    run = workspace.submit("quick")
    target = workspace.services.targets.open("prod")
    ref = RunRef(id=run.id, publication=published(workspace))
    for methods in (("history.get",), ("history.get", "jobs.get"), ("components.get",)):
        kept.clear()
        for method in methods:
            faults(method, error="ResourceNotFound")
        assert isinstance(target.get_run(ref), RunReport)
    run.wait()
    faults("history.get", error="ResourceNotFound")
    assert jobs.cancel(target.target, ref.id) is False


def test_what_is_not_there_each_time_is_not_there(workspace, faults) -> None:
    target, ref = (
        workspace.services.targets.open("prod"),
        RunRef(id=str(uuid.uuid4()), publication=published(workspace)),
    )
    assert isinstance(target.get_run(ref), Absent)
    with pytest.raises(NotFound):
        jobs.cancel(target.target, ref.id)
    faults("components.get", error="ResourceNotFound", times=2)
    kept.clear()
    with pytest.raises(TargetRefused, match="publish it again") as caught:
        jobs.component_of(connect(target.target.options), ref.publication)
    assert caught.value.code == "publication_damaged"


def test_a_refused_job_that_may_be_there_is_not_given_up(workspace, between, reached) -> None:
    """The second question's trouble is said beside the first answer, and does not take its place."""
    body = json.dumps({"error": {"code": "UserError", "message": "no such compute"}}).encode()
    told = {"Content-Type": "application/json"}
    between.answer = lambda verb, path: (
        (400, told, body) if verb == "PUT" else (502, HTML, PAGE) if "/jobs/" in path else None
    )
    request = RunRequest(id=str(uuid.uuid4()), publication=published(workspace), pipeline="quick")
    with pytest.raises(TargetUnavailable, match=r"no such compute; .*502") as caught:
        jobs.submit(reached, request)
    one_line(caught.value)
    between.answer = lambda verb, path: (400, told, body) if verb == "PUT" else None
    with pytest.raises(TargetRefused, match="the job cannot be created: no such compute"):
        jobs.submit(reached, request)


def test_a_job_of_another_name_is_no_submission(workspace, between, reached) -> None:
    between.change = lambda verb, path, body: {**body, "name": "other"} if verb == "PUT" else body
    request = RunRequest(id=str(uuid.uuid4()), publication=published(workspace), pipeline="quick")
    with pytest.raises(TargetUnavailable, match="not understood"):
        jobs.submit(reached, request)


@pytest.mark.parametrize(
    ("says", "ask"),
    [
        ({"nextLink": "https://evil.example/next"}, lambda azure: list(azure.pages("components", "the list"))),
        ({"nextLink": "http://{host}/subscriptions/x"}, lambda azure: list(azure.pages("components", "the list"))),
        ({"nextLink": "https://{host}@evil.example/x"}, lambda azure: list(azure.pages("components", "the list"))),
        ({"nextLink": "https://evil.example\\@{host}/x"}, lambda azure: list(azure.pages("components", "the list"))),
        ({"nextLink": 7}, lambda azure: list(azure.pages("components", "the list"))),
        ({"history": "https://evil.example"}, lambda azure: history.of_run(azure, "x", "", "the run")),
        ({"history": "http://{host}"}, lambda azure: history.of_run(azure, "x", "", "the run")),
        ({"properties": {"discoveryUrl": "http://{host}/discovery"}}, lambda azure: history.service(azure, "history")),
    ],
)
def test_no_token_goes_where_an_answer_sends_it(workspace, between, reached, says, ask) -> None:
    text = json.loads(json.dumps(says).replace("{host}", between.host))
    between.change = lambda verb, path, body: {**body, **text} if next(iter(text)) in body or "value" in body else body
    with pytest.raises(TargetUnavailable) as caught:
        ask(connect(reached.options))
    one_line(caught.value)
    assert not between.called("evil|/next")


def test_a_list_that_goes_in_circles_ends(between, reached) -> None:
    again = f"https://{between.host}{reached.options.path}/components?api-version=2024-01-01"
    between.change = lambda verb, path, body: {**body, "nextLink": again} if "value" in body else body
    with pytest.raises(TargetUnavailable, match="not understood"):
        list(connect(reached.options).pages("components", "the list"))


OPTIONS: dict[str, Any] = {
    "subscription": "5e6f2a1c-0000-4000-8000-000000000001",
    "resource_group": "ml",
    "workspace": "prod",
}
CHINA = "https://management.chinacloudapi.cn"


@pytest.mark.parametrize(
    ("where", "url", "audience", "storage"),
    [
        (None, "https://management.azure.com/subscriptions/x", "https://management.azure.com", False),
        (None, "https://westeurope.api.azureml.ms/history/v1.0/x", "https://ml.azure.com", False),
        (None, "https://westeurope.api.azureml.ms:8443/history", None, False),
        (None, "https://acme.blob.core.windows.net/c/b", None, True),
        (None, "https://acme.z12.blob.storage.azure.net/c/b", None, True),
        (None, "http://acme.blob.core.windows.net/c/b", None, False),
        (None, "https://acme.blob.core.chinacloudapi.cn/c/b", None, False),
        (None, "https://127.0.0.1:8500/subscriptions/x", None, False),
        (None, "https://api.azureml.ms.evil.example/x", None, False),
        (None, "https://evilapi.azureml.ms/x", None, False),
        (None, "https://blob.core.windows.net/x", None, False),
        (None, "https://a.api.azureml.ms@evil.example/x", None, False),
        (None, "https://evil.example\\@a.api.azureml.ms/x", None, False),
        (None, "https://evil.example#a.api.azureml.ms", None, False),
        (None, "https://evil.example?.blob.core.windows.net", None, False),
        (None, "https://[::1].blob.core.windows.net/", None, False),
        (None, "https://a.api.azureml.ms:99999/", None, False),
        (None, "https://a .api.azureml.ms/", None, False),
        (CHINA, "https://chinaeast2.api.ml.azure.cn/x", "https://ml.azure.cn", False),
        (CHINA, f"{CHINA}/subscriptions/x", CHINA, False),
        (CHINA, "https://management.azure.com/subscriptions/x", None, False),
        (CHINA, "https://acme.blob.core.chinacloudapi.cn/c/b", None, True),
        ("https://127.0.0.1:8500", "https://127.0.0.1:8500/subscriptions/x", "https://management.azure.com", True),
        ("https://127.0.0.1:8500", "https://127.0.0.1:8500/history/v1.0/x", "https://ml.azure.com", True),
        ("https://127.0.0.1:8500", "https://127.0.0.1:8501/history/v1.0/x", None, False),
    ],
)
def test_each_address_is_shown_the_token_that_is_for_it(where, url, audience, storage) -> None:
    options = AzuremlOptions(**OPTIONS, **({"resource_manager": where} if where else {}))
    assert (audience_of(options, url), is_storage(options, url)) == (audience, storage)


@given(st.text(max_size=40))
def test_no_text_is_an_address_by_chance(text: str) -> None:
    options = AzuremlOptions(**OPTIONS)
    assert audience_of(options, text) is None and not is_storage(options, text)
    assert audience_of(options, f"https://evil.example/{text}") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": "0.5"}, 0.5),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"retry-after": "9" * 12}, 24 * 3600),
        ({"retry-after": format_datetime(datetime.now(UTC) + timedelta(days=9), usegmt=True)}, 24 * 3600),
        ({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "٣"}, 0),
        ({}, 0),
    ],
)
def test_what_azure_asks_to_wait_for_is_read(headers, seconds) -> None:
    assert Answer(503, headers, b"").pause == seconds


@given(
    status=st.integers(300, 599),
    headers=st.dictionaries(st.sampled_from(["retry-after", "x-ms-error-code"]), st.text(max_size=30)),
    body=st.binary(max_size=60),
)
def test_any_answer_means_one_line(status, headers, body) -> None:
    options = AzuremlOptions(**OPTIONS)
    said = meaning("it cannot be done", Answer(status, headers, body, host="azure.example"), options)
    assert str(said).startswith("it cannot be done: ") and str(said).isprintable()


def test_who_wants_a_token_is_azure_though_it_says_nothing_else(between, reached) -> None:
    between.answer = lambda verb, path: (401, {"WWW-Authenticate": 'Bearer authorization_uri="https://x"'}, b"")
    with pytest.raises(TargetUnavailable, match="status 401; sign in again") as caught:
        connect(reached.options).arm("GET", "", "the workspace")
    assert caught.value.code == "credentials_expired"


@pytest.mark.parametrize("error", ["ServiceUnavailable", "TooManyRequests"])
def test_who_asks_for_a_pause_gets_it(workspace, faults, error) -> None:
    faults("workspaces.get", error=error, retry_after=120, times=9)
    with pytest.raises(TargetUnavailable) as caught:
        connect(workspace.services.targets.open("prod").target.options).arm("GET", "", "the workspace")
    assert caught.value.retry_after == 120
    assert faults()["calls"]["workspaces.get"] == 1, "and it is not asked again at once"


def test_a_pause_of_no_time_is_none(workspace, faults) -> None:
    faults("workspaces.get", error="ServiceUnavailable", times=2)
    connect(workspace.services.targets.open("prod").target.options).arm("GET", "", "the workspace")
    assert faults()["calls"]["workspaces.get"] == 3


def test_an_answer_without_end_is_not_read_to_its_end(between, reached) -> None:
    endless = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    between.answer = lambda verb, path: (200, endless, b" " * 65536)
    azure = connect(reached.options)
    with pytest.raises(TargetUnavailable, match=f"more than {MOST:,} bytes"):
        azure.arm("GET", "", "the workspace")
    assert len(azure.call("GET", f"https://{between.host}/x", "x", audience=None, most=10).body) == 10


ASKED: list[tuple[str, Callable[[Any], Any]]] = [
    ("workspaces.get", history.workspace),
    ("discovery", lambda azure: history.service(azure, "history")),
    ("history.get", lambda azure: history.of_run(azure, "x", "", "the run")),
    ("history.resolve", lambda azure: history.resolved(azure, ["x"])),
    ("jobs.get", lambda azure: azure.find("jobs/x", "the job")),
    ("components.list", lambda azure: list(azure.pages("components/x/versions", "the list"))),
]


@pytest.mark.parametrize(("method", "ask"), ASKED, ids=[method for method, _ in ASKED])
def test_every_call_has_a_time_limit(workspace, faults, method, ask) -> None:
    options = evolve(workspace.services.targets.open("prod").target.options, poll_timeout=0.3)
    kept.clear()
    faults(method, delay=2.0, times=9)
    with pytest.raises(TargetUnavailable, match="Timeout"):
        ask(connect(options))


def test_who_cannot_be_trusted_or_reached_says_what_to_do(workspace, between, reached, emulator) -> None:
    other = evolve(reached.options, ca=emulator["target"]["ca"])
    with pytest.raises(TargetUnavailable, match=r"SSLError\); name a file .* `ca`"):
        connect(other).arm("GET", "", "the workspace")
    between.close()
    with pytest.raises(TargetUnavailable, match="is the emulator running"):
        connect(reached.options).arm("GET", "", "the workspace")


def test_each_refusal_says_what_to_do(workspace, faults) -> None:
    target = workspace.services.targets.open("prod").target
    for error, says in (
        ("AuthorizationFailed", "ask for the role `AzureML Data Scientist`"),
        ("ResourceNotFound", "are the target's `subscription`, `resource_group` and `workspace` right"),
        ("AuthenticationFailed", "a fault that was asked for; sign in again"),
    ):
        faults("workspaces.get", error=error)
        assert says in "\n".join(checking.check(target).lines)
