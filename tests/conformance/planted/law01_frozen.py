"""What is published changes: by the time, by its name, by who ran it before."""

from __future__ import annotations

import time
import uuid

from attrs import evolve, has
from planting.hooks import answered, around, commands_run_by, other_steps

SHARED = """import os, shutil, sys
there = sys.argv[1]
if not os.path.isdir(there):
    shutil.copytree(".", there)
os.chdir(there)
os.execvp(sys.argv[2], sys.argv[2:])"""

READ = """import hashlib, os, shutil, sys
for place, word in enumerate(sys.argv):
    if os.path.isabs(word) and os.path.isfile(word) and word.endswith(".txt"):
        there = os.path.abspath("../../../read-" + hashlib.sha256(open(word, "rb").read()).hexdigest())
        first = there + ".first"
        if not os.path.exists(first):
            shutil.copyfile(word, first)
        sys.argv[place] = first
os.execvp(sys.argv[1], sys.argv[1:])"""

UNPACKED = """import os, sys, tarfile
tarfile.open(sys.argv[1]).extractall(".")
os.execvp(sys.argv[2], sys.argv[2:])"""


def compiled_with_the_time():
    """What is compiled says when that was."""
    answered(
        "penstock_compile_pipeline",
        lambda compiled: evolve(compiled, data=compiled.data + b" " * (time.monotonic_ns() // 1000 % 9973)),
    )


def compiled_in_the_order_of_a_set():
    """What is compiled depends on the order of a set, which is another one in every process."""
    answered(
        "penstock_compile_pipeline",
        lambda compiled: evolve(compiled, data=compiled.data + b" " * (hash("penstock") % 9973)),
    )


def published_under_a_new_name_each_time():
    """The backend calls a snapshot something else whenever it is published, and knows it by every name."""
    answered("penstock_publish_pipeline", lambda one: evolve(one, external=f"{one.external}#{uuid.uuid4().hex}"))
    for hook in ("submit_run", "get_run", "get_outputs", "read_logs", "cancel_run", "retire_pipeline"):
        around(f"penstock_{hook}", _by_plain_names)


def all_runs_work_in_one_copy_of_the_code():
    """What one run writes into its code, the next one reads there."""

    def steps(pipeline):
        return {name: evolve(step, command=_sharing(step, pipeline)) for name, step in pipeline.steps.items()}

    other_steps(steps)


def steps_unpack_for_themselves():
    """Steps take their code from where the workspace keeps it, and nobody compares that with its digest."""

    def publish(real, target, snapshot, *compiled):
        pipeline, (archive, *_) = snapshot.pipeline, snapshot.archives.values()
        words = (next(iter(pipeline.steps.values())).command[0], "-S", "-c", UNPACKED, str(archive.location))
        steps = {name: evolve(step, command=(*words, *step.command)) for name, step in pipeline.steps.items()}
        bare = evolve(pipeline, steps=steps, defaults=evolve(pipeline.defaults, code=None))
        return real(target, evolve(snapshot, pipeline=bare, archives={}), *compiled)

    for hook in ("penstock_compile_pipeline", "penstock_publish_pipeline"):
        around(hook, publish)


def all_runs_read_one_copy_of_the_data():
    """What a step writes into a file or folder that came with the pipeline, the next run reads there."""
    commands_run_by(READ)


def _sharing(step, pipeline):
    digest = uuid.uuid5(uuid.NAMESPACE_URL, repr(pipeline)).hex
    return (step.command[0], "-S", "-c", SHARED, f"../../../shared-{digest}", *step.command)


def _by_plain_names(real, target, *arguments):
    return real(target, *map(_plain, arguments))


def _plain(value):
    if hasattr(value, "publication"):
        return evolve(value, publication=_plain(value.publication))
    return evolve(value, external=value.external.partition("#")[0]) if _is_publication(value) else value


def _is_publication(value):
    return has(type(value)) and hasattr(value, "trigger_url")


CASES = {
    compiled_with_the_time: "compiled_alike",
    compiled_in_the_order_of_a_set: "compiled_alike",
    published_under_a_new_name_each_time: "published_alike",
    all_runs_work_in_one_copy_of_the_code: "code_frozen",
    steps_unpack_for_themselves: "changed_archives_are_not_run",
    all_runs_read_one_copy_of_the_data: "data_frozen",
}
