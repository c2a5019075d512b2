"""The launcher: a POSIX sh text that runs one attempt of a step where no penstock is installed, as in a container.

Values, paths and literal text come to it as words, each one argument, that nothing on the way puts together: whatever
an expander could touch is encoded (see `wire`). The launcher decodes and joins.

    =TEXT                           an argument
    text TEXT                       goes on with the argument or variable that is being written
    input NUMBER                    the same, with the local path of an input
    output NAME                     the same, with the local path of an output
    arg                             it ends, and was an argument
    arg-if                          the same, left out where a value in it is missing (`penstock-none:`)
    option-if TEXT                  the same, with the argument TEXT in front of it, left out too
    env NAME                        it ends, and was the variable NAME; variables come before the command
    env-if NAME                     the same, not set where its value is missing
    file NUMBER VALUE               an input is what a `file` or `directory` parameter names
    path NUMBER PATH                an input is what another step wrote
    code PATH                       the archive that is unpacked into the working folder
    limit SECONDS                   the time that the program may take
    report FOLDER JOB NAME          where the report of each attempt goes (see `reports`)
    value NUMBER NAME TYPE FILE     an output that is a value, and the file that takes it
    artifact NUMBER NAME TYPE PATH  an output that is content, and where it is to lie

The program runs in a copy of its code, writes its outputs to a folder beside it, and is told when the container is to
end (TERM). When it ended well, values are made canonical by the image's Python (without one, by the shell, as far as
that can be done), and content is copied to where it is to lie. What differs between kinds of places is a `Place`; the
paths of `code` and `report`, of archives and of texts that lie elsewhere are below its root.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from attrs import frozen

_HERE = Path(__file__).parent


@frozen(kw_only=True)
class Place:
    """Where the content of a kind of place is seen by its containers, and how values travel there.

    `root` is the folder below which content lies, and `variable` what may name another one. `scheme` begins the URI of
    content (`gs`). `reference` begins what stands for a text that lies elsewhere (see `wire`). `advice` ends the
    message about an archive or text that cannot be read. `plain` says that the text of an output is written as it is.
    """

    root: str
    variable: str
    scheme: str
    reference: str
    advice: str = ""
    plain: bool = False


@functools.cache
def text(place: Place) -> str:
    """The launcher of a kind of place, without what is there for people only."""
    shell = (_HERE / "launcher.sh").read_text(encoding="utf-8")
    lines = [line.partition(" # ")[0].strip() for line in shell.splitlines()]
    program = (_HERE / "outputs.py").read_text(encoding="utf-8")
    program = re.sub(r'^ *""".*?"""\n', "", program, flags=re.DOTALL | re.MULTILINE)
    program = "\n".join(re.sub("  # .*", "", line) for line in program.splitlines() if line.strip())
    made = "\n".join((f"_outputs='{program}'", *(line for line in lines if line and not line.startswith("#")))) + "\n"
    said = {
        "@root@": f"${{{place.variable}:-{place.root}}}",
        "@scheme@": place.scheme,
        "@reference@": place.reference,
        "@advice@": place.advice,
        "@plain@": "yes" if place.plain else "",
    }
    for mark, word in said.items():
        made = made.replace(mark, word)
    return made
