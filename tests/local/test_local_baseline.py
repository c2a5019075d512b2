"""An engine begins from the same baseline, and so does every step, whoever called first."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.contract.run import RunRef
from penstock.spec import Step
from penstock_local import database, queue

CALLER = """
import ctypes, os, resource, signal, sys
from pathlib import Path
from penstock.contract.run import RunRequest
from penstock.contract.target import Publication, Target
from penstock_local import hooks
from penstock_local.options import LocalOptions
exec(sys.argv[4])
options = LocalOptions(slots=4, grace=600.0, idle=5.0)
target = Target(name="here", backend="local", options=options, home=Path(sys.argv[1]))
run = RunRequest(id=sys.argv[2], publication=Publication(external=sys.argv[3]), pipeline="test")
hooks.penstock_submit_run(target, run)
"""

BLOCKS = "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
ODDITIES = {
    "blocks signals": BLOCKS,
    "ignores signals": "for one in signal.valid_signals() - {9, 19}: signal.signal(one, signal.SIG_IGN)",
    "has few processors": "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
    "is of another class": "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
    "has low limits": """
for name, much in {"NOFILE": 100, "FSIZE": 1 << 24, "CPU": 600, "CORE": 1000, "STACK": 1 << 22, "AS": 1 << 33}.items():
    limit = getattr(resource, "RLIMIT_" + name)
    resource.setrlimit(limit, (much, resource.getrlimit(limit)[1]))
""",
    "has a tight umask": "os.umask(0o777)",
    "has a loose umask": "os.umask(0)",
    "waits for the disk last": (
        "ctypes.CDLL(None).syscall({'x86_64': 251, 'aarch64': 30}[os.uname().machine], 1, 0, 3 << 13)"
    ),
    "has another personality": "ctypes.CDLL(None).personality(0x0040000)",
    "takes no huge pages": "ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)",
    "takes its memory from one node": (
        "number, first = {'x86_64': 238, 'aarch64': 237}[os.uname().machine], ctypes.c_ulong(1)\n"
        "ctypes.CDLL(None).syscall(number, 2, ctypes.byref(first), 64)"
    ),
    "has slow timers": "ctypes.CDLL(None).prctl(29, 5_000_000, 0, 0, 0)",
    "dumps nothing": "Path('/proc/self/coredump_filter').write_text('0')",
    "is somewhere": "os.chdir(sys.argv[1] + '/..')",
}


def may(capability: int) -> bool:
    """Whether this process has one of root's rights."""
    found = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
    return found is not None and bool(int(found[1], 16) >> capability & 1)


PRIVILEGED = {
    "is the first to be killed": (
        "Path('/proc/self/oom_score_adj').write_text('500')",
        Path("/proc/self/oom_score_adj").read_text().strip() == "0",
        "a score of 0 to go back to",
    ),
    "is nice": ("os.nice(7)", may(23), "CAP_SYS_NICE"),
    "has low hard limits": ("resource.setrlimit(resource.RLIMIT_NOFILE, (90, 90))", may(24), "CAP_SYS_RESOURCE"),
}
"""What an engine can undo where it has a right: what a caller does, whether it is here, and what that is."""

LIBC_OWN = 1 << 31 | 1 << 32
"""Signals 32 and 33, which glibc keeps to itself and leaves ignored in what it spawns."""

SHOW = r"""
read _ _ _ boss _ < /proc/$PPID/stat  # the engine, above the keeper
waits=0
settled() {  # whoever starts a thread or a process blocks every signal for that moment
    until found=$(cat /proc/$1/status); echo "$found" | grep -q '^SigBlk:\s0*$' || [ $((waits += 1)) -gt 100 ]; do
        sleep 0.02
    done
    echo "$found"
}
(cat /proc/self/status; settled $PPID; settled $boss) | grep -E '^(SigBlk|Umask|Cpus_allowed):'
for who in self $PPID $boss; do
    cat /proc/$who/limits /proc/$who/oom_score_adj
    cut -d ' ' -f 19,41 /proc/$who/stat
    cat /proc/$who/personality /proc/$who/coredump_filter
done
cat /proc/self/timerslack_ns
ionice -p $$ 2>&1
grep -E '^(SigIgn|THP_enabled):' /proc/self/status
cut -d ' ' -f 2 /proc/self/numa_maps 2>&1 | sort -u
readlink /proc/$PPID/cwd /proc/$boss/cwd
"""


