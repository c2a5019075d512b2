"""What jobs do: values, artifacts, failures, retries, cancellation, the cache, dags in dags."""

from __future__ import annotations

import os
import re
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def test_values_and_artifacts_go_from_step_to_step_and_out(emulator, emulated) -> None:
    e = emulated
    made = e.step(
        'mkdir "$3"; printf "%s" "$1" > "$3/greeting"; printf %s "$2" > "$4"; echo some; echo words >&2',
        "sh",
        e.parameter("who"),
        e.parameter("times"),
        "{{$.outputs.artifacts['folder'].path}}",
        e.output_file("count"),
        inputs={"parameters": {"who": e.STRING, "times": {"parameterType": "NUMBER_INTEGER"}}},
        outputs={"artifacts": {"folder": e.ARTIFACT}, "parameters": {"count": {"parameterType": "NUMBER_INTEGER"}}},
        sources={"parameters": {name: {"componentInputParameter": name} for name in ("who", "times")}},
    )
    read = e.step(
        'cat "$1/greeting" > "$3"; printf %s "$2" >> "$3"',
        "sh",
        "{{$.inputs.artifacts['folder'].path}}",
        "{{$.inputs.parameters['count']}} {{$.inputs.artifacts['folder'].uri}} {{$.pipeline_job_name}}",
        e.output_file("all"),
        inputs={
            "artifacts": {"folder": e.ARTIFACT},
            "parameters": {"count": {"parameterType": "NUMBER_INTEGER"}},
        },
        outputs={"parameters": {"all": e.STRING}},
        sources={
            "artifacts": {"folder": {"taskOutputArtifact": {"producerTask": "made", "outputArtifactKey": "folder"}}},
            "parameters": {"count": e.from_task("made", "count")},
        },
    )
    spec = e.pipeline(
        {"made": made, "read": read},
        {"who": e.STRING, "times": {"parameterType": "NUMBER_INTEGER", "defaultValue": 2}},
        outputDefinitions={"parameters": {"all": e.STRING}},
        dag_outputs={
            "parameters": {"all": {"valueFromParameter": {"producerSubtask": "read", "outputParameterKey": "all"}}}
        },
    )
    job = emulator.run(spec, parameters={"who": "you"}, job="values-and-artifacts")
    found = e.details(job)
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert {name: one.state.name for name, one in found.items()} == dict.fromkeys(("", "made", "read"), "SUCCEEDED")
    assert all(one.end_time >= one.start_time >= one.create_time for one in found.values())
    uri = found["made"].outputs["folder"].artifacts[0].uri
    said = f"you2 {uri} values-and-artifacts"
    assert e.outputs(found[""]) == e.outputs(found["read"]) == {"all": said}
    assert e.outputs(found["made"]) == {"count": 2}
    assert found["read"].inputs["folder"].artifacts[0].uri == uri
    blob = emulator.bucket.blob(uri.removeprefix(f"{emulator.staging}/") + "/greeting")
    assert blob.download_as_bytes() == b"you"  # what a step wrote is an object
    assert found["made"].parent_task_id == found[""].task_id

    assert emulator.log(job.name, "made") == b"some\nwords\n"


@settings(max_examples=8)
@given(st.lists(TEXT, min_size=1, max_size=10))
@example(["$(HOME) $$(HOME) $", "{{$.inputs.parameters['p0']}}", "{{$}}", 'a "b" \\ \n\r\t é', "", "-n", "$((X)", "$"])
def test_a_value_meets_both_expanders_once(emulator, emulated, values: list[str]) -> None:
    e = emulated
    names = [f"p{position}" for position in range(len(values))]
    spec = e.pipeline(
        {
            "tell": e.step(
                'f=$1; shift; for one; do printf "%s" "$one" | base64 -w0; echo; done > "$f"',
                "sh",
                e.output_file("told"),
                *(e.parameter(name) for name in names),
                outputs={"parameters": {"told": e.STRING}},
                env=[{"name": "X", "value": "seen"}],
                **e.from_pipeline(*names),
            )
        },
        dict.fromkeys(names, e.STRING),
    )
    job = emulator.run(spec, parameters=dict(zip(names, values, strict=True)))
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job
    import base64

    told = e.outputs(e.details(job)["tell"])["told"].splitlines()
    # The harsh part: what came in is not looked at by the IR again, and by the container as if somebody had written it.
    assert [base64.b64decode(one).decode() for one in told] == [kubernetes(value, {"X": "seen"}) for value in values]


