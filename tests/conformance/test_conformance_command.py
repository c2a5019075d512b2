"""`penstock conformance`: the matrix for a person, a program and a README, and what a broken target looks like."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from penstock.testing.checking import check
from penstock.testing.examination import examine_laws
from penstock.testing.laws import LawBroken
from penstock.testing.subject import Subject

pytestmark = pytest.mark.thorough

FORGETFUL = '''
"""The local backend, except that it swallows the last line of every log."""
import penstock
from penstock.contract.run import LogChunk
from penstock_local.hooks import *
from penstock_local import hooks


@penstock.hookimpl
def penstock_read_logs(target, run, step, offset):
    chunk = hooks.penstock_read_logs(target, run, step, offset)
    if not chunk.complete:
        return chunk
    kept = chunk.data[: chunk.data.rstrip(b"\\n").rfind(b"\\n") + 1]
    return LogChunk(data=kept, next_offset=offset + len(kept), complete=True)
'''


@pytest.fixture
def temporary(monkeypatch):
    """A temporary folder of its own, for what the test calls; with a short name, for it will hold sockets."""
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def conformance(project, tmp_path, temporary, engines_end):
    """Call `penstock conformance` in a project, with a temporary folder of its own."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "penstock", "conformance", *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    call.temporary = temporary
    yield call
    engines_end(tmp_path)
    engines_end(temporary)


def test_the_matrix_for_a_program_and_nothing_of_it_stays(conformance, project):
    before = sorted(project.rglob("*"))
    done = conformance("laptop", "--law", "7", "--seed", "7", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == {"target", "seed", "laws"}
    assert (report["target"], report["seed"]) == ("laptop", 7)
    assert [set(one) for one in report["laws"]] == [{"law", "result", "reason"}] * 13
    assert [one["law"] for one in report["laws"]] == list(range(1, 14))
    assert report["laws"][6]["result"] == "pass"
    others = {(one["result"], one["reason"]) for one in report["laws"] if one["law"] != 7}
    assert others == {("skip", "not asked"), ("core", "")}
    assert [one["law"] for one in report["laws"] if one["result"] == "core"] == [2, 3, 4, 10]
    assert "seed 7" in done.stderr
    assert sorted(project.rglob("*")) == before
    assert list(conformance.temporary.iterdir()) == []


def test_the_matrix_for_a_person(conformance):
    shown = conformance("laptop", "--law", "1")
    assert shown.returncode == 0, shown.stderr
    head, *rows = shown.stdout.splitlines()
    assert head.split() == ["LAW", "NAME", "RESULT", "REASON"]
    assert rows[0].split() == ["1", "Frozen", "pass"]
    assert rows[10].split()[:5] == ["11", "The", "same", "everywhere", "skip"]
    assert [line for line in shown.stderr.splitlines() if line.startswith("pass")]


def test_a_broken_target_is_told_by_the_law_it_breaks(conformance, project, distribution, monkeypatch):
    site = distribution("penstock-forgetful", {"penstock.backends": {"forgetful": "forgetful"}}, forgetful=FORGETFUL)
    monkeypatch.setenv("PYTHONPATH", str(site))
    (project / "penstock.yaml").write_text("targets: {odd: {backend: forgetful, idle: 2s}}\n")
    done = conformance("odd", "--law", "11", "--python", "python3", "--json")
    assert done.returncode == 14, done.stdout + done.stderr
    law = json.loads(done.stdout)["laws"][10]
    assert law["result"] == "fail" and law["reason"]
    assert "Traceback" not in done.stderr
    again, last = done.stderr.splitlines()[-2:]
    assert re.search(r": penstock conformance odd --python python3 --seed \d+ --law 11$", again)
    kept = Path(last.rpartition(" ")[2])
    assert kept.is_dir() and kept.parent == conformance.temporary


def test_what_is_called_wrongly_is_one_line(conformance):
    for arguments, status, said in [
        (("laptpo",), 4, "did you mean `laptop`?"),
        (("laptop", "--unsupported", "penstock_read_lgos=never"), 2, "did you mean `penstock_read_logs`?"),
        (("laptop", "--unsupported", "penstock_submit_run=never"), 2, "`penstock_submit_run` is mandatory"),
        (("laptop", "--unsupported", "=never"), 2, "HOOK=REASON"),
        (("laptop", "--unsupported", "penstock_read_logs=soon"), 2, "not yet"),
        (("laptop", "--unsupported", "penstock_read_logs"), 2, "penstock_read_logs=REASON"),
        (("laptop", "--unsupported", "penstock_read_logs=never"), 2, "take it out of `unsupported`"),
        (("laptop", "--law", "14"), 2, "14"),
        (("laptop", "--law", "1", "--python", "pyhton"), 2, "could not start: `pyhton`"),
        (("laptop", "--law", "1", "--python", "env"), 2, "Steps call Python as `env`"),
        (("laptop", "--markdown", "--law", "7", "--json"), 2, "two answers"),
    ]:
        done = conformance(*arguments)
        assert done.returncode == status, done.stderr
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stderr and list(conformance.temporary.iterdir()) == []


def test_a_law_that_broke_is_told_though_another_was_asked_for(tmp_path, monkeypatch):
    @check(3)
    def crooked(harness):
        """Does it break what it was not asked about?"""
        raise LawBroken(11, "it does")

    monkeypatch.setattr("penstock.testing.checks.CHECKS", (crooked,))
    subject = Subject.of_options(tmp_path, {"backend": "local"})
    report = examine_laws(subject, (3,), seed=1)
    assert [(one.law, one.reason) for one in report.failed] == [(11, "crooked: it does")]
    assert report.laws[2].result == "skip"


def test_a_target_that_cannot_be_used_is_one_line(conformance, project):
    (project / "penstock.yaml").write_text("targets: {odd: {backend: local, root: /proc/nowhere}}\n")
    done = conformance("odd")
    assert done.returncode == 10, done.stderr
    _, said = done.stderr.splitlines()
    assert said.startswith("error: ") and "/proc/nowhere" in said
    assert list(conformance.temporary.iterdir()) == []


@pytest.mark.serial  # a target that answers late for want of the machine would be a skip
@pytest.mark.parametrize(
    ("number", "everybody", "law"),
    [(signal.SIGINT, False, 9), (signal.SIGTERM, False, 9), (signal.SIGINT, True, 12), (signal.SIGINT, True, 8)],
)
def test_somebody_who_wants_it_to_end_is_obeyed(project, temporary, number, everybody, law):
    command = [sys.executable, "-m", "penstock", "conformance", "laptop", "--law", str(law)]
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    told = [running.stderr.readline() for _ in range(6)]
    # A terminal tells everybody in front of it.
    os.killpg(running.pid, number) if everybody else running.send_signal(number)
    _, rest = running.communicate(timeout=60)
    assert running.returncode == 130, (told, rest)
    assert rest.splitlines()[-1] == "interrupted"
    lines = [*told[1:], *rest.splitlines()[:-1]]
    assert [line for line in lines if not line.startswith("pass")] == []
    assert list(temporary.iterdir()) == []
