"""Two installations of penstock on one root: whoever hands over a run has it run by its own, and no step notices.

Longer than 400 lines, because all of it needs the second installation that is made here.
"""

import ast
import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import penstock
import penstock_local
from penstock.contract.run import ENDED, Absent, RunRef
from penstock.contract.target import Publication
from penstock.errors import TargetUnavailable
from penstock.spec import Retry, Step
from penstock_local import hooks, installation, journal, keeper, starting, succession

pytestmark = pytest.mark.thorough

CALL = """
import sys
from pathlib import Path
from penstock.contract.run import RunRef, RunRequest
from penstock.contract.target import Publication, Target
from penstock.errors import PenstockError
from penstock_local import hooks
from penstock_local.options import LocalOptions
home, slots, grace, what, *runs, publication = sys.argv[1:]
options = LocalOptions(slots=int(slots), grace=float(grace), idle=60.0)
target = Target(name="here", backend="local", options=options, home=Path(home))
try:
    for run in runs:
        request = RunRequest(id=run, publication=Publication(external=publication), pipeline="test")
        ref = RunRef(id=run, publication=request.publication, external=run)
        if what == "submit":
            hooks.penstock_submit_run(target, request)
        elif what == "cancel":
            hooks.penstock_cancel_run(target, ref)
        else:
            print(hooks.penstock_get_run(target, ref), hooks.penstock_list_runs(target, [ref]))
            print("\\n".join(hooks.penstock_check_target(target).lines))
except PenstockError as error:
    sys.exit(f"{error.code}: {error}")
"""


class Other:
    """A second installation: a copy of the sources with a version of its own, first on the path of modules."""

    def __init__(self, place, version="9.9.9"):
        self.place = place
        self.folder = place.folder.parent / "other"
        for package in (penstock, penstock_local):
            source = Path(package.__file__).parent
            shutil.copytree(source, self.folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        about = self.folder / f"penstock-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: penstock\nVersion: {version}\n")

    def begin(self, what, *runs: RunRef, publication=None) -> subprocess.Popen[str]:
        options = self.place.target.options
        words = [str(self.place.target.home), str(options.slots), str(options.grace), what, *(run.id for run in runs)]
        external = (publication or runs[0].publication).external
        return subprocess.Popen(
            [sys.executable, "-c", CALL, *words, external],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, what, *runs: RunRef, publication=None) -> str:
        with self.begin(what, *runs, publication=publication) as process:
            said, error = process.communicate()
        assert process.returncode == 0, error
        return said

    def submit(self, publication: Publication, count=1) -> RunRef:
        runs = [RunRef(id=f"run-{uuid.uuid4()}", publication=publication) for _ in range(count)]
        self.call("submit", *runs)
        return runs[-1]

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))


class Waiting:
    """A step that notes its pid at each start, and waits until it may go on."""

    SCRIPT = 'echo $$ >> "$1"; until test -e "$2"; do sleep 0.02; done; echo 7 > "$3"'

    def __init__(self, place, name="waiting"):
        self.began, self.go = place.folder / f"{name}.began", place.folder / f"{name}.go"
        words = ["sh", "-c", self.SCRIPT, "sh", str(self.began), str(self.go), "${{ outputs.x }}"]
        self.place = place
        self.step = Step(command=words, outputs={"x": "integer"})

    def pids(self) -> list[int]:
        return [int(pid) for pid in self.began.read_text().split()] if self.began.exists() else []

    def started(self) -> int:
        self.place.until(lambda: len(self.pids()) == 1, "the step does not start")
        return self.pids()[0]


@pytest.fixture
def here(places):
    """A place whose engine stays, and another installation beside it."""
    place = places(idle=60.0)
    return place, Other(place)


def serves(place) -> str:
    """In which folder the engine has its code, as its own process says."""
    environment = Path(f"/proc/{place.engine()}/environ").read_bytes().split(b"\0")
    path = [entry.partition(b"=")[2].decode() for entry in environment if entry.startswith(b"PYTHONPATH=")]
    return path[0] if path else ""


def only_one(place, run, waiting, follower="two") -> None:
    waiting.go.touch()
    report = place.wait(run)
    assert (report.state, report.error) == ("succeeded", None)
    assert {step.name: step.attempt for step in report.steps} == {"one": 1, follower: 1}
    assert place.steps(run)["one"].outputs["x"] == "7"
    assert len(waiting.pids()) == 1