def call(place, oddity: str, steps) -> RunRef:
    """Let another process, with something odd about it, hand a run over and so start the engine."""
    publication = place.publish(steps)
    run = RunRef(id="one", publication=publication)
    words = [sys.executable, "-c", CALLER, str(place.target.home), run.id, publication.external, oddity]
    subprocess.run(words, check=True)
    return run


def shown(place, oddity: str) -> list[str]:
    run = call(place, oddity, {"one": Step(command=["sh", "-c", SHOW])})
    assert place.wait(run).state == "succeeded"
    return place.log(run, "one").decode().splitlines()


@pytest.mark.thorough
def test_engine_and_steps_are_the_same_whoever_came_first(places):
    plain = shown(places("plain"), "")
    signals = [int(line.split()[1], 16) for line in plain if line.startswith(("SigBlk", "SigIgn"))]
    assert [mask & ~LIBC_OWN for mask in signals] == [0] * 4
    assert [line.split()[1] for line in plain if line.startswith("Umask")] == ["0022", "0022", "0077"]
    assert plain[-2:] == ["/", "/"]
    for what, oddity in ODDITIES.items():
        assert shown(places(what), oddity) == plain, f"a caller that {what}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("what", PRIVILEGED)
def test_an_engine_undoes_what_it_has_a_right_to(places, what):
    oddity, here, right = PRIVILEGED[what]
    if not here:
        pytest.skip(f"a caller that {what}: needs {right}")
    assert shown(places("odd"), oddity) == shown(places("plain"), "")


@pytest.mark.parametrize("what", ["blocks signals", "ignores signals"])
def test_a_deaf_caller_makes_no_deaf_engine(place, what):
    steps = {"one": "true", "two": Step(command="sleep 300", after=("one",))}
    run = call(place, ODDITIES[what], steps)

    def state() -> str:  # to ask for the run would wake its engine
        with database.opened(place.layout) as connection:
            return queue.step(connection, run.id, "two")["state"]

    place.until(lambda: state() == "running", "the engine does not hear of a step's end")
    assert place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert place.steps(run)["two"].exit_code == 128 + signal.SIGTERM


@pytest.mark.sampled(1)
@pytest.mark.parametrize("oddity", ["", ODDITIES["has a tight umask"], ODDITIES["has a loose umask"]])
def test_what_a_step_writes_elsewhere_has_the_umask_that_is_written_down(place, tmp_path, oddity):
    (tmp_path / "shared").mkdir()
    script = 'cd "$1" && touch report && mkdir folder && cp /bin/true program && (umask 002; touch group) && touch "$2"'
    shared = str(tmp_path / "shared")
    step = Step(command=["sh", "-c", script, "sh", shared, "${{ outputs.own }}"], outputs={"own": "file"})
    run = call(place, oddity, {"one": step})
    assert place.wait(run).state == "succeeded"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "shared").iterdir()}
    assert modes == {"report": 0o644, "folder": 0o755, "program": 0o755, "group": 0o664}
    # What lies below the root is guarded by its folders, whatever a step makes of it.
    own = Path(place.steps(run)["one"].outputs["own"])
    assert any(folder.stat().st_mode & 0o077 == 0 for folder in own.parents if place.layout.root in folder.parents)
    assert [path for path in place.layout.root.iterdir() if path.stat().st_mode & 0o077] == []
