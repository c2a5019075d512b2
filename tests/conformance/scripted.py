"""Histories for the tests of kill points; other processes import them from here."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from penstock.dispatch.outbox import BUDGET, Outbox
from penstock.testing.checks import CHECKS
from penstock.testing.examination import ask
from penstock.testing.faults.answers import Answers
from penstock.testing.faults.points import Point, Points
from penstock.testing.harness import Harness
from penstock.testing.laws import require
from penstock.testing.probes import probe
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject


def steps(folder: Path, points) -> None:
    """One durable step of each kind, and some that are none."""
    (folder / "not-yet").mkdir()
    (folder / "log.txt").touch(0o644)
    with points.armed(), closing(sqlite3.connect(folder / "kept.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE things (name TEXT)")
        database.execute("BEGIN")
        database.execute("SELECT * FROM things").fetchall()
        database.execute("COMMIT")
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO things VALUES ('; UPDATE nothing')")
        database.execute("UPDATE things SET name = 'kept'")
        database.execute("COMMIT")
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM things")
        database.execute("ROLLBACK")
        tempfile.gettempdir()
        (folder / "made").mkdir()
        (folder / "made").mkdir(exist_ok=True)
        (folder / ".draft.1a2b3c4d").write_text("whole")
        (folder / ".draft.1a2b3c4d").replace(folder / "report-1a2b3c4d.txt")
        (folder / "report-1a2b3c4d.txt").read_text()
        os.link(folder / "report-1a2b3c4d.txt", folder / "second.txt")
        (folder / "second.txt").unlink()
        (folder / "second.txt").unlink(missing_ok=True)
        database.execute("SAVEPOINT outer")
        database.execute("SAVEPOINT inner")
        database.execute("DELETE FROM things")
        database.execute("ROLLBACK TO inner")
        database.execute("INSERT INTO things VALUES ('saved')")
        database.execute("RELEASE inner")
        database.execute("RELEASE outer")
        with (folder / "log.txt").open("r+") as log:
            for word in ("one", "two", "three"):
                log.write(word)
                log.flush()
        (folder / "log.txt").chmod(0o600)
        subprocess.run([sys.executable, "-S", "-c", f"open({str(folder / 'ran')!r}, 'w')"], check=True)


NAMES = [
    "write in kept.db: create things",
    "commit in kept.db: insert things, update things",
    "mkdir made",
    "open .*.*",
    "rename report-*.txt",
    "link second.txt",
    "remove second.txt",
    "commit in kept.db: delete things, insert things",
    "write log.txt",
    "write log.txt, number 2",
    "chmod log.txt",
    f"process {Path(sys.executable).name}",
]
"""The points of `steps`."""


def found(folder: Path) -> list[bool]:
    """Which of the steps have been taken."""
    with closing(sqlite3.connect(folder / "kept.db", isolation_level=None)) as database:
        tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        rows = database.execute("SELECT name FROM things").fetchall() if tables else []
    log = folder / "log.txt"
    words = log.read_text()
    report, linked, ran = folder / "report-1a2b3c4d.txt", folder / "second.txt", folder / "ran"
    return [
        bool(tables),
        ("kept",) in rows,
        (folder / "made").exists(),
        (folder / ".draft.1a2b3c4d").exists() or report.exists(),
        report.exists(),
        linked.exists() or ran.exists() or (folder / "unlinked").exists(),
        report.exists() and not linked.exists() and (folder / "unlinked").exists(),
        ("saved",) in rows,
        bool(words),
        words == "onetwothree",
        log.stat().st_mode & 0o777 == 0o600,
        ran.exists(),
    ]


def exactly_the_steps_before(folder: Path, point) -> None:
    """Every step before the point was taken, and no other."""
    number = NAMES.index(str(point))
    if number > NAMES.index("remove second.txt"):
        (folder / "unlinked").touch()
    elif number == NAMES.index("remove second.txt"):
        require(12, (folder / "second.txt").exists(), "the link is there")
    require(12, found(folder)[:number] == [True] * number, f"taken were {json.dumps(found(folder))}")
    require(12, not any(found(folder)[number:]), f"taken were {json.dumps(found(folder))}")


def nothing_at_all(folder: Path, point) -> None:
    """A judge that finds a law broken once anything is there."""
    require(1, len(list(folder.iterdir())) < 4, "something is there")


def all_of_it(folder: Path, point) -> None:
    """A judge of a history that came to its end."""
    require(12, (folder / "ran").exists(), "the last step was taken")


def examines_too(subject: Subject, points) -> None:
    """One more process examines a subject, as those do that judge what a kill has left."""
    with points.armed():
        Harness(subject, DEFAULT, seed=1)


def the_probe_is_whole(subject: Subject, point) -> None:
    """Whoever packs the kit's code at this moment packs the probe, all of it and nothing else."""
    code = subject.config.home.parent / "conformance" / "pipelines" / "src"
    held = {path.name: path.read_bytes() for path in code.iterdir()}
    require(12, held == {"probe.py": Path(probe.__file__).read_bytes()}, f"the code is {held}")


def break_deaf() -> None:
    """No point is ever noticed."""
    Points.reach = lambda self, name: None


def break_alive() -> None:
    """Points are noticed, and nobody is killed there."""
    Points.reach = lambda self, name: self.passed.append(Point(name)) if self._armed else None


def break_untroubled() -> None:
    """Answers are counted, and none is troubled."""
    answer = Answers._answer

    def answers(self, *asked):
        self._trouble = None
        return (yield from answer(self, *asked))

    Answers._answer = answers


def break_uncounted() -> None:
    """No answer is ever noticed."""
    Answers._answer = lambda self, *asked: (yield)


def break_hurried() -> None:
    """No command has time for anything but what it was called for."""
    give_time = Outbox.give_time

    def hurry(self, budget=BUDGET, **more):
        if budget > BUDGET:
            give_time(self, budget, **more)

    Outbox.give_time = hurry


def asked(folder: Path, check: str, breaking: str) -> tuple[str, str]:
    """What a check comes to when the kit does not make the trouble that it means to, or not at once."""
    sys.path.insert(0, str(Path(__file__).parent))
    subject = Subject.of_options(folder, {"backend": "local", "idle": "1s"}, prepare=(f"scripted:break_{breaking}",))
    outcome = ask(Harness(subject, DEFAULT, seed=1), {one.name: one for one in CHECKS}[check])
    return outcome.result, outcome.reason
