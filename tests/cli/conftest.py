"""Fixtures of the command line's suite: call it in this process, or start it as a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.cli import main


@dataclass
class Answer:
    """What one command line answered."""

    status: int
    out: str
    err: str

    @property
    def json(self):
        """The one document on standard output; anything else there is a failure."""
        return json.loads(self.out)

    def ok(self):
        assert self.status == 0, self.err or self.out
        return self

    def refused(self, status: int):
        assert self.status == status, (self.status, self.out, self.err)
        assert "Traceback" not in self.err
        return self


@pytest.fixture
def cli(capsysbinary):
    """Call the command line in this process."""

    def call(*arguments: object) -> Answer:
        capsysbinary.readouterr()
        status = main([str(one) for one in arguments])
        out, err = capsysbinary.readouterr()
        return Answer(status, out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"))

    return call


@pytest.fixture
def start():
    """Start the command line as a process of its own, for streams and signals."""
    started = []

    def begin(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None, **streams):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        command = [sys.executable, "-m", "penstock", *map(str, arguments)]
        process = subprocess.Popen(command, cwd=cwd, env=os.environ | (env or {}), **pipes)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
