"""Options that are not the target's identity are in no plan and hold at once, for what was published before too."""

import hashlib
import os
from pathlib import Path

import attrs
import pytest

from penstock.contract.target import Location, Publication
from penstock.spec import Defaults, Step
from penstock_local import database, hooks, queue, wake
from penstock_local.options import LocalOptions

CHANGED = {
    "slots": 7,
    "pass_env": ("API_TOKEN",),
    "data_roots": (Path("/data"),),
    "strict": True,
    "python": Path("/opt/ml/bin/python"),
    "grace": 1.5,
    "idle": 3.5,
}
HOLD = "while ! test -e {}; do sleep 0.01; done"


def change(place, **options):
    place.target = attrs.evolve(place.target, options=attrs.evolve(place.target.options, **options))


def test_every_option_is_its_identity_or_in_no_plan(place):
    own = {item.name for item in attrs.fields(LocalOptions) if not item.metadata.get("identity")}
    assert own == set(CHANGED)
    taken = place.snapshot(place.pipeline({"one": "true"}))
    before = hooks.penstock_compile_pipeline(place.target, taken)
    publication = place.publish({"one": "true"})
    for name, value in CHANGED.items():
        change(place, **{name: value})
        assert hooks.penstock_compile_pipeline(place.target, taken) == before
        assert place.publish({"one": "true"}) == publication
    assert len(list(place.layout.publications.iterdir())) == 1


def test_pass_env_is_what_the_target_says_when_a_run_is_submitted(place, monkeypatch):
    monkeypatch.setenv("FIRST", "1")
    monkeypatch.setenv("SECOND", "2")
    publication = place.publish({"show": Step(command=["sh", "-c", 'printf "%s" "$FIRST$SECOND"'])})
    seen = []
    for names in ((), ("FIRST",), ("SECOND", "FIRST"), ("SECOND",), ()):
        change(place, pass_env=names)
        run = place.start(publication)
        place.wait(run)
        seen.append(place.log(run, "show"))
    assert seen == [b"", b"1", b"12", b"2", b""]


def test_a_plan_that_names_pass_env_from_before_still_runs_and_passes_nothing(place, monkeypatch):
    import json

    monkeypatch.setenv("FIRST", "1")
    publication = place.publish({"show": Step(command=["sh", "-c", 'printf "%s" "$FIRST"'])})
    path = place.layout.publication(publication.external)
    text = json.dumps({**json.loads(path.read_text()), "pass_env": ["FIRST"]})
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]  # as long as it was then
    earlier = Publication(external=f"{publication.external.partition('-')[0]}-{mark}")
    place.layout.publication(earlier.external).write_text(text)
    run = place.start(earlier)
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "show") == b""


def test_more_slots_hold_from_the_next_submit_on_for_what_waits_already(places, tmp_path):
    place = places(slots=1)
    both = Step(command=["sh", "-c", f'touch "$0"; {HOLD.format(tmp_path / "go")}', "/dev/null"])
    first = place.submit({"one": both, "two": both})
    place.until(lambda: place.states(first)["one"] == "running", "the first step does not start")
    assert place.states(first)["two"] == "queued"
    change(place, slots=3)
    second = place.submit({"one": both})
    place.until(lambda: place.states(first)["two"] == place.states(second)["one"] == "running", "the slots do not hold")
    (tmp_path / "go").touch()
    assert place.wait(first).state == place.wait(second).state == "succeeded"


def test_what_was_submitted_last_counts_though_it_ended_before_the_engine_died(places, tmp_path):
    place = places(slots=1)
    both = Step(command=["sh", "-c", HOLD.format(tmp_path / "go")])
    long = place.submit({"one": both, "two": both})
    place.until(lambda: place.states(long)["one"] == "running", "the first step does not start")
    change(place, slots=2)
    short = place.submit({"one": "true"})
    place.cancel(short)
    place.wait(short)
    engine = place.engine()
    os.kill(engine, 9)
    place.until(lambda: not place.alive(engine), "the engine does not die")
    place.until(lambda: set(place.states(long).values()) == {"running"}, "the slots of before hold")
    (tmp_path / "go").touch()
    assert place.wait(long).state == "succeeded"


def test_grace_is_what_the_target_says_when_a_run_is_canceled(places, tmp_path):
    place = places(grace=300.0)
    deaf = Step(command=["sh", "-c", f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.02; done"])
    run = place.submit({"one": deaf})
    place.until((tmp_path / "up").exists, "the step does not start")
    change(place, grace=0.1)
    assert place.cancel(run)
    assert place.wait(run).state == "canceled"


def test_idle_is_what_the_target_said_last(places):
    place = places(idle=300.0)
    place.wait(place.submit({"one": "true"}))
    assert place.engine()
    change(place, idle=0.0)
    place.wait(place.submit({"one": "true"}))
    place.until(lambda: not place.engines(), "the engine stays")


def test_settings_are_not_told_by_a_run_that_is_there_already(place, monkeypatch):
    monkeypatch.setattr(wake, "wake", lambda layout: None)
    publication = place.publish({"one": "true"})
    for slots in (2, 3):
        change(place, slots=slots)
        place.start(publication, run="same")
    with database.opened(place.layout) as connection:
        assert queue.settings(connection).slots == 2


def test_strict_and_data_roots_are_read_when_they_are_asked_for(place, tmp_path):
    (tmp_path / "in.csv").write_text("x")
    pipeline = place.pipeline({"one": "true"}, defaults=Defaults(image="a"))
    location = Location(parameter="x", type="file", text=str(tmp_path / "in.csv"))
    for strict, severity in ((False, "warning"), (True, "error"), (False, "warning")):
        change(place, strict=strict)
        assert [found.severity for found in hooks.penstock_validate_pipeline(place.target, pipeline)] == [severity]
    assert hooks.penstock_resolve_location(place.target, location).code == "location_refused"
    change(place, data_roots=(tmp_path,))
    assert hooks.penstock_resolve_location(place.target, location) == str(tmp_path / "in.csv")
    change(place, data_roots=())
    assert hooks.penstock_resolve_location(place.target, location).code == "location_refused"


@pytest.mark.parametrize("value", ["soon", -1, None])
def test_an_option_that_is_no_duration_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        LocalOptions(grace=value)
