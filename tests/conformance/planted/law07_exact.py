"""Values that change on their way to a step."""

from __future__ import annotations

import re
import unicodedata

from attrs import evolve
from planting.hooks import around, commands_run_by, texts_handed_over

SPLIT = """import os, sys
words = sys.argv[1:]
end = words.index("--") + 1
os.execvp(words[0], words[:end] + [word for one in words[end:] for word in one.split(" ")])"""

FIRST_LINES = """import os, sys
lines = {name: text.split("\\n")[0] for name, text in os.environ.items()}
os.execvpe(sys.argv[1], sys.argv[1:], lines)"""


def integers_go_through_floats():
    """Integers are handed over as JSON numbers, which lose 2**53 + 1."""
    texts_handed_over(lambda text: str(int(float(text))) if re.fullmatch(r"-?\d{1,300}", text) else text)


def white_space_is_stripped():
    """White space around a value is lost."""
    texts_handed_over(str.strip)


def text_is_normalised():
    """Text is brought to the composed form of Unicode."""
    texts_handed_over(lambda text: unicodedata.normalize("NFC", text))


def long_values_are_cut():
    """Values of more than 32 KiB are cut there."""
    texts_handed_over(lambda text: text[:32_768])


def values_are_expanded_again():
    """A placeholder in a value is replaced by another value."""

    def submit(real, target, run):
        texts = run.parameters.texts

        def expanded(text):
            return re.sub(r"\$\{\{ *parameters\.(\w+) *\}\}", lambda found: texts.get(found[1], found[0]), text)

        changed = {name: expanded(text) for name, text in texts.items()}
        return real(target, evolve(run, parameters=evolve(run.parameters, texts=changed)))

    around("penstock_submit_run", submit)


def missing_values_are_empty():
    """A parameter without a value has the empty one."""

    def submit(real, target, run):
        given = run.parameters
        texts = {**given.texts, **dict.fromkeys(given.absent - {"file"}, "")}
        typed = {name: value for name, value in given.typed.items() if name not in texts or value is not None}
        return real(target, evolve(run, parameters=evolve(given, texts=texts, typed=typed)))

    around("penstock_submit_run", submit)


def arguments_are_split_at_spaces():
    """An argument with a space in it becomes two."""
    commands_run_by(SPLIT)


def variables_end_at_their_first_line():
    """Of an environment variable only the first line arrives."""
    commands_run_by(FIRST_LINES)


CASES = {
    integers_go_through_floats: "arguments_arrive",
    white_space_is_stripped: "arguments_arrive",
    text_is_normalised: "arguments_arrive",
    long_values_are_cut: "long_values_arrive",
    values_are_expanded_again: "text_around_stays",
    missing_values_are_empty: "missing_values_leave_nothing",
    arguments_are_split_at_spaces: "arguments_arrive",
    variables_end_at_their_first_line: "environment_arrives",
}
