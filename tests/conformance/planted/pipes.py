"""Faults in what flows through: values changed on their way, and runs that differ from place to place."""

import json
import re
import unicodedata

from attrs import evolve

from penstock.dispatch import dispatcher
from penstock.targets.facade import TargetOperations

CUT = """import os, sys
path = sys.argv[1]
os.truncate(path, max(0, os.path.getsize(path) - 1))
os.execvp(sys.argv[2], sys.argv[2:])"""

SPLIT = """import os, sys
words = sys.argv[1:]
end = words.index("--") + 1
os.execvp(words[0], words[:end] + [word for one in words[end:] for word in one.split(" ")])"""


SILENT = """import os, sys
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
os.execvp(sys.argv[1], sys.argv[1:])"""

PLAIN = """import os, sys
for folder, _, files in os.walk("."):
    for name in files:
        os.chmod(os.path.join(folder, name), 0o644)
os.execvp(sys.argv[1], sys.argv[1:])"""


def integer_goes_through_a_float():
    """Integers are handed over as JSON numbers, which lose 2**53 + 1."""
    _hand_over(lambda text: str(int(float(text))) if re.fullmatch(r"-?\d{1,300}", text) else text)


def negative_zero_loses_its_sign():
    """-0.0 is handed over as 0.0."""
    _hand_over(lambda text: "0.0" if text == "-0.0" else text)


def value_is_stripped():
    """White space around a value is lost."""
    _hand_over(str.strip)


def line_ends_are_translated():
    """CR and LF in a value become LF."""
    _hand_over(lambda text: text.replace("\r\n", "\n"))


def text_is_normalised():
    """Text is brought to the composed form of Unicode."""
    _hand_over(lambda text: unicodedata.normalize("NFC", text))


def json_is_written_anew():
    """Lists and objects are written once more, with other characters escaped."""

    def again(text):
        return (
            json.dumps(json.loads(text), separators=(",", ":")) if text[:1] in ("[", "{") and _is_json(text) else text
        )

    _hand_over(again)


def value_is_expanded_again():
    """A placeholder in a value is replaced by another value."""
    submit = TargetOperations.submit

    def submit_expanded(self, target, run):
        def expanded(text):
            known = r"\$\{\{ *parameters\.(\w+) *\}\}"
            return re.sub(known, lambda found: run.parameters.texts.get(found[1], found[0]), text)

        texts = {name: expanded(text) for name, text in run.parameters.texts.items()}
        return submit(self, target, evolve(run, parameters=evolve(run.parameters, texts=texts)))

    TargetOperations.submit = submit_expanded


def long_value_is_cut():
    """Values of more than 32 KiB are cut there."""
    _hand_over(lambda text: text[:32_768])


def argument_is_split_at_spaces():
    """An argument with a space in it becomes two."""
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", SPLIT, *step.command))


def argument_of_nothing_is_dropped():
    """An empty argument is left out."""
    drop = SPLIT.replace('one.split(" ")', "[one] if word")
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", drop, *step.command))


def variables_end_at_their_first_line():
    """Of an environment variable only the first line arrives."""
    cut = (
        "import os, sys\n"
        "lines = {name: text.split('\\n')[0] for name, text in os.environ.items()}\n"
        "os.execvpe(sys.argv[1], sys.argv[1:], lines)"
    )
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", cut, *step.command))


def last_log_line_is_lost():
    """The last line of a log is dropped unless it has an end."""
    _read_as(lambda chunk: evolve(chunk, data=chunk.data[: chunk.data.rfind(b"\n") + 1]) if chunk.complete else chunk)


def log_is_complete_too_early():
    """A log is said to be complete whenever all that is there so far has been read."""
    _read_as(lambda chunk: evolve(chunk, complete=len(chunk.data) < 2**20))


def log_is_never_said_to_end_at_once():
    """A log is said to be complete only by a read that finds nothing."""
    _read_as(lambda chunk: evolve(chunk, complete=chunk.complete and not chunk.data))


def log_counts_characters():
    """The offset to read on from counts characters."""

    def counted(chunk):
        beyond = len(chunk.data) - len(chunk.data.decode(errors="ignore"))
        return evolve(chunk, next_offset=chunk.next_offset - beyond)

    _read_as(counted)


def standard_error_is_not_logged():
    """What a step writes to its standard error goes nowhere."""
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", SILENT, *step.command))


def only_the_last_attempt_is_logged():
    """A log has what the last attempt wrote; what went wrong before is not to be seen."""
    _read_as(lambda chunk: evolve(chunk, data=chunk.data.rpartition(b"--- attempt")[2]))


def code_is_not_executable():
    """Code arrives without its executable bits."""
    _run_other_steps(lambda pipeline, step: (step.command[0], "-S", "-c", PLAIN, *step.command))


def number_output_becomes_an_integer():
    """An output of 1.0 is shown as 1."""
    _type_as(lambda type_, value: int(value) if type_ == "number" and value.is_integer() else value)


def string_output_is_read_as_json():
    """A string that looks like a number becomes one."""
    _type_as(lambda type_, value: json.loads(value) if type_ == "string" and _is_json(value) else value)


