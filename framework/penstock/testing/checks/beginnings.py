"""Law 13 for what steps begin with: nothing of the process that handed their run over, or the first one."""

from __future__ import annotations

import json
import os
import resource
import signal
from typing import Any

from penstock.spec import Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.faults.scenes import Scene, publishes
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import same
from penstock.testing.processes.subprocesses import in_subprocess

_FILES = 300
"""How many files a process may have open that hands a run over; Python and SQLite need some."""

_TELL = """import json, os, resource, signal, sys
umask = os.umask(0)
said = {
    "variables": sorted(name for name in os.environ if name.startswith(sys.argv[2])),
    "umask": oct(umask),
    "open files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "SIGHUP is ignored": signal.getsignal(signal.SIGHUP) == signal.SIG_IGN,
}
open(sys.argv[1], "w").write(json.dumps(said))"""
"""What a step says of itself."""


@check(13)
def runs_begin_alike(harness: Harness) -> None:
    """Do steps begin alike, with nothing of the environment and limits of who handed their run over, or the first?"""
    scene, prefix = Scene.on(harness, alone=True, made=False), f"KIT_{unique('x').upper().replace('-', '_')}_"
    try:
        odd = in_subprocess(_begun, scene, prefix, True, timeout=2 * scene.patience)
        plain = in_subprocess(_begun, scene, prefix, False, timeout=2 * scene.patience)
    finally:
        scene.clear()
    same(13, (odd["variables"], plain["variables"]), ([], []), "the variables that steps have of who hands runs over")
    same(13, odd, plain, "what a step begins with whose run another process handed over")


CHECKS = (runs_begin_alike,)
"""What is asked here."""


def _begun(scene: Scene, prefix: str, odd: bool) -> dict[str, Any]:
    """Hand a run over, as a process that is not like others if it is `odd`; answers what its step began with."""
    if odd:
        os.environ[f"{prefix}FIRST"] = "1"
        os.umask(0o077)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    else:
        os.environ[f"{prefix}SECOND"] = "1"
    step = Step(
        command=(scene.subject.python, "-S", "-c", _TELL, "${{ outputs.said }}", prefix), outputs={"said": "object"}
    )
    pipeline = Pipeline(name="beginnings", steps={"tell": step}, outputs={"said": "${{ steps.tell.outputs.said }}"})
    with scene.open() as workspace:
        run = workspace.runs.submit(publishes(workspace, scene, pipeline).id).run
        ended = scene.ended(workspace, run.id)
        same(13, ended.state, "succeeded", "a run that says what its step began with")
        return dict(json.loads(json.dumps(ended.outputs["said"])))
