"""The life cycle as a tested document: which hooks are called, in which order, for the four main verbs."""

from __future__ import annotations

import time

import pytest

from penstock.workspace import Workspace

RECORDER = '''
from attrs import define
import penstock

TOLD = []
TIMES = []


@define(eq=False)
class Recorder:
    """Writes down every hook call, wrapped operations and events alike."""

    @penstock.hookimpl(wrapper=True)
    def penstock_execute_verb(self, request):
        TOLD.append(f"verb {request.verb} {request.subject}")
        return (yield)

    @penstock.hookimpl
    def penstock_pipeline_published(self, event):
        TOLD.append(f"event pipeline_published {event.subject}")

    @penstock.hookimpl
    def penstock_default_moved(self, event):
        TOLD.append(f"event default_moved {event.subject} {event.data['default']}")

    @penstock.hookimpl
    def penstock_gate_changed(self, event):
        TOLD.append(f"event gate_changed {event.subject} {event.data['open']}")

    @penstock.hookimpl
    def penstock_run_changed(self, event):
        TOLD.append(f"event run_changed {event.data['state']}")
        TIMES.append((event.data["state"], event.at))

'''

OPERATIONS = {
    "penstock_target_options": "",
    "penstock_validate_pipeline": "target, pipeline",
    "penstock_compile_pipeline": "target, snapshot",
    "penstock_publish_pipeline": "target, snapshot, compiled",
    "penstock_submit_run": "target, run",
    "penstock_cancel_run": "target, run",
    "penstock_sync_endpoint": "target, endpoint",
    "penstock_retire_pipeline": "target, publication",
}


@pytest.fixture
def told(project, distribution):
    """A workspace with a plugin that writes everything down, and the list it writes to."""
    source = RECORDER
    for hook, arguments in OPERATIONS.items():
        source += (
            "    @penstock.hookimpl(wrapper=True)\n"
            f"    def {hook}(self{', ' * bool(arguments)}{arguments}):\n"
            f"        TOLD.append({hook!r})\n"
            "        return (yield)\n\n"
        )
    distribution("penstock-recorder", {"penstock.plugins": {"recorder": "recorder:Recorder"}}, recorder=source)
    with (project / "penstock.yaml").open("a") as file:
        file.write("plugins: [recorder]\n")
    import recorder

    with Workspace.open(project, actor="ada") as workspace:
        yield workspace, recorder.TOLD
        recorder.TIMES.clear()


def taken(told: list[str]) -> list[str]:
    """What was told since the last look."""
    lines = list(told)
    told.clear()
    return lines


def test_the_ordered_transcript_of_the_main_verbs(told, project):
    workspace, lines = told
    first = workspace.pipelines.publish(project / "greet.yaml")
    assert taken(lines) == [
        f"verb pipeline.publish {project / 'greet.yaml'}",
        "penstock_target_options",
        "penstock_validate_pipeline",
        "penstock_compile_pipeline",
        "penstock_publish_pipeline",
        "event pipeline_published greet",
    ]
    workspace.endpoints.create("hello", first.published.id)
    assert taken(lines) == ["verb endpoint.create hello", "event default_moved hello 0", "penstock_sync_endpoint"]

    spec = project / "greet.yaml"
    spec.write_text(spec.read_text().replace("Writes a greeting.", "Writes another greeting."))
    second = workspace.pipelines.publish(spec)
    taken(lines)
    workspace.endpoints.add_version("hello", second.published.id)
    assert taken(lines) == ["verb endpoint.add_version hello", "penstock_sync_endpoint"]

    run = workspace.runs.submit("hello").run
    assert taken(lines) == ["verb run.submit hello", "event run_changed queued", "penstock_submit_run"]
    workspace.runs.wait(run.id)
    seen = taken(lines)
    assert seen[0] == f"verb run.wait {run.id}"
    assert seen[-1] == "event run_changed succeeded"

    workspace.endpoints.disable("hello", reason="audit")
    assert taken(lines) == ["verb endpoint.disable hello", "event gate_changed hello False", "penstock_sync_endpoint"]


def test_an_event_says_when_it_happened_at_the_target_and_not_when_somebody_looked(told, project):
    import recorder

    workspace, _ = told
    workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
    run = workspace.runs.submit("hello").run
    time.sleep(1.0)
    ended = workspace.runs.wait(run.id)
    times = dict(recorder.TIMES)
    assert times["queued"] == run.created
    assert times["succeeded"] == ended.ended
    (row,) = [row for row in workspace.admin.history(subject=run.id).items if row.action == "run_ended"]
    assert row.happened == ended.ended < row.at
    assert row.subject_id == run.id
