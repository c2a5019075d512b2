"""The program that the kit's steps run: it does what its arguments say and tells what it was given.

    probe.py WORD VALUE... [WORD VALUE...] -- ARGUMENT...

    args PATH            write the ARGUMENTs to PATH as a JSON list
    env NAME PATH        write the environment variable NAME to PATH; one that is not set ends it with an error
    put PATH TEXT        write TEXT to PATH
    copy FROM PATH       write the bytes of the file FROM to PATH
    folder PATH TEXT     make the folder PATH with files that hold TEXT or nothing, some with odd names, see FILES
    digest FROM PATH     write the sha256 of the file or folder FROM to PATH
    runnable FROM PATH   write to PATH whether the file FROM may be executed, `true` or `false`
    count NUMBER PATH    write the NUMBER plus one to PATH
    say TEXT             write TEXT to standard output, as it is
    warn TEXT            write TEXT to standard error, as it is
    lines COUNT          write COUNT numbered lines to standard output
    mark FOLDER NAME     leave a new file NAME.<uuid> in FOLDER, unless FOLDER is empty: one for each execution
    alone FOLDER NAME    unless FOLDER is empty: leave a new file NAME.<uuid> there when NAME runs twice at once
    sleep SECONDS        wait
    child FOLDER SECONDS start a process that names FOLDER and waits, and leave a new file in FOLDER
    deaf FOLDER          do not end when asked to (TERM), and leave a new file in FOLDER unless it is empty
    die                  be killed
    flaky FOLDER NAME N  exit 9 unless FOLDER has N files NAME.* by now (see mark)
    exit STATUS          end here

It uses the standard library only and runs on Python 3.8 and newer, as it has to run wherever steps run.
"""

import hashlib
import json
import os
import signal
import sys
import time
import uuid

ARITY = {
    "args": 1, "env": 2, "put": 2, "copy": 2, "folder": 2, "digest": 2, "runnable": 2, "count": 2, "say": 1,
    "warn": 1, "lines": 1, "mark": 2, "alone": 2, "sleep": 1, "child": 2, "deaf": 1, "die": 0, "flaky": 3, "exit": 1,
}  # fmt: skip
"""How many values follow each word."""

FILES = {"a": True, "b/c": True, ".hidden": True, "b/.d/e f": True, "empty": False, "\u65e5.txt": True}
"""The files of a folder, each with whether it holds the text; the others hold nothing."""


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:  # noqa: PTH123  # paths may be any text that the system takes
        file.write(data)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # paths may be any text that the system takes
        return file.read()


def digest(path: str) -> str:
    """The sha256 of a file's bytes, or of a folder's relative names and bytes in order."""
    found = hashlib.sha256()
    if not os.path.isdir(path):  # noqa: PTH112  # paths may be any text that the system takes
        found.update(_read(path))
        return found.hexdigest()
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            whole = os.path.join(folder, name)  # noqa: PTH118  # as above
            found.update(os.path.relpath(whole, path).encode() + b"\0" + _read(whole) + b"\0")
    return found.hexdigest()


def do(word: str, values: "list[str]", arguments: "list[str]") -> None:
    """Do one word. Raises OSError, SystemExit."""
    if word == "args":
        _write(values[0], json.dumps(arguments).encode())
    elif word == "env":
        _write(values[1], os.environ[values[0]].encode(errors="surrogateescape"))
    elif word == "put":
        _write(values[0], values[1].encode(errors="surrogateescape"))
    elif word == "copy":
        _write(values[1], _read(values[0]))
    elif word == "folder":
        os.makedirs(os.path.join(values[0], "b", ".d"), exist_ok=True)  # noqa: PTH103, PTH118  # as above
        for name, full in FILES.items():
            text = values[1].encode(errors="surrogateescape") if full else b""
            _write(os.path.join(values[0], name), text)  # noqa: PTH118  # as above
    elif word == "digest":
        _write(values[1], digest(values[0]).encode())
    elif word == "runnable":
        _write(values[1], b"true" if os.access(values[0], os.X_OK) else b"false")
    elif word == "count":
        _write(values[1], str(int(values[0]) + 1).encode())
    elif word == "say":
        sys.stdout.buffer.write(values[0].encode(errors="surrogateescape"))
    elif word == "warn":
        sys.stdout.flush()
        sys.stderr.buffer.write(values[0].encode(errors="surrogateescape"))
        sys.stderr.flush()
    elif word == "lines":
        for number in range(int(values[0])):
            sys.stdout.buffer.write(b"line %d\n" % number)
    elif word == "mark" and values[0]:
        _write(os.path.join(values[0], values[1] + "." + uuid.uuid4().hex), b"")  # noqa: PTH118  # as above
    elif word == "alone" and values[0]:
        import fcntl

        lock = os.open(os.path.join(values[0], values[1] + ".lock"), os.O_RDWR | os.O_CREAT)  # noqa: PTH118  # as above
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held to the end of this process
        except OSError:
            _write(os.path.join(values[0], values[1] + "." + uuid.uuid4().hex), b"")  # noqa: PTH118  # as above
    elif word == "sleep":
        sys.stdout.flush()
        time.sleep(float(values[0]))
    elif word == "child":
        import subprocess

        waiting = "import sys, time; time.sleep(float(sys.argv[2]))"
        subprocess.Popen([sys.executable, "-S", "-c", waiting, *values])
        do("mark", [values[0], "child"], arguments)
    elif word == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        do("mark", [values[0], "deaf"], arguments)
    elif word == "die":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        os._exit(137)  # the first process of a container is not killed by itself
    elif word == "flaky":
        seen = [name for name in os.listdir(values[0]) if name.startswith(values[1] + ".")]  # noqa: PTH208  # as above
        if len(seen) < int(values[2]):
            sys.exit(9)
    elif word == "exit":
        sys.exit(int(values[0]))


def main(given: "list[str]") -> None:
    """Do every word in order. Raises KeyError for one that does not exist."""
    steps = []
    words = given[:]
    # A value may be `--` too: only where a word is expected does it end them.
    while words and words[0] != "--":
        word = words.pop(0)
        values, words = words[: ARITY[word]], words[ARITY[word] :]
        steps.append((word, values))
    for word, values in steps:
        do(word, values, words[1:])
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
