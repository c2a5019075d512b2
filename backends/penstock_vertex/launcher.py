"""The launcher: a POSIX sh text in the command of every container, and the words that tell it what to run.

Values, paths and literal text come to a container through its `args`, which KFP and the container's own expansion have
both looked at. So no argument is put together there: each word below is one element of `args`, a placeholder is an
element of its own, and whatever an expander could touch is encoded (see `wire`). The launcher decodes and joins.

    =TEXT                           an argument
    text TEXT                       goes on with the argument or variable that is being written
    input NUMBER                    the same, with the local path of an input
    output NAME                     the same, with the local path of an output
    arg                             it ends, and was an argument
    env NAME                        it ends, and was the variable NAME; variables come before the command
    file NUMBER VALUE               an input is what a `file` or `directory` parameter names
    path NUMBER PATH                an input is what another step wrote
    code PATH                       the archive that is unpacked into the working folder, without `gs://`
    limit SECONDS                   the time that the program may take
    report FOLDER JOB NAME          where the report of each attempt goes (see `reports`), without `gs://`
    value NUMBER NAME TYPE FILE     an output that is a value, and the IR's file for it
    artifact NUMBER NAME TYPE PATH  an output that is content, and the IR's path for it

The program runs in a copy of its code, writes its outputs to a folder beside it, and is told when the container is to
end (TERM). When it ended well, values are made canonical by the image's Python (without one, by the shell, as far as
that can be done), and content is copied to where the IR wants it. The bucket is read and written below `PENSTOCK_GCS`,
which is `/gcs` where nobody says so.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

_HERE = Path(__file__).parent


@functools.cache
def command() -> tuple[str, ...]:
    """The `command` of every container; its `args` are the launcher's words."""
    return ("sh", "-c", text(), "penstock")


@functools.cache
def text() -> str:
    """The launcher, without what is there for people only."""
    shell = (_HERE / "launcher.sh").read_text(encoding="utf-8")
    lines = [line.partition(" # ")[0].strip() for line in shell.splitlines()]
    program = (_HERE / "launcher_outputs.py").read_text(encoding="utf-8")
    program = re.sub(r'^ *""".*?"""\n', "", program, flags=re.DOTALL | re.MULTILINE)
    program = "\n".join(re.sub("  # .*", "", line) for line in program.splitlines() if line.strip())
    return "\n".join((f"_outputs='{program}'", *(line for line in lines if line and not line.startswith("#")))) + "\n"
