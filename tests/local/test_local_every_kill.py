"""Engine and keeper killed at each of their system calls in turn: every step runs once, and always has a parent."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

import penstock
import penstock_local
from penstock.contract.run import ENDED
from penstock.spec import Step
from penstock_local import journal, processes, wake

STRACE = shutil.which("strace")
CODE = (os.path.dirname(module.__path__[0]) for module in (penstock, penstock_local))
ASIDE = {"/proc/", sys.prefix, sys.base_prefix, *CODE}
"""Where code lies that is imported, and what others are doing: between two looks at that nothing changes."""
LOOKS = re.compile(
    "access|brk|clock_gettime|epoll_pwait|epoll_wait|fstat|getdents64|gete?[ug]id|getpgid|getpid|getppid|getrandom"
    "|getsockname|gettid|ioctl|lseek|madvise|mprotect|munmap|newfstatat|poll|prctl|pread64|prlimit64|read|readlink"
    "|rt_sigaction|rt_sigprocmask|sched_getaffinity|select|statfs|sysinfo|uname|waitid"
)
"""Calls that change nothing which somebody else would see: to be killed before one or the next is the same."""
CHAIN = 3
PATIENCE = 120
"""Seconds for a run to end on a busy machine; it takes one."""
PARTS = 8
"""Into how many tests all of them are divided."""


def _may_trace() -> bool:
    if STRACE is None:
        return False
    with subprocess.Popen(["sleep", "5"]) as sleeper:
        time.sleep(0.05)  # it has become `sleep`
        try:
            with Traced([sleeper.pid], [], "/dev/null"):
                return True
        except AssertionError:
            return False
        finally:
            sleeper.kill()


def telling(found: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those before which something may have changed since the one before: the first of each row that only looks."""
    rest = [("", 0), *found]
    looks = [bool(LOOKS.fullmatch(name)) for name, _ in rest]
    return [point for point, both in zip(found, map(all, pairwise(looks)), strict=True) if not both]


