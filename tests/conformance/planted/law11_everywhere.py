"""Logs, artifacts and steps that come to something else than the pipeline says, or than on another target."""

from __future__ import annotations

import uuid
from datetime import timedelta

from attrs import evolve
from planting.hooks import answered, around, commands_run_by, other_commands, other_steps

from penstock.contract.run import LogTime

CUT = """import os, sys
path = sys.argv[1]
os.truncate(path, max(0, os.path.getsize(path) - 1))
os.execvp(sys.argv[2], sys.argv[2:])"""

SILENT = """import os, sys
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
os.execvp(sys.argv[1], sys.argv[1:])"""

PLAIN = """import os, sys
for folder, _, files in os.walk("."):
    for name in files:
        os.chmod(os.path.join(folder, name), 0o644)
os.execvp(sys.argv[1], sys.argv[1:])"""


def the_last_line_of_a_log_is_lost():
    """The last line of a log is dropped unless it has an end."""

    def read(chunk):
        return evolve(chunk, data=chunk.data[: chunk.data.rfind(b"\n") + 1]) if chunk.complete else chunk

    answered("penstock_read_logs", read)


def a_log_is_complete_too_early():
    """A log is said to be complete whenever all that is there so far has been read."""
    answered("penstock_read_logs", lambda chunk: evolve(chunk, complete=len(chunk.data) < 2**20))


def times_of_a_log_go_back():
    """What came last has the time at which the log began."""

    def read(chunk):
        last = LogTime(chunk.next_offset, chunk.times[0].time - timedelta(hours=1)) if chunk.times else None
        return evolve(chunk, times=[LogTime(1, chunk.times[0].time), last]) if last and len(chunk.data) > 1 else chunk

    answered("penstock_read_logs", read)


def standard_error_is_not_logged():
    """What a step writes to its standard error goes nowhere."""
    commands_run_by(SILENT)


def code_is_not_executable():
    """Code arrives without its executable bits."""
    commands_run_by(PLAIN)


def artifacts_are_cut_short():
    """The last byte of a file is lost on its way to the next step."""

    def command(pipeline, step):
        for key, text in step.inputs.items():
            _, name, _, output = (*text[3:-2].strip().split("."), "", "")[:4]
            if name in pipeline.steps and pipeline.steps[name].outputs[output].type == "file":
                return (step.command[0], "-S", "-c", CUT, f"${{{{ inputs.{key} }}}}", *step.command)
        return step.command

    other_commands(command)


def after_is_ignored():
    """A step runs without waiting for those it comes after."""
    other_steps(lambda pipeline: {name: evolve(step, after=()) for name, step in pipeline.steps.items()})


def downloads_are_cut_short():
    """Whoever downloads a file gets all but its last byte."""

    def fetch(real, target, run, name, destination):
        put = destination.file

        def cut(path, size, pieces, executable=False):
            data = b"".join(pieces)[:-1]
            put(path, len(data), [data], executable)

        destination.file = cut
        return real(target, run, name, destination)

    around("penstock_fetch_artifact", fetch)


def the_second_target_shows_fewer_outputs():
    """What runs on the second target loses its last output."""

    def get_outputs(real, target, run):
        found = real(target, run)
        kept = list(found.outputs.items())[: -1 if target.name == "second" else None]
        return evolve(found, outputs=dict(kept))

    around("penstock_get_outputs", get_outputs)


def a_log_is_another_one_at_each_look():
    """A log is told by a name that is new with each piece, so that whoever follows it begins again and again."""
    answered("penstock_read_logs", lambda chunk: evolve(chunk, identity=uuid.uuid4().hex))


def only_the_last_attempt_is_logged():
    """What earlier attempts of a step wrote is not in its log any more."""

    def read(real, target, run, step, offset):
        chunk = real(target, run, step, 0)
        data = chunk.data[max(0, chunk.data.rfind(b"--- attempt ")) :]
        return evolve(chunk, data=data[offset:], next_offset=max(offset, len(data)), times=None)

    around("penstock_read_logs", read)


def a_line_that_had_begun_is_told_again():
    """Who reads on in the middle of a line is given it from its beginning."""

    def read(real, target, run, step, offset):
        chunk, before = real(target, run, step, offset), real(target, run, step, 0).data[:offset]
        again = before[before.rfind(b"\n") + 1 :] if chunk.data else b""
        return evolve(chunk, data=again + chunk.data, next_offset=chunk.next_offset + len(again))

    around("penstock_read_logs", read)


CASES = {
    the_last_line_of_a_log_is_lost: "logs_are_the_same",
    a_log_is_complete_too_early: "logs_can_be_followed",
    times_of_a_log_go_back: "logs_are_the_same",
    standard_error_is_not_logged: "logs_can_be_followed",
    code_is_not_executable: "code_is_the_same",
    artifacts_are_cut_short: "contents_are_the_same",
    downloads_are_cut_short: "artifacts_are_downloaded",
    after_is_ignored: "logs_can_be_followed",
    the_second_target_shows_fewer_outputs: "types_are_kept",
    a_log_is_another_one_at_each_look: "logs_can_be_followed",
    only_the_last_attempt_is_logged: "every_attempt_is_told",
    a_line_that_had_begun_is_told_again: "logs_are_the_same",
}