def pair(waiting) -> dict[str, Step]:
    return {"one": waiting.step, "two": Step(command="true", after=("one",))}


def test_what_runs_goes_on_under_the_engine_of_whoever_hands_over_next(here):
    place, other = here
    waiting = Waiting(place)
    quick = place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    pid = waiting.started()
    first = place.engine()
    assert place.wait(other.submit(quick)).state == "succeeded"
    assert place.engine() != first
    assert serves(place) == str(other.folder)
    assert place.alive(pid)
    assert place.states(run) == {"one": "running", "two": "queued"}
    only_one(place, run, waiting)
    assert serves(place) == str(other.folder)  # who only looks, from wherever, leaves the engine alone
    assert f"gives way to penstock 9.9.9 in `{other.folder}" in place.layout.log.read_text()


def test_who_looks_or_cancels_replaces_no_engine(here):
    place, other = here
    waiting = Waiting(place)
    run = place.submit(pair(waiting))
    waiting.started()
    first = place.engine()
    said = other.call("look", run)
    assert "not this one, which takes over with the next run from here" in said
    assert "engine: running" in said
    other.call("cancel", run)
    assert place.wait(run).state == "canceled"
    assert place.engine() == first
    lines = hooks.penstock_check_target(place.target).lines
    (line,) = [line for line in lines if line.startswith("installation: ")]
    assert str(Path(penstock_local.__file__).parent) in line and "not this one" not in line


