"""The audit file: one whole line per call, refused ones too, and no verb that it cannot hold."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.contract.hooks import VerbRequest
from penstock.errors import GateClosed, PolicyRefused
from penstock.workspace.plugins import WorkspacePlugins
from penstock_audit.hooks import Audit

KEYS = ["at", "actor", "verified", "door", "verb", "subject", "outcome", "duration_ms", "request_id"]


def request(subject: str = "digits", number: int = 1) -> VerbRequest:
    return VerbRequest(
        verb="endpoint.disable", subject=subject, actor="ada", verified=False, door="cli", request_id=f"r-{number}"
    )


def plugins(home: Path, file: Path | None = None) -> WorkspacePlugins:
    return WorkspacePlugins([("audit", Audit(home=home, file=file))])


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _raise(error: BaseException) -> Any:
    raise error


def test_a_call_is_one_line(tmp_path: Path) -> None:
    assert plugins(tmp_path / ".penstock").execute_verb(request(), lambda: "done") == "done"
    (line,) = lines(tmp_path / ".penstock" / "audit.jsonl")
    assert list(line) == KEYS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["at"])
    assert isinstance(line["duration_ms"], float)
    assert line["duration_ms"] >= 0
    assert {key: line[key] for key in KEYS if key not in ("at", "duration_ms")} == {
        "actor": "ada",
        "verified": False,
        "door": "cli",
        "verb": "endpoint.disable",
        "subject": "digits",
        "outcome": "ok",
        "request_id": "r-1",
    }


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (GateClosed("closed", code="version_disabled"), "version_disabled"),
        (ZeroDivisionError(), "internal"),
        (KeyboardInterrupt(), "internal"),
    ],
)
def test_a_refused_call_is_a_line_with_its_code(tmp_path: Path, error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)):
        plugins(tmp_path).execute_verb(request(), lambda: _raise(error))
    assert [line["outcome"] for line in lines(tmp_path / "audit.jsonl")] == [outcome]


def test_a_refusal_by_another_plugin_is_seen_wherever_that_one_stands(tmp_path: Path) -> None:
    from penstock.contract.hooks import hookimpl

    class Policy:
        @hookimpl(wrapper=True)
        def penstock_execute_verb(self) -> Any:
            raise PolicyRefused("not today")
            yield

    for order in (
        [("audit", Audit(home=tmp_path)), ("p", Policy())],
        [("p", Policy()), ("audit", Audit(home=tmp_path))],
    ):
        with pytest.raises(PolicyRefused):
            WorkspacePlugins(order).execute_verb(request(), lambda: None)
    assert [line["outcome"] for line in lines(tmp_path / "audit.jsonl")] == ["policy_refused"] * 2


def test_the_file_is_private_and_only_grows(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "who.jsonl"
    for number in range(3):
        plugins(tmp_path, file).execute_verb(request(number=number), lambda: None)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [line["request_id"] for line in lines(file)] == ["r-0", "r-1", "r-2"]
    assert not (tmp_path / "audit.jsonl").exists()


@pytest.mark.parametrize("subject", ["two\nlines", "ünïcode ✓", "lone \ud800", '"quoted" \\', "x" * 5000, ""])
def test_any_subject_stays_on_one_line(tmp_path: Path, subject: str) -> None:
    plugins(tmp_path).execute_verb(request(subject), lambda: None)
    (line,) = lines(tmp_path / "audit.jsonl")
    assert line["subject"] == subject


@pytest.mark.parametrize("obstacle", ["folder", "file in the way"])
def test_what_cannot_be_audited_does_not_happen(tmp_path: Path, obstacle: str) -> None:
    file = tmp_path / "audit.jsonl"
    if obstacle == "folder":
        file.mkdir()
    else:
        (tmp_path / "taken").write_text("")
        file = tmp_path / "taken" / "audit.jsonl"
    done: list[str] = []
    with pytest.raises(PolicyRefused) as caught:
        plugins(tmp_path, file).execute_verb(request(), lambda: done.append("verb"))
    assert done == []
    assert caught.value.code == "policy_refused"
    assert f"nothing was done, because the audit file {file} cannot be written: " in str(caught.value)


def test_nobody_waits_for_who_reads_a_pipe_in_the_files_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit.jsonl")
    for file in (None, tmp_path / "audit.jsonl"):
        with pytest.raises(PolicyRefused, match="cannot be written"):
            plugins(tmp_path, file).execute_verb(request(), lambda: None)
    reader = os.open(tmp_path / "audit.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    try:
        plugins(tmp_path, tmp_path / "audit.jsonl").execute_verb(request(), lambda: None)
        assert json.loads(os.read(reader, 4096))["outcome"] == "ok"
    finally:
        os.close(reader)


def test_only_what_was_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "audit.jsonl").symlink_to("elsewhere")
    with pytest.raises(PolicyRefused, match="cannot be written: it is a link"):
        plugins(tmp_path).execute_verb(request(), lambda: None)
    assert lines(tmp_path / "elsewhere") == []
    plugins(tmp_path, tmp_path / "audit.jsonl").execute_verb(request(), lambda: None)
    assert len(lines(tmp_path / "elsewhere")) == 1


def test_a_full_disk_is_said_and_the_outcome_stands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert plugins(tmp_path, Path("/dev/full")).execute_verb(request(), lambda: 5) == 5
    assert "plugin `audit` failed in hook `penstock_execute_verb`: OSError" in caplog.text


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        plugins(tmp_path).execute_verb(request(), lambda: None)
    assert len(os.listdir("/proc/self/fd")) == before


WRITER = """
import sys
from pathlib import Path
from penstock.contract.hooks import VerbRequest
from penstock.workspace.plugins import WorkspacePlugins
from penstock_audit.hooks import Audit

writer, home = sys.argv[1], Path(sys.argv[2])
plugins = WorkspacePlugins([("audit", Audit(home=home))])
for number in range(200):
    request = VerbRequest(verb="run.submit", subject=writer * 3000, actor=writer, verified=False, door="python",
                          request_id=f"{writer}-{number}")
    plugins.execute_verb(request, lambda: None)
"""


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(tmp_path)], stdin=subprocess.DEVNULL)
        for name in "abcd"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    found = lines(tmp_path / "audit.jsonl")
    for name in "abcd":
        own = [line for line in found if line["actor"] == name]
        assert [line["request_id"] for line in own] == [f"{name}-{number}" for number in range(200)]
        assert all(line["subject"] == name * 3000 for line in own)
    assert len(found) == 800
