"""The program around one step: runs it, ends what it leaves behind, and notes what it exited with.

    runner.py FOLDER COMMAND...

It holds the lock that it is given open, and so does the step: as long as it is held, something of the step is there.
"""

import os
import signal
import sys


def note(name: str, number: int) -> None:
    """Write a file in the step's folder, whole or not at all."""
    path = os.path.join(sys.argv[1], name)
    with open(path + ".new", "w") as file:
        file.write(str(number))
    os.replace(path + ".new", path)


if os.fork():
    os._exit(0)  # the rest is nobody's child, so that nobody has to wait for it
child = os.fork()
if not child:
    os.setpgid(0, 0)
    note("group", os.getpid())
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"cannot start `{sys.argv[2]}`: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
try:  # noqa: SIM105  # contextlib takes longer to import than all of this to run
    os.killpg(child, signal.SIGKILL)
except ProcessLookupError:
    pass
note("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
