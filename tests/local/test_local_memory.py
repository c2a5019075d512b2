"""The memory that a step asks for is a limit where the machine has control groups to use; what exceeds it says so."""

import signal
import sys
from pathlib import Path

import pytest

from penstock.spec import Resources, Retry, Step
from penstock_local import memory

USES = "import sys, time; held = bytearray(int(sys.argv[1]) << 20); print(len(held) >> 20)"

limited = pytest.mark.skipif(not memory.can_limit(), reason="needs control groups that this user may make")


def using(mebibytes: int, asks: str | None, **more) -> Step:
    resources = None if asks is None else Resources(memory=asks)
    return Step(command=[sys.executable, "-c", USES, str(mebibytes)], resources=resources, **more)


def groups(place) -> list[str]:
    found = memory.Memory(place.layout.root).group("")
    return [path.name for path in found.folder.parent.glob(f"{found.folder.name}*")]


@limited
def test_a_step_that_uses_more_than_it_asks_for_fails_and_says_why(place):
    run = place.submit({"much": using(300, "64Mi"), "less": using(20, "128Mi"), "free": using(300, None)})
    assert place.wait(run).state == "failed"
    steps = place.steps(run)
    states = {name: step.state for name, step in steps.items()}
    assert states == {"much": "failed", "less": "succeeded", "free": "succeeded"}
    error = steps["much"].error
    assert (error.code, error.message) == (
        "step_out_of_memory",
        "step `much`: ran out of the 64Mi of memory that it asks for",
    )
    assert steps["much"].exit_code == 128 + signal.SIGKILL
    assert groups(place) == []


@limited
def test_what_a_step_starts_is_limited_with_it_and_an_attempt_has_its_own_limit(place):
    command = ["sh", "-c", '"$@"; exit 3', "sh", sys.executable, "-c", USES, "300"]
    retry = Retry(attempts=2, delay=0.0)
    run = place.submit({"one": Step(command=command, resources=Resources(memory="64Mi"), retry=retry)})
    assert place.wait(run).error.code == "step_out_of_memory"
    assert place.steps(run)["one"].attempt == 2
    assert groups(place) == []


@limited
def test_a_step_that_is_adopted_keeps_its_limit_and_the_engine_is_not_limited(place, tmp_path):
    script = f'touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.02; done; exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-c", USES, "300"]
    run = place.submit({"one": Step(command=command, resources=Resources(memory="64Mi"))})
    place.until((tmp_path / "up").exists, "the step does not start")
    first = place.engine()
    assert "penstock-" not in Path(f"/proc/{first}/cgroup").read_text()
    place.kill_engine()
    place.get(run)
    place.engine()
    (tmp_path / "go").touch()
    assert place.wait(run).error.code == "step_out_of_memory"
    assert groups(place) == []


def test_a_plan_without_it_is_what_it_was(place):
    plain = place.layout.publication(place.publish({"one": "true"}).external).read_text()
    asking = place.publish({"one": Step(command="true", resources=Resources(memory="1Gi"))})
    assert "memory" not in plain
    assert '"memory":1073741824' in place.layout.publication(asking.external).read_text()