def kubernetes(text: str, variables: dict[str, str]) -> str:
    """`$(NAME)` by Kubernetes' own words: a state for each character."""
    found, rest = "", text
    while rest:
        if rest.startswith("$$"):
            found, rest = f"{found}$", rest[2:]
        elif rest.startswith("$(") and ")" in rest:
            name, rest = rest[2:].split(")", 1)
            found += variables.get(name, f"$({name})")
        else:
            found, rest = found + rest[0], rest[1:]
    return found


def test_steps_get_a_clean_environment(emulator, emulated) -> None:
    e = emulated
    env = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)$$(A)$(NONE)$(LATER)"},
        {"name": "LATER", "value": "l"},
    ]
    spec = e.pipeline({"env": e.step("env; command -v python; pwd; cat", env=env)})
    job = emulator.run(spec)
    lines = emulator.log(job.name, "env").decode().splitlines()
    variables = dict(line.split("=", 1) for line in lines if "=" in line)
    assert variables["B"] == "a$(A)$(NONE)$(LATER)"
    assert variables["PENSTOCK_GCS"] == str(emulator.state / "gcs")
    own = {"A", "B", "LATER", "PENSTOCK_GCS", "PENSTOCK_EMULATOR_STEP", "CLOUD_ML_PROJECT_ID"}
    assert variables.keys() == {*own, "PATH", "HOME", "TMPDIR", "LANG", "PWD"}
    assert os.path.join(os.path.dirname(sys.executable), "python") in lines
    assert variables["HOME"] == variables["PWD"] == lines[-1]
    assert not os.path.exists(variables["HOME"])  # it ends with the step


