"""A step that triggers a run elsewhere: the engine that it brings up is nobody's to end but its own root's."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest

from penstock.contract.run import BoundParameters
from penstock.spec import Resources, Step
from penstock_local import database, hooks, lending, memory, queue
from penstock_local.jobs import Job
from penstock_local.slots import Slots

SUBMIT = """
import sys
from pathlib import Path
from penstock.contract.run import RunRequest
from penstock.contract.target import Publication, Target
from penstock_local import hooks
from penstock_local.options import LocalOptions
target = Target(name="here", backend="local", options=LocalOptions(), home=Path(sys.argv[1]))
run = RunRequest(id="inner", publication=Publication(external=sys.argv[2]), pipeline="test")
hooks.penstock_submit_run(target, run)
"""


PLAN = {"name": "one", "needs": [], "slots": 2}


class Nest:
    """An outer target, and a run of an inner one that a step of the outer one hands over."""

    def __init__(self, places, folder: Path):
        self.outer, self.inner = places("outer"), places("inner")
        self.began, self.go, self.submitted = (folder / name for name in ("began", "go", "submitted"))
        wait = f"echo $$ >> {self.began}; until test -e {self.go}; do sleep 0.02; done"
        self.publication = self.inner.publish({"work": Step(command=["sh", "-c", wait])})

    def step(self, then="true") -> Step:
        words = [sys.executable, "-c", SUBMIT, str(self.inner.target.home), self.publication.external]
        script = f'"$@" && touch {self.submitted} && {then}'
        return Step(command=["sh", "-c", script, "sh", *words])

    def has_begun(self) -> bool:
        return self.began.exists() and bool(self.began.read_text())

    def end(self) -> None:
        """Let the inner run go on; its queue alone is looked at, so that nobody helps it by asking."""
        engine = self.inner.engine()  # what it starts looks like it for a moment
        self.go.touch()
        self.inner.until(self.is_over, "the inner run does not end")
        assert self.inner.engine() == engine
        assert len(self.began.read_text().split()) == 1

    def is_over(self) -> bool:
        with database.opened(self.inner.layout) as connection:
            return queue.job(connection, "inner")[0]["state"] == "succeeded"


@pytest.fixture
def nest(places, tmp_path):
    return Nest(places, tmp_path)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", ["ends", "is canceled", "has its engine asked to end", "has its engine killed"])
def test_an_engine_outlives_the_step_that_brought_it_up(nest, how):
    outer = nest.outer
    run = outer.submit({"trigger": nest.step("true" if how == "ends" else "sleep 300")})
    outer.until(lambda: nest.submitted.exists() and nest.has_begun(), "the inner run does not start")
    if how == "ends":
        assert outer.wait(run).state == "succeeded"
        # Whatever is nobody's is ended within a moment of the next end of a step.
        for _ in range(2):
            outer.wait(outer.submit({"one": "sleep 0.2"}))
    elif how == "is canceled":
        outer.cancel(run)
        assert outer.wait(run).state == "canceled"
    elif how == "has its engine asked to end":
        engine = outer.engine()
        os.kill(engine, signal.SIGTERM)
        outer.until(lambda: not outer.alive(engine), "the engine does not end")
    else:
        outer.kill_engine()
    nest.end()


@pytest.mark.thorough
def test_what_a_killed_engine_had_goes_on_below_another(nest):
    """Its keeper becomes a child of the outer engine, and stays who it is."""
    outer, inner = nest.outer, nest.inner
    run = outer.submit({"trigger": nest.step("sleep 0.3")})
    outer.until(lambda: nest.submitted.exists() and nest.has_begun(), "the inner run does not start")
    inner.kill_engine()
    assert outer.wait(run).state == "succeeded"
    for _ in range(2):
        outer.wait(outer.submit({"one": "sleep 0.2"}))
    assert len(inner.keepers()) == 1 and inner.alive(int(nest.began.read_text()))
    inner.start(nest.publication, run="inner")  # which is there already, and has an engine started
    nest.end()


def test_a_step_that_only_looks_like_an_engine_ends_with_its_run(place, tmp_path):
    fake = f"setsid -f sh -c 'echo $$ > {tmp_path}/pid; exec sleep 300 & wait' penstock_local.engine {tmp_path}; "
    wait = f"until test -s {tmp_path}/pid; do sleep 0.01; done"
    assert place.wait(place.submit({"one": Step(command=["sh", "-c", fake + wait])})).state == "succeeded"
    assert not place.alive(int((tmp_path / "pid").read_text()))


@pytest.mark.thorough
def test_a_step_triggers_an_endpoint_of_another_workspace(place, tmp_path):
    """As somebody would write it, by the command line; and nobody looks at the inner run."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    command = Path(sys.executable).with_name("penstock")

    def call(folder: Path, *words: str) -> None:
        done = subprocess.run([command, *words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    work = '[sh, -c, \'echo x >> "$1/began"; sleep 1.5; touch "$1/done"\', sh, "${{ inputs.here }}"]'
    trigger = '[sh, -c, \'cd "$1" && penstock submit inner -p here=.\', sh, "${{ inputs.there }}"]'
    for folder, name, step in ((inner, "here", work), (outer, "there", trigger)):
        folder.mkdir()
        (folder / "penstock.yaml").write_text("target: laptop\ntargets:\n  laptop: {backend: local}\n")
        (folder / "pipeline.yaml").write_text(
            textwrap.dedent(f"""\
                apiVersion: penstock/v1
                kind: Pipeline
                name: {folder.name}
                parameters: {{{name}: {{type: directory}}}}
                steps:
                  only:
                    inputs: {{{name}: "${{{{ parameters.{name} }}}}"}}
                    command: {step}
                """)
        )
    call(inner, "publish", "pipeline.yaml", "--endpoint", "inner")
    call(outer, "submit", "pipeline.yaml", "-p", f"there={inner}", "--wait")
    place.until((inner / "done").exists, "the inner run does not end")
    assert (inner / "began").read_text() == "x\n"


WAIT = (
    SUBMIT.replace("options=LocalOptions(), ", "options=LocalOptions(slots=1), ").replace('"inner"', "sys.argv[3]")
    + """
import time
from penstock.contract.run import ENDED, RunRef
ref = RunRef(id=run.id, publication=run.publication)
while hooks.penstock_get_run(target, ref).state not in ENDED:
    time.sleep(0.1)
print(hooks.penstock_get_run(target, ref).state)
"""
)


ALONE = ['"$@"', 'env -i "$@"; true', 'exec env -i "$@"', 'env -i sh -c \'setsid "$@"; true\' sh "$@"; true']
"""Ways in which a step's shell may call a program, which has the step's environment or none."""


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", ALONE)
def test_a_step_lends_its_slot_while_it_waits_for_a_run_of_its_own_root(places, tmp_path, how):
    place = places(slots=1)
    ends = f"date +%s.%N > {tmp_path}/ended"
    inner = place.publish({"one": Step(command=["sh", "-c", ends]), "two": Step(command="true", after=("one",))})
    words = [sys.executable, "-c", WAIT, str(place.target.home), inner.external, "inner"]
    outer = place.submit({"trigger": Step(command=["sh", "-c", how, "sh", *words])})
    assert place.wait(outer).state == "succeeded"
    assert place.log(outer, "trigger") == b"succeeded\n"
    assert (tmp_path / "ended").exists()


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", ALONE[:3])
@pytest.mark.parametrize("roots", ["aba", "abcab"])
def test_steps_of_roots_that_wait_for_each_other_in_a_circle_have_the_slots_of_those_they_come_from(places, roots, how):
    """The last run is one of a root whose only slot the first has, which waits for it by way of others."""
    by_name = {name: places(name, slots=1) for name in sorted(set(roots))}
    command = ["true"]
    for depth in range(len(roots) - 1, 0, -1):
        place = by_name[roots[depth]]
        below = place.publish({"one": Step(command=command)})
        words = [sys.executable, "-c", WAIT, str(place.target.home), below.external, f"run{depth}"]
        command = ["sh", "-c", how, "sh", *words]
    place = by_name[roots[0]]
    outer = place.submit({"one": Step(command=command)})
    assert place.wait(outer).state == "succeeded"
    assert place.log(outer, "one") == b"succeeded\n"


def test_slots_are_lent_for_as_long_as_somebody_waits():
    step = Job.of(1, "run", {"steps": [PLAN]}, BoundParameters(), {}).steps["one"]
    slots = Slots()
    slots.resize(2)
    slots.take(step)
    for number, lends in enumerate((True, True, False, False, True), 2):
        slots.lend(step, lends)
        other = Job.of(number, "run", {"steps": [PLAN]}, BoundParameters(), {}).steps["one"]
        slots.line_up(other)
        assert (slots.next(lambda: "token") is other) == lends
        if lends:
            slots.give_back(other)
        other.state = "succeeded"


def test_who_looks_once_does_not_wait_for_ever(places, monkeypatch):
    """A look is good for some seconds, and one at the step's own run for none."""
    place = places(slots=1)
    first = place.submit({"one": "sleep 300"})
    other = place.submit({"one": "true"})
    with database.opened(place.layout) as connection:
        place.until(lambda: queue.step(connection, first.id, "one")["token"], "the step does not start")
        monkeypatch.setenv("PENSTOCK_STEP_TOKEN", queue.step(connection, first.id, "one")["token"])
        assert not lending.ask(place.layout, connection, [1])
        assert lending.ask(place.layout, connection, [1, 2])
        assert not lending.ask(place.layout, connection, [1, 2]), "it has been told"
        monkeypatch.setenv("PENSTOCK_STEP_TOKEN", "../../engine.lock")
        assert not lending.ask(place.layout, connection, [1, 2]), "no step of this root"
    monkeypatch.delenv("PENSTOCK_STEP_TOKEN")
    (lent,) = place.layout.waits.iterdir()
    os.utime(lent, (0, 0))
    hooks.penstock_cancel_run(place.target, first)
    assert place.wait(other).state == "succeeded"
    place.wait(place.submit({"one": "true"}))
    place.until(lambda: not any(place.layout.waits.iterdir()), "what it left stays")


@pytest.mark.thorough
@pytest.mark.skipif(not memory.can_limit(), reason="needs control groups that this user may make")
def test_an_engine_is_not_in_the_group_of_the_step_that_brought_it_up(nest):
    step = attrs.evolve(nest.step(), resources=Resources(memory="64Mi"))
    run = nest.outer.submit({"trigger": step})
    nest.outer.until(nest.has_begun, "the inner step does not start")
    for pid in (nest.inner.engine(), *nest.inner.keepers(), int(nest.began.read_text())):
        assert "penstock-" not in Path(f"/proc/{pid}/cgroup").read_text()
    nest.end()
    assert nest.outer.wait(run).state == "succeeded"
