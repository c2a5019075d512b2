"""Backends that show secrets, or have them for longer than their run goes on, and that touch what is another's."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path

from attrs import evolve
from planting.hooks import around, reported

from penstock.errors import NotFound
from penstock_local import database, processes, wake
from penstock_local.layout import Layout


def values_are_in_the_receipt():
    """The receipt for a run has its parameters."""

    def submit(real, target, run):
        receipt = real(target, run)
        return evolve(receipt, details={"parameters": str(dict(run.parameters.texts))})

    around("penstock_submit_run", submit)


def repeats_are_stored_again():
    """A run that is handed over again has its values stored again, whether it has ended or not."""
    from penstock_local import environments

    def submit(real, target, run):
        receipt = real(target, run)
        hidden = {name: run.parameters.texts[name] for name in run.parameters.sensitive}
        if hidden:
            environments.keep(Layout.of(target), run.id, {}, hidden)
        return receipt

    around("penstock_submit_run", submit)


def steps_show_their_environment():
    """Whoever looks at a run is shown what its steps got."""
    given = {}

    def submit(real, target, run):
        given[run.id] = run.parameters.texts.get("token", "")
        return real(target, run)

    around("penstock_submit_run", submit)
    reported(lambda report: evolve(report, steps=tuple(_shows(step, given) for step in report.steps)))


def every_run_is_noted_down():
    """What was handed over is written into a file, for whoever wants to know it one day."""

    def submit(real, target, run):
        with (target.home / "handed-over").open("a") as file:
            file.write(f"{run.id} {run.parameters.texts}\n")
        return real(target, run)

    around("penstock_submit_run", submit)


def what_a_killed_submit_wrote_stays():
    """A run is written into a file first, which goes when it has been handed over: nobody else ever takes it away."""

    def submit(real, target, run):
        draft = target.home / f"draft-{uuid.uuid4().hex}"
        draft.write_text(str(run.parameters.texts))
        receipt = real(target, run)
        draft.unlink()
        return receipt

    around("penstock_submit_run", submit)


def another_output_will_do():
    """Who asks for an artifact that the run did not make gets one that it made."""

    def fetch(real, target, run, name, destination):
        try:
            return real(target, run, name, destination)
        except NotFound:
            return real(target, run, "note", destination)

    around("penstock_fetch_artifact", fetch)


def names_are_paths():
    """The name of an output is looked for on the disk."""

    def fetch(real, target, run, name, destination):
        try:
            return real(target, run, name, destination)
        except NotFound:
            destination.file("", 1, [Path(name).read_bytes()[:1]])
            return True

    around("penstock_fetch_artifact", fetch)


def whoever_looks_ends_what_was_left():
    """What a queue says to be running where no engine is, is taken for what an engine that died left behind."""

    def look(real, target, *arguments):
        layout = Layout.of(target)
        if layout.has_queue() and not wake.listening(layout):
            with database.opened(layout) as connection:
                running = "SELECT token FROM steps WHERE token IS NOT NULL AND ended IS NULL"
                processes.end_leftovers({row[0] for row in connection.execute(running)}, [], 10.0)
        return real(target, *arguments)

    around("penstock_get_run", look)
    around("penstock_list_runs", look)


def a_copy_takes_itself_for_the_original():
    """Whoever looks at runs in a copy of a root goes on with them there."""

    def look(real, target, *arguments):
        layout = Layout.of(target)
        if layout.has_queue():
            with database.deciding(layout) as connection, suppress(sqlite3.OperationalError):
                connection.execute("DELETE FROM root")
        return real(target, *arguments)

    around("penstock_get_run", look)
    around("penstock_list_runs", look)


def a_run_has_the_environment_of_who_submits_it():
    """The steps of a run get all variables of the process that handed it over."""
    _with_environment(lambda target: dict(os.environ))


def every_run_has_the_environment_of_who_came_first():
    """The steps of all runs get the variables of the process that handed over the first one."""

    def first(target):
        target.home.mkdir(mode=0o700, exist_ok=True)
        kept = target.home / "environment.json"
        if not kept.exists():
            kept.write_text(json.dumps(dict(os.environ)))
        return json.loads(kept.read_text())

    _with_environment(first)


def _with_environment(variables):
    """Let the steps of runs have other variables, by what is told them to pass on."""

    def submit(real, target, run):
        given, kept = variables(target), dict(os.environ)
        os.environ.update(given)
        try:
            return real(evolve(target, options=evolve(target.options, pass_env=tuple(given))), run)
        finally:
            os.environ.clear()
            os.environ.update(kept)

    around("penstock_submit_run", submit)


def _shows(step, given):
    return evolve(step, outputs={**step.outputs, "given": " ".join(given.values())})


CASES = {
    values_are_in_the_receipt: "secrets_are_their_runs_alone",
    repeats_are_stored_again: "secrets_are_their_runs_alone",
    steps_show_their_environment: "secrets_go_with_a_cancel",
    every_run_is_noted_down: "secrets_are_their_runs_alone",
    what_a_killed_submit_wrote_stays: "a_killed_submit_leaves_no_secret",
    another_output_will_do: "only_artifacts_of_the_run_are_handed_out",
    whoever_looks_ends_what_was_left: "copies_touch_nothing",
    names_are_paths: "only_artifacts_of_the_run_are_handed_out",
    a_copy_takes_itself_for_the_original: "copies_touch_nothing",
    a_run_has_the_environment_of_who_submits_it: "runs_begin_alike",
    every_run_has_the_environment_of_who_came_first: "runs_begin_alike",
}