def test_installations_that_take_turns_lose_nothing_and_repeat_nothing(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    pid = waiting.started()
    runs, engines = [], set()
    for _ in range(3):
        runs.append(other.submit(quick))
        assert serves(place) == str(other.folder)
        engines.add(place.engine())
        runs.append(place.start(quick))
        assert serves(place) == ""
        engines.add(place.engine())
    assert {place.wait(one).state for one in runs} == {"succeeded"}
    assert len(engines) == 6
    assert place.alive(pid)
    only_one(place, run, waiting)


def test_the_same_installation_keeps_its_engine(here):
    place, other = here
    quick = place.publish({"one": "true"})
    place.wait(other.submit(quick))
    engine = place.engine()
    (other.folder / "penstock_local" / "#engine.py#").write_text("an editor's")
    (other.folder / "penstock_local" / ".engine.py.swp").write_text("an editor's")
    (other.folder / "penstock" / "cli" / "submit.py").write_text("# no engine loads it\n")
    assert place.wait(other.submit(quick, count=3)).state == "succeeded"
    assert place.engine() == engine


def test_an_edited_source_is_what_the_next_run_finds(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    place.wait(other.submit(quick))
    run = place.submit(pair(waiting))
    waiting.started()
    last = "os.umask(UMASK)"
    for number in (1, 2):
        mark = place.folder / f"edited-{number}"
        new = f"os.umask(UMASK), Path({str(mark)!r}).touch()"
        other.edit("penstock_local/baseline.py", last, new)
        last = new
        assert place.wait(other.submit(quick)).state == "succeeded"
        assert mark.exists()
    only_one(place, run, waiting)


def test_slots_are_held_across_the_change(places):
    place = places(idle=60.0, slots=1)
    other, waiting, quick = Other(place), Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    waiting.started()
    second = other.submit(quick)
    assert serves(place) == str(other.folder)
    assert place.get(second).state == "queued"
    only_one(place, run, waiting)
    assert place.wait(second).state == "succeeded"


def test_a_timeout_goes_on_across_the_change(here):
    place, other = here
    quick = place.publish({"one": "true"})
    run = place.submit({"one": Step(command="sleep 300", timeout=3.0)})
    place.until(lambda: place.states(run)["one"] == "running", "the step does not start")
    place.wait(other.submit(quick))
    report = place.wait(run)
    assert (report.state, report.error.code) == ("failed", "step_timeout")
    assert report.steps[0].attempt == 1


@pytest.mark.parametrize("by_other", [False, True])
def test_a_cancel_after_the_change_is_heard(here, by_other):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    pid = waiting.started()
    place.wait(other.submit(quick))
    if by_other:
        other.call("cancel", run)
    else:
        place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert not place.alive(pid)
    assert serves(place) == str(other.folder)


def test_a_step_that_is_being_ended_is_told_once_and_killed_when_its_grace_is_over(places):
    place = places(idle=60.0, grace=4.0)
    other, quick = Other(place), place.publish({"one": "true"})
    heard, up = place.folder / "heard", place.folder / "up"
    deaf = f"trap 'echo x >> {heard}' TERM; touch {up}; while :; do sleep 0.05; done"
    run = place.submit({"one": Step(command=["sh", "-c", deaf])})
    place.until(up.exists, "the step does not start")
    place.cancel(run)
    place.until(heard.exists, "it is not told")
    second = other.submit(quick)
    assert place.get(run).state in ENDED  # before the other one took over
    assert place.wait(run).state == "canceled"
    assert place.steps(run)["one"].exit_code == 128 + signal.SIGKILL
    assert heard.read_text() == "x\n"
    assert place.wait(second).state == "succeeded"
    assert serves(place) == str(other.folder)


def test_a_wait_between_two_attempts_goes_on(here):
    place, other = here
    run = place.submit({"one": Step(command="false", retry=Retry(attempts=2, delay=600.0))})
    place.until(lambda: b"attempt 2 of 2" in place.log(run, "one"), "the first attempt does not fail")
    log = place.layout.log_of(run.id, "one")
    os.utime(log, (time.time() - 700.0,) * 2)
    place.wait(other.submit(place.publish({"one": "true"})))
    assert place.wait(run).state == "failed"
    assert place.steps(run)["one"].attempt == 2


def test_an_installation_that_does_not_come_up_ends_nobody(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    waiting.started()
    first = place.engine()
    with (other.folder / "penstock_local" / "schedule.py").open("a") as file:
        file.write("\ndef half_edited(:\n")
    with other.begin("submit", RunRef(id="late", publication=quick)) as process:
        error = process.communicate()[1]
    assert process.returncode == 1
    assert error.startswith("engine_not_started") and "SyntaxError" in error
    assert place.engine() == first
    only_one(place, run, waiting)
    assert place.wait(RunRef(id="late", publication=quick)).state == "succeeded"


def test_many_callers_bring_up_one_successor(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    waiting.started()
    runs = [RunRef(id=f"run-{number}", publication=quick) for number in range(5)]
    callers = [other.begin("submit", one) for one in runs]
    for caller in callers:
        assert caller.wait() == 0, caller.stderr.read()
        caller.communicate()
    assert {place.wait(one).state for one in runs} == {"succeeded"}
    assert place.layout.log.read_text().count("gives way") == 1
    assert serves(place) == str(other.folder)
    only_one(place, run, waiting)


def test_an_engine_that_notes_no_installation_is_left_alone(here):
    place, other = here
    quick = place.publish({"one": "true"})
    place.wait(place.start(quick))
    first = place.engine()
    place.layout.lock.write_bytes(b"")
    assert place.wait(other.submit(quick)).state == "succeeded"
    assert place.engine() == first
    assert "of an older penstock" in "\n".join(hooks.penstock_check_target(place.target).lines)


@pytest.mark.parametrize("note", ["0" * 64 + "\nforged\x1b[2J", "\xff" * 5000, "-\n"])
def test_a_forged_note_harms_no_step(here, note):
    place, _ = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    waiting.started()
    place.layout.lock.write_text(note)
    assert "\x1b" not in "\n".join(hooks.penstock_check_target(place.target).lines)
    assert place.wait(place.start(quick)).state == "succeeded"
    only_one(place, run, waiting)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_a_step_puts_in_the_place_of_the_successor_s_file_is_put_aside(here, kind):
    place, other = here
    quick = place.publish({"one": "true"})
    place.wait(place.start(quick))
    target = place.folder / "elsewhere"
    make = {"fifo": os.mkfifo, "link": target.symlink_to, "folder": os.mkdir}
    place.layout.next.symlink_to(target) if kind == "link" else make[kind](place.layout.next)
    assert place.wait(other.submit(quick)).state == "succeeded"
    assert serves(place) == str(other.folder)
    assert not target.exists()


def test_an_engine_that_is_the_parent_of_a_step_stays_until_that_has_ended(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    waiting.started()
    first = place.engine()
    place.kill(*place.keepers())
    place.until(lambda: installation.noted(place.layout.lock).mark == "-", "it does not note that it stays")
    assert place.wait(other.submit(quick)).state == "succeeded"
    assert place.engine() == first
    only_one(place, run, waiting)
    place.wait(other.submit(quick))
    assert serves(place) == str(other.folder)


def test_a_journal_that_cannot_be_read_is_told_and_the_engine_that_can_goes_on(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true"})
    run = place.submit(pair(waiting))
    waiting.started()
    first = place.engine()
    newer = place.layout.keepers / "newer"
    newer.write_bytes(keeper.record(keeper.KEEPER, "-", 1, keeper.FORMAT + 1))
    with pytest.raises(TargetUnavailable, match=f"format {keeper.FORMAT + 1}"):
        journal.read(newer)
    with other.begin("submit", RunRef(id="late", publication=quick)) as process:
        error = process.communicate()[1]
    assert error.startswith("engine_not_started") and "was written by a newer penstock" in error
    assert place.engine() == first
    newer.unlink()
    only_one(place, run, waiting)


def test_a_keeper_of_other_words_says_so():
    words = [sys.executable, "-I", "-S", keeper.__file__, "", "", "0", "0", "0", "0", str(keeper.FORMAT + 1)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "speaks format" in done.stderr


def test_an_engine_that_is_stopped_holds_nobody_up_for_ever_and_goes_on(here):
    place, other = here
    quick = place.publish({"one": "true"})
    place.wait(place.start(quick))
    first = place.engine()
    os.kill(first, signal.SIGSTOP)
    try:
        other.edit("penstock_local/succession.py", "_LIMIT = 60.0", "_LIMIT = 0.5")
        run = other.submit(quick)
        assert installation.noted(place.layout.lock).mark == "-"
    finally:
        os.kill(first, signal.SIGCONT)
    assert place.wait(run).state == "succeeded"
    assert place.engine() == first
    place.until(lambda: installation.noted(place.layout.lock).mark != "-", "nobody may ever succeed it")


WHO = ["engine", "successor", "caller", "nobody"]


def kill_during_the_change(place, other, who, moment) -> None:
    """Kill somebody some seconds after a hand-over began, or let the step end then; no step suffers."""
    name = str(uuid.uuid4())
    waiting, quick = Waiting(place, name), place.publish({"one": "true"})
    run = place.start(place.publish(pair(waiting)))
    waiting.started()
    first = place.engine()
    new = RunRef(id=f"new-{name}", publication=quick)
    with other.begin("submit", new) as caller:
        time.sleep(moment)
        successors = [pid for pid in place.engines() if pid != first]
        for pid in {"engine": [first], "successor": successors, "caller": [caller.pid]}.get(who, []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if who == "nobody":
            waiting.go.touch()
        caller.communicate()
    only_one(place, run, waiting)
    if not isinstance(place.get(new), Absent):  # its caller died before it was accepted
        assert place.wait(new).state == "succeeded"


@pytest.mark.parametrize("who", WHO)
def test_whoever_is_killed_during_the_change_no_step_runs_twice(here, who):
    kill_during_the_change(*here, who, 1.0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(who=st.sampled_from(WHO), moment=st.floats(0.0, 3.0))
def test_at_whatever_moment_that_is_no_step_runs_twice(here, who, moment):
    kill_during_the_change(*here, who, moment)


def test_two_installations_at_once_get_all_their_runs_done(here):
    place, other = here
    waiting, quick = Waiting(place), place.publish({"one": "true", "two": Step(command="true", after=("one",))})
    run = place.submit(pair(waiting))
    waiting.started()
    runs = []
    for number in range(6):
        new = RunRef(id=f"other-{number}", publication=quick)
        with other.begin("submit", new) as caller:
            runs += [new, *(place.start(quick) for _ in range(3))]
            caller.communicate()
        assert caller.returncode == 0
    for one in runs:
        report = place.wait(one)
        assert report.state == "succeeded" and {step.attempt for step in report.steps} == {1}
    only_one(place, run, waiting)


def test_a_step_may_hand_over_to_its_own_root_by_another_installation(here):
    place, other = here
    quick = place.publish({"one": "true"})
    words = [sys.executable, "-c", CALL, str(place.target.home), "4", "2.0", "submit", "inner", quick.external]
    run = place.submit({"one": Step(command=words, env={"PYTHONPATH": str(other.folder)})})
    report = place.wait(run)
    assert (report.state, report.error, report.steps[0].attempt) == ("succeeded", None, 1)
    assert place.wait(RunRef(id="inner", publication=quick)).state == "succeeded"
    assert serves(place) == str(other.folder)


def test_all_that_an_engine_loads_is_in_its_mark(tmp_path):
    code = "import sys, penstock_local.engine; print(*(m.__file__ for n, m in sys.modules.items() if 'penstock' in n))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    home = os.path.dirname(os.path.abspath(penstock_local.__file__))
    marked = {os.path.join(folder, name) for folder, name, _, _ in installation._code(home)}
    assert {os.path.realpath(file) for file in loaded} <= marked


def test_a_successor_trusts_what_its_caller_was_told_to_trust(place, monkeypatch):
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    monkeypatch.setenv("PENSTOCK_TRUST", "/srv/shared")
    monkeypatch.setattr(installation, "mark_here", lambda: "0" * 64)
    started = []

    def start(layout, files, environment):
        started.append(environment)
        for file in files:
            os.close(file)

    monkeypatch.setattr(starting, "start", start)
    succession.hand_over(place.layout)
    assert [one["PENSTOCK_TRUST"] for one in started] == ["/srv/shared"]


def test_a_successor_that_cannot_open_the_queue_asks_nobody_to_end(place, monkeypatch):
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    engine = place.engine()

    def refuse(layout):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(succession.database, "connect", refuse)
    with pytest.raises(sqlite3.OperationalError):
        succession.succeed(place.layout, os.open(place.layout.next, os.O_RDWR | os.O_CREAT, 0o600))
    assert place.engine() == engine


CALLER = """
import os, sys, uuid
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.local.conftest import Place
from penstock.spec import Step

place = Place(Path(sys.argv[2]), idle=60.0)
script = "nice; chrt -p $$ | grep -o 'SCHED_[A-Z]*'; grep NoNewPrivs /proc/self/status"
script += "; ulimit -Hn; ulimit -Ht; id -g; id -G"
run = place.submit({"one": Step(command=["sh", "-c", script])})
place.wait(run)
print(place.log(run, "one").decode().split(), place.engine())
"""
AS_USER = ["setpriv", "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--reuid=65534"]


def test_an_engine_that_lacks_what_it_may_not_have_gives_way_to_one_that_may(here):
    """Its limits are those of its first caller, and nothing will be over for it as long as it lives."""
    place, other = here
    place.wait(place.submit({"one": "true"}))
    engine = place.engine()
    used = {int(name) for name in os.listdir(f"/proc/{engine}/fd")}
    few = min(set(range(len(used) + 1)) - used)
    resource.prlimit(engine, resource.RLIMIT_NOFILE, (few, resource.prlimit(engine, resource.RLIMIT_NOFILE)[1]))
    publication = place.publish({"one": "true"})
    first = place.start(publication)
    place.until(lambda: "Too many open files" in place.layout.trouble.read_text(), "it does not say that it waits")
    second = other.submit(publication)
    place.until(lambda: not place.alive(engine), "it does not give way")
    assert [place.wait(run).steps[0].attempt for run in (first, second)] == [1, 1]


@pytest.fixture
def as_user(engines_end):
    """`as_user(folder, *words, gid, groups)`: what a caller who is not root and has those traits gets for its step."""
    tests = os.fspath(Path(__file__).parents[2])

    def call(folder: Path, *words: str, gid: int = 65534, groups: str = "") -> tuple[list[str], int]:
        user = [*AS_USER, f"--regid={gid}", f"--groups={groups}" if groups else "--clear-groups"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join([tests, *sys.path]),
        }
        line = [*user, *words, sys.executable, "-c", CALLER, tests, str(folder)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, cwd=folder)
        assert done.returncode == 0, done.stderr
        said, _, engine = done.stdout.strip().rpartition(" ")
        return ast.literal_eval(said), int(engine)

    with tempfile.TemporaryDirectory(prefix="penstock-test-") as name:
        os.chown(name, 65534, 65534)
        if os.geteuid() or subprocess.run([*AS_USER, "true"], capture_output=True, check=False).returncode:
            pytest.skip("acts as another user: needs setpriv and root")
        yield partial(call, Path(name))
        engines_end(Path(name))


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (("nice", "-n", "10"), {}),
        (("chrt", "--idle", "0"), {}),
        (("setpriv", "--no-new-privs"), {}),
        (("prlimit", "--nofile=64:64"), {}),
        (("prlimit", "--cpu=1000:1000"), {}),
        ((), {"groups": "4,24"}),
        ((), {"gid": 4}),
    ],
)
def test_what_one_caller_cannot_help_is_not_the_next_ones(as_user, words, more):
    plain, first = as_user()
    assert as_user() == (plain, first)
    other, second = as_user(*words, **more)
    assert other != plain and second != first
    assert as_user()[0] == plain