def skipped_step_is_said_to_have_succeeded():
    """A step that was skipped is shown as one that succeeded."""
    get_run = TargetOperations.get_run

    def get_well(self, target, run):
        report = get_run(self, target, run)
        steps = [
            evolve(one, state="succeeded") if one.state == "skipped" else one for one in getattr(report, "steps", ())
        ]
        return evolve(report, steps=tuple(steps)) if steps else report

    TargetOperations.get_run = get_well


def artifact_is_cut_short():
    """The last byte of a file is lost on its way to the next step."""

    def command(pipeline, step):
        for key, text in step.inputs.items():
            _, name, _, output = (*text[3:-2].strip().split("."), "", "")[:4]
            if name in pipeline.steps and pipeline.steps[name].outputs[output].type == "file":
                return (step.command[0], "-S", "-c", CUT, f"${{{{ inputs.{key} }}}}", *step.command)
        return step.command

    _run_other_steps(command)


def after_is_ignored():
    """A step runs without waiting for those it comes after."""
    _publish_other(lambda pipeline: {name: evolve(step, after=()) for name, step in pipeline.steps.items()})


def retries_are_ignored():
    """A step is tried once."""
    _publish_other(lambda pipeline: {name: evolve(step, retry=None) for name, step in pipeline.steps.items()})


def second_target_shows_other_outputs():
    """What runs on the second target loses its last output."""
    get_outputs = TargetOperations.get_outputs

    def get_fewer(self, target, run):
        answer = get_outputs(self, target, run)
        kept = dict(list(answer.outputs.items())[: -1 if target.name == "second" else None])
        return evolve(answer, outputs=kept)

    TargetOperations.get_outputs = get_fewer


def _hand_over(change):
    submit = TargetOperations.submit

    def submit_changed(self, target, run):
        texts = {name: change(text) for name, text in run.parameters.texts.items()}
        return submit(self, target, evolve(run, parameters=evolve(run.parameters, texts=texts)))

    TargetOperations.submit = submit_changed


def _publish_other(steps):
    """Compile and publish other steps than those of the snapshot, under its digest."""
    compile_, publish = TargetOperations.compile, TargetOperations.publish

    def other(snapshot):
        return evolve(snapshot, pipeline=evolve(snapshot.pipeline, steps=steps(snapshot.pipeline)))

    TargetOperations.compile = lambda self, target, snapshot: compile_(self, target, other(snapshot))
    TargetOperations.publish = lambda self, target, snapshot, compiled: publish(self, target, other(snapshot), compiled)


def _run_other_steps(command):
    _publish_other(
        lambda pipeline: {name: evolve(step, command=command(pipeline, step)) for name, step in pipeline.steps.items()}
    )


def _read_as(change):
    read_logs = TargetOperations.read_logs
    TargetOperations.read_logs = lambda self, target, run, step, offset: change(
        read_logs(self, target, run, step, offset)
    )


def _type_as(change):
    typed = dispatcher._typed
    dispatcher._typed = lambda type_, text: change(type_, typed(type_, text))


def _is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


FAULTS = {
    7: (
        integer_goes_through_a_float,
        negative_zero_loses_its_sign,
        value_is_stripped,
        line_ends_are_translated,
        text_is_normalised,
        json_is_written_anew,
        value_is_expanded_again,
        long_value_is_cut,
        argument_is_split_at_spaces,
        argument_of_nothing_is_dropped,
        variables_end_at_their_first_line,
    ),
    11: (
        last_log_line_is_lost,
        log_is_complete_too_early,
        log_is_never_said_to_end_at_once,
        log_counts_characters,
        standard_error_is_not_logged,
        only_the_last_attempt_is_logged,
        code_is_not_executable,
        number_output_becomes_an_integer,
        string_output_is_read_as_json,
        skipped_step_is_said_to_have_succeeded,
        artifact_is_cut_short,
        after_is_ignored,
        retries_are_ignored,
        second_target_shows_other_outputs,
    ),
}
CHECKS = {
    "integer_goes_through_a_float": "arguments_arrive",
    "negative_zero_loses_its_sign": "arguments_arrive",
    "value_is_stripped": "arguments_arrive",
    "line_ends_are_translated": "arguments_arrive",
    "text_is_normalised": "arguments_arrive",
    "json_is_written_anew": "arguments_arrive",
    "value_is_expanded_again": "text_around_stays",
    "long_value_is_cut": "long_values_arrive",
    "argument_is_split_at_spaces": "arguments_arrive",
    "argument_of_nothing_is_dropped": "arguments_arrive",
    "variables_end_at_their_first_line": "environment_arrives",
    "last_log_line_is_lost": "logs_are_the_same",
    "log_is_complete_too_early": "logs_can_be_followed",
    "log_is_never_said_to_end_at_once": "logs_are_the_same",
    "log_counts_characters": "logs_are_the_same",
    "standard_error_is_not_logged": "logs_can_be_followed",
    "only_the_last_attempt_is_logged": "every_attempt_is_told",
    "code_is_not_executable": "code_is_the_same",
    "number_output_becomes_an_integer": "types_are_kept",
    "string_output_is_read_as_json": "types_are_kept",
    "skipped_step_is_said_to_have_succeeded": "logs_can_be_followed",
    "artifact_is_cut_short": "contents_are_the_same",
    "after_is_ignored": "logs_can_be_followed",
    "retries_are_ignored": "runs_are_the_same",
    "second_target_shows_other_outputs": "types_are_kept",
}
"""The check that catches each fault: it alone is asked."""
