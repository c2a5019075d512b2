"""Sensitive parameters on this machine: out of the queue, gone with the run, and in no word about it."""

import os
from pathlib import Path

import pytest
from tests import searching

from penstock.spec import Parameter, Pipeline, Retry, Step
from penstock_local import environments, hooks, request, wake
from penstock_local.options import LocalOptions

SECRET = "hunter2-very-secret"
DECLARED = {"token": Parameter("string", sensitive=True)}
ENV = {"TOKEN": "${{ parameters.token }}"}


@pytest.fixture
def place(places):
    return places(grace=0.2)


def holders(place) -> list[str]:
    return [os.path.relpath(path, place.layout.root) for path in searching.holders(place.folder, SECRET)]


def submit(place, steps):
    return place.submit(steps, parameters=DECLARED, values={"token": SECRET}, sensitive=("token",))


def waits(tmp_path, then="true"):
    script = f'echo "$TOKEN" > note; touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.01; done; {then}'
    return Step(command=["bash", "-c", script], env=ENV, code="./src")


@pytest.fixture(autouse=True)
def source(place):
    (place.spec / "src").mkdir(exist_ok=True)
    (place.spec / "src" / "a.txt").write_text("x")


def test_a_step_gets_it_and_the_queue_never_has_it(place, tmp_path):
    run = submit(place, {"one": waits(tmp_path, 'test "$(echo -n "$TOKEN" | rev)" = terces-yrev-2retnuh')})
    place.until((tmp_path / "up").exists, "the step does not start")
    assert set(holders(place)) == {f"environments/{run.id}", f"runs/{run.id}/work/one.1/note"}
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert holders(place) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("end", ["fail", "cancel", "kill", "kill, then fail"])
def test_nothing_stays_however_a_run_ends(place, tmp_path, end):
    run = submit(place, {"one": waits(tmp_path, "exit 1" if "fail" in end else "true")})
    place.until((tmp_path / "up").exists, "the step does not start")
    if "kill" in end:
        (tmp_path / "up").unlink()
        place.kill_both()
        # Who looks starts another engine.
        place.until(lambda: place.get(run) and (tmp_path / "up").exists(), "the step does not start again")
    if end == "cancel":
        place.cancel(run)
    (tmp_path / "go").touch()
    state = place.wait(run).state
    assert state == {"fail": "failed", "cancel": "canceled", "kill": "succeeded"}.get(end, "failed")
    assert holders(place) == []
    assert not os.path.lexists(place.layout.environment_of(run.id))


def test_of_a_run_without_secrets_a_failed_attempt_stays_to_be_looked_into(place):
    run = place.submit({"one": Step(command=["false"], code="./src")})
    assert place.wait(run).state == "failed"
    assert (place.layout.run(run.id) / "work" / "one.1" / "a.txt").exists()


def test_no_word_about_a_run_shows_it(place):
    token = "${{ parameters.token }}"
    again = Retry(attempts=2)
    run = submit(
        place,
        {
            "program": Step(command=[token], retry=again),
            "folder": Step(command=[f"/no/{token}/such"], retry=again),
            "name": Step(
                command=["bash", "-c", 'touch "$1$2"', "bash", "${{ outputs.a }}", token], outputs={"a": "file"}
            ),
        },
    )
    report = place.wait(run)
    assert SECRET not in repr(report)
    assert all(step.error and "***" in step.error.message for step in report.steps if step.state == "failed")
    assert holders(place) == []


def test_an_engine_that_died_before_it_cleaned_up_leaves_that_to_the_next_look(place, monkeypatch):
    run = submit(place, {"one": Step(command=["bash", "-c", 'echo "$TOKEN" > note; exit 1'], env=ENV, code="./src")})
    with monkeypatch.context() as patch:
        patch.setattr(environments, "forget", lambda layout, run: None)
        place.wait(run)
    place.kill_both()  # it would clear away beside us
    work = place.layout.run(run.id) / "work" / "one.1"
    work.mkdir(parents=True, exist_ok=True)
    (work / "note").write_text(SECRET)
    environments.keep(place.layout, run.id, {}, {"token": SECRET})
    place.get(run)
    assert holders(place) == []


def test_what_a_killed_hand_over_began_to_write_goes_with_the_next(place, monkeypatch):
    def dies(path, target):
        raise KeyboardInterrupt

    place.layout.make()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        patch.setattr(Path, "unlink", lambda path, **more: None)
        with pytest.raises(KeyboardInterrupt):
            environments.keep(place.layout, "one", {}, {"token": SECRET})
    assert holders(place)
    environments.keep(place.layout, "one", {}, {"token": SECRET})
    environments.forget(place.layout, "one")
    assert holders(place) == []


def test_a_run_whose_value_is_gone_does_not_run(place, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        run = submit(place, {"one": Step(command=["touch", str(tmp_path / "ran")], env=ENV)})
    environments.forget(place.layout, run.id)
    report = place.wait(run)
    assert (report.state, report.error.code) == ("failed", "run_damaged")
    assert "the values of its sensitive parameters are gone" in report.error.message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("strict", [False, True])
def test_arguments_that_everybody_can_list_are_told(place, strict):
    token = "${{ parameters.token }}"
    steps = {
        "env": Step(command=["true"], env={"A": token}),
        "word": Step(command=["true", f"--token={token}"]),
        "input": Step(command=["true", "${{ inputs.x }}"], inputs={"x": token}),
        "unread": Step(command=["true"], inputs={"x": token}),
    }
    target = type(place.target)(name="here", backend="local", options=LocalOptions(strict=strict), home=place.folder)
    pipeline = Pipeline(name="a", parameters=DECLARED, steps=steps)
    told = [one for one in hooks.penstock_validate_pipeline(target, pipeline) if one.code == "sensitive_in_command"]
    assert [one.path for one in told] == [("steps", "word", "command"), ("steps", "input", "command")]
    assert {one.severity for one in told} == {"error" if strict else "warning"}


def test_a_request_from_before_there_was_such_a_thing_is_read(place):
    asked = request.read('{"parameters": {"texts": {"a": "1"}, "artifacts": {}, "bundled": {}}, "environment": []}')
    assert (asked.parameters.texts, asked.parameters.sensitive) == ({"a": "1"}, ())
