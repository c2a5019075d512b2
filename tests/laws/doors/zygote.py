"""A process that has imported the server and opened nothing, from which `penstock serve` is forked: in milliseconds.

It is asked at a socket by a JSON object a line, `{"arguments", "folder", "environment", "prepare", "out", "log"}`, and
answers the id of the new process. When its standard input ends, so does it, and its servers are told to.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = (
    *("penstock.server.serving", "penstock.server.openapi", "penstock.cli.root", "penstock.cli.commands.serve"),
    *("penstock.workspace.handles", "penstock.workspace.publishing", "penstock.workspace.admin"),
    *("penstock_azureml_v1.hooks", "penstock_azureml_v1.routes", "penstock_memory", "penstock.dispatch.dispatcher"),
    *("uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.on", "uvicorn.loops.auto", "multiprocessing.util"),
    *("importlib.metadata", "penstock.snapshot.stored", "concurrent.futures.thread", "laws.doors.dying"),
)
_PR_SET_PDEATHSIG = 1


def main(path: str) -> None:
    """Fork servers until standard input ends; then the folder of the socket goes, too."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: who asked looks whether they are there
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            line, _ = listener.accept()
            with line, line.makefile("rw") as file:
                asked = json.loads(file.readline())
                pid = os.fork()
                if pid == 0:
                    listener.close()
                    line.close()
                    _serve(asked)
                file.write(f"{pid}\n")
    shutil.rmtree(Path(path).parent, ignore_errors=True)  # whoever began us may be gone without a word


def _serve(asked: dict[str, Any]) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for descriptor, (name, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), (asked["out"], os.O_WRONLY | os.O_CREAT), (asked["log"], os.O_WRONLY | os.O_CREAT)]
    ):
        os.dup2(os.open(name, flags, 0o600), descriptor)
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    status = 70
    try:
        for name in asked["prepare"]:
            module, _, function = name.partition(":")
            getattr(importlib.import_module(module), function)()
        from penstock.cli import main as penstock

        status = penstock(asked["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