def each(found: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """All of them."""
    return found


WHICH = [pytest.param(telling, marks=pytest.mark.thorough), pytest.param(each, marks=pytest.mark.slow)]


class Traced:
    """Threads with strace attached to them, which may kill their process at a system call."""

    def __init__(self, threads, options, output):
        self._words = [STRACE, "-o", str(output), *options, "-p", ",".join(map(str, threads))]

    def __enter__(self):
        self._strace = subprocess.Popen(self._words, stderr=subprocess.PIPE)
        line = self._strace.stderr.readline()
        if b"attached" not in line:
            self._end()
            raise AssertionError(f"strace says {line!r}")
        return self

    def __exit__(self, *more):
        self._strace.send_signal(signal.SIGINT)  # it lets go of whom it traces
        self._end()

    def _end(self):
        self._strace.communicate(timeout=20)


def chain(folder: Path) -> dict[str, Step]:
    """Steps in a row that note that they began; the middle one has an output, the last one a background process."""
    steps = {}
    for number in range(CHAIN):
        script = f"echo s{number} >> {folder}/began; (sleep 0.03); echo {number} > $1"
        steps[f"s{number}"] = Step(
            command=["sh", "-c", script, "sh", "${{ outputs.x }}"],
            code="src" if number == 1 else None,
            outputs={"x": "integer"},
            after=(f"s{number - 1}",) if number else (),
        )
    return steps


def orphans(place) -> list[int]:
    """Processes of steps above which there is nobody of ours. One that ends is nobody's for a moment."""
    found = set(_orphans(place))
    return sorted(found & set(_orphans(place))) if found else []


def _orphans(place) -> list[int]:
    ours = {*place.engines(), *place.keepers()}
    inside = str(place.folder).encode()
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            if processes.token_of(pid) and inside in Path(f"/proc/{pid}/environ").read_bytes():
                above = pid
                while above > 1 and above not in ours:
                    above = int(Path(f"/proc/{above}/stat").read_text().rpartition(")")[2].split()[1])
                if above <= 1:
                    found.append(pid)
        except OSError:
            continue
    return found


def victims(place, publication, who: str) -> list[int]:
    """The idle engine, its keeper, or those threads of it that unpack and remove.

    One that was killed when all was done has no successor yet.
    """
    if not place.engines() or not place.keepers() or (who == "workers" and not workers(place)):
        place.wait(place.start(publication))
    place.until(lambda: len(place.engines()) == 1 and len(place.keepers()) == 1, "there is no pair of them")
    return {"engine": place.engines, "keeper": place.keepers, "workers": lambda: workers(place)}[who]()


def workers(place) -> list[int]:
    """The threads of the engine besides its loop."""
    found = [int(name) for pid in place.engines() for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid]
    return sorted(found)


def points(place, who, publication) -> list[tuple[str, int]]:
    """Each system call of a whole run, by its name and how often that has come by then."""
    log = place.folder / "calls"
    with Traced(victims(place, publication, who), [], log):
        assert place.wait(place.start(publication)).state == "succeeded"
    counted: Counter[tuple[str, str]] = Counter()
    found = []
    for line in log.read_text().splitlines():
        called = re.match(r"(\d* *)(\w+)\(", line)  # of several threads each line begins with one's number
        if called:
            counted[called.groups()] += 1
            found.append((called[2], counted[called.groups()]))
    return list(dict.fromkeys(found))


def killed_at(place, who, publication, name, count) -> bool:
    """Kill it there, and see that the run did not suffer; whether it was killed at all."""
    threads = victims(place, publication, who)
    began = place.folder / "began"
    began.unlink(missing_ok=True)
    with Traced(threads, ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}"], "/dev/null"):
        run = place.start(publication)
        deadline = time.monotonic() + PATIENCE
        while place.get(run).state not in ENDED:
            assert time.monotonic() < deadline, f"{who} killed at {name} {count}: the run does not end"
            assert orphans(place) == [], f"{who} killed at {name} {count}"
    report = place.get(run)
    assert (report.state, report.error) == ("succeeded", None), f"{who} killed at {name} {count}"
    assert {step.name: step.outputs["x"] for step in report.steps} == {f"s{n}": str(n) for n in range(CHAIN)}
    counts = Counter(began.read_text().split())
    assert counts == {f"s{n}": 1 for n in range(CHAIN)}, f"{who} killed at {name} {count}: {counts}"
    return not any(map(place.alive, threads))


@pytest.fixture
def ready(places):
    """A target whose engine waits, and a publication for it."""
    if not _may_trace():
        pytest.skip("needs strace, and the right to attach it to a process")
    place = places(idle=60.0)
    (place.spec / "src").mkdir()
    (place.spec / "src" / "a.txt").write_text("x")
    publication = place.publish(chain(place.folder))
    assert place.wait(place.start(publication)).state == "succeeded"
    return place, publication


class Recovery:
    """A run that an engine left: one step of it has ended since, another runs, and a third comes after both."""

    def __init__(self, place):
        self.place = place
        self.folder = place.folder
        self.publication = place.publish(
            {"ends": self.step("ends"), "stays": self.step("stays"), "last": self.step("last", ("ends", "stays"))}
        )

    def step(self, name: str, after: tuple[str, ...] = ()) -> Step:
        script = f"echo {name} >> {self.folder}/began; while ! test -e {self.folder}/{name}; do sleep 0.01; done"
        return Step(command=["sh", "-c", f"{script}; printf {name} > $1", "sh", "${{ outputs.x }}"],
                    outputs={"x": "string"}, after=after)  # fmt: skip

    def began(self) -> list[str]:
        path = self.folder / "began"
        return sorted(path.read_text().split()) if path.exists() else []

    def leave(self):
        """Come to where an engine is missing; returns the run."""
        for name in ("began", "ends", "stays"):
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "last").touch()
        run = self.place.start(self.publication)
        self.place.until(lambda: self.began() == ["ends", "stays"], "the steps do not start")
        self.place.kill_engine()
        (self.folder / "ends").touch()
        self.place.until(lambda: is_noted(self.place, 1), "the end is not on record")
        return run

    def engine(self, *options: str):
        """The next engine, under strace and not started by whoever looks."""
        root = os.fspath(self.place.layout.root)
        command = [STRACE, "-qq", *options, sys.executable, "-P", "-m", "penstock_local.engine", root]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def up(self, traced) -> None:
        """Wait until that engine serves, or is dead: whoever looked before would start another one."""
        self.place.until(lambda: traced.poll() is not None or wake.listening(self.place.layout), "it does not come up")

    def ends_well(self, run, what: str) -> None:
        """Let the step that runs end, and see that the run did not suffer."""
        (self.folder / "stays").touch()
        deadline = time.monotonic() + PATIENCE
        while self.place.get(run).state not in ENDED:
            assert time.monotonic() < deadline, f"{what}: the run does not end"
            assert orphans(self.place) == [], what
        report = self.place.get(run)
        assert (report.state, report.error) == ("succeeded", None), what
        assert {step.name: step.outputs["x"] for step in report.steps} == {n: n for n in ("ends", "stays", "last")}
        assert self.began() == ["ends", "last", "stays"], what

    def points(self) -> list[tuple[str, int]]:
        """Each system call of the next engine from the first that looks at the root, as in `points`."""
        log = self.folder / "calls"
        run = self.leave()
        traced = self.engine("-s", "4096", "-o", os.fspath(log))
        self.up(traced)
        self.ends_well(run, "nobody was killed")
        self.place.kill_engine()
        traced.wait()
        root = f'"{self.place.layout.root}'
        counted: Counter[str] = Counter()
        found, looks, aside = [], False, set()
        for line in log.read_text(errors="replace").splitlines():
            name, _, given = line.partition("(")
            if not name.isidentifier():
                continue
            counted[name] += 1
            looks = looks or (root in line and name != "execve")
            file = re.match(r"\d*", given)[0]
            if any(place in given for place in ASIDE) or file in aside:
                opened = re.search(r"= (\d+)$", line) if name == "openat" else None
                aside |= {opened[1]} if opened else set()
                aside -= {file} if name == "close" else set()
            elif looks:
                found.append((name, counted[name]))
        return found

    def killed_at(self, name: str, count: int) -> bool:
        """Kill the next engine there, and see that the run did not suffer; whether it was killed at all."""
        run = self.leave()
        traced = self.engine("-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={count}")
        self.up(traced)
        self.ends_well(run, f"the next engine killed at {name} {count}")
        killed = traced.poll() is not None
        while traced.poll() is None:  # it may be dying of that call just now, and then there is none to be killed
            for pid in self.place.engines():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        if not killed:
            place = self.place
            place.until(lambda: place.engines() or not wake.listening(place.layout), "somebody has the engine's pipe")
        return killed


def is_noted(place, ends: int) -> bool:
    """Whether so many ends of the last run are on record; to ask for the run would start the next engine."""
    traces = [trace for path in place.layout.keepers.iterdir() for trace in journal.read(path).traces.values()]
    return sum(trace.runs for trace in traces) == 1 and sum(not trace.runs for trace in traces) >= ends


@pytest.fixture
def recovery(places):
    """See Recovery."""
    if not _may_trace():
        pytest.skip("needs strace, and the right to attach it to a process")
    return Recovery(places(idle=60.0, slots=2))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("which", WHICH)
def test_no_step_runs_twice_at_whatever_call_an_engine_that_takes_over_is_killed(recovery, which, part):
    found = which(recovery.points())[part::PARTS]
    assert sum(recovery.killed_at(*point) for point in found) >= len(found) // 2


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("who", ["engine", "keeper", "workers"])
def test_no_step_runs_twice_at_whatever_call_it_is_killed(ready, who, which, part):
    place, publication = ready
    found = which(points(place, who, publication))[part::PARTS]
    assert sum(killed_at(place, who, publication, *point) for point in found) >= len(found) // 2