@pytest.mark.parametrize(("policy", "other"), [(1, "SUCCEEDED"), (2, "NOT_TRIGGERED")])
def test_a_failure_stops_what_depends_on_it_and_the_rest_by_policy(emulator, emulated, policy: int, other: str) -> None:
    e = emulated
    flag = "{{$.pipeline_root}}"
    wait = 'r=$PENSTOCK_GCS/${1#gs://}; while [ ! -e "$r/go" ]; do sleep 0.02; done'
    spec = e.pipeline(
        {
            "bad": e.step("echo oh; exit 7"),
            "below": e.step("true", after=["bad"]),
            "slow": e.step(wait, "sh", flag),
            "free": e.step("true", after=["slow"]),
            "last": e.step("true", after=["bad"], task={"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}),
        }
    )
    emulator.bucket.blob("runs/go").delete() if emulator.bucket.blob("runs/go").exists() else None
    name = emulator.submit(spec, policy=policy).name
    emulator.wait(name, lambda job: "bad" in e.details(job) and e.details(job)["bad"].state.name == "FAILED")
    emulator.bucket.blob("runs/go").upload_from_string(b"")
    job = emulator.wait(name)
    states = {task: one.state.name for task, one in e.details(job).items()}
    assert states == {
        "": "FAILED",
        "bad": "FAILED",
        "below": "NOT_TRIGGERED",
        "slow": "SUCCEEDED",
        "free": other,
        "last": "SUCCEEDED",
    }
    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert "[bad]" in job.error.message
    assert "status of 7" in e.details(job)["bad"].error.message


def test_a_task_is_tried_again_as_its_policy_says(emulator, emulated) -> None:
    e = emulated
    count = 'f=$PENSTOCK_GCS/${1#gs://}.tries; echo >> "$f"; [ "$(wc -l < "$f")" -ge 3 ]'
    again = {"retryPolicy": {"maxRetryCount": 2, "backoffDuration": "0.05s", "backoffFactor": 1}}
    where = "{{$.pipeline_root}}/{{$.pipeline_job_name}}"
    job = emulator.run(e.pipeline({"count": e.step(count, "sh", where, task=again)}))
    detail = e.details(job)["count"]
    assert detail.state.name == "SUCCEEDED"
    assert len(detail.executor_detail.container_detail.failed_main_jobs) == 2
    assert not detail.error.message
    once = {"retryPolicy": {"maxRetryCount": 1}}
    job = emulator.run(e.pipeline({"count": e.step(count, "sh", where, task=once)}))
    assert e.details(job)["count"].state.name == "FAILED"


def test_cancel_reaches_the_step_and_all_that_it_started(emulator, emulated) -> None:
    e = emulated
    script = "trap 'echo told; exit 3' TERM; setsid sleep 600 & (trap '' TERM; sleep 601) & echo pids $! $$; wait"
    spec = e.pipeline({"long": e.step(script), "never": e.step("true", after=["long"])})
    name = emulator.submit(spec).name
    emulator.wait(name, lambda job: "long" in e.details(job) and b"pids" in emulator.log(name, "long"))
    pids = [int(one) for one in re.findall(rb"\d+", emulator.log(name, "long"))]
    assert all(e.alive(pid) for pid in pids)
    emulator.pipelines.cancel_pipeline_job(name=name, timeout=30)
    job = emulator.wait(name)
    assert job.state.name == "PIPELINE_STATE_CANCELLED"
    assert {one.state.name for one in e.details(job).values()} == {"CANCELLED"}
    assert not any(e.alive(pid) for pid in pids)
    assert b"told" in emulator.log(name, "long")
    emulator.pipelines.cancel_pipeline_job(name=name, timeout=30)  # of what has ended: nothing happens
    assert emulator.wait(name).state.name == "PIPELINE_STATE_CANCELLED"


def test_what_was_done_before_is_taken_from_the_cache_where_that_is_allowed(emulator, emulated) -> None:
    e = emulated

    def spec(cache: bool):
        task = {"cachingOptions": {"enableCache": cache}}
        script, made = 'date +%N > "$1"', {"parameters": {"now": e.STRING}}
        given = e.from_pipeline("word")
        return e.pipeline(
            {"now": e.step(script, "sh", e.output_file("now"), outputs=made, task=task, **given)}, {"word": e.STRING}
        )

    def now(cache: bool, word: str) -> tuple[str, str]:
        detail = e.details(emulator.run(spec(cache), parameters={"word": word}))["now"]
        return detail.state.name, e.outputs(detail)["now"]

    state, first = now(True, "one")
    assert state == "SUCCEEDED"
    assert now(True, "one") == ("SKIPPED", first)
    for cache, word in ((False, "one"), (True, "two")):
        state, other = now(cache, word)
        assert (state, other == first) == ("SUCCEEDED", False)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"command": ["no-such-program"]}, "no-such-program"),
        ({"image": "registry.invalid/x:1", "command": ["true"]}, "registry.invalid/x:1"),
        (
            {"command": ["true"], "outputs": {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}}},
            "'n' was not written",
        ),
        (
            {
                "command": ["sh", "-c", 'echo 1.5 > "$0"'],
                "outputs": {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}},
            },
            "NUMBER_INTEGER",
        ),
        (
            {"command": ["sh", "-c", 'echo x > "$0"'], "outputs": {"parameters": {"n": {"parameterType": "BOOLEAN"}}}},
            "cannot be read",
        ),
    ],
)
def test_why_a_task_failed_is_said(emulator, emulated, task: dict, message: str) -> None:
    made = task.get("outputs", {})
    args = [emulated.output_file(name) for name in made.get("parameters", ())]
    container = {"image": "img", "args": args, **{key: value for key, value in task.items() if key != "outputs"}}
    job = emulator.run(emulated.pipeline({"t": {"container": container, "outputs": made}}))
    assert job.state.name == "PIPELINE_STATE_FAILED"
    assert message in emulated.details(job)["t"].error.message
