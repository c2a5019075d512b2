"""Faults inside of the local target's engine: each engine that is started is one with the fault."""

import subprocess
import types
from pathlib import Path

HERE = str(Path(__file__).parents[1])
PROGRAM = """import sys
sys.path.insert(0, {here!r})
from planted import engine
engine.{fault}()
from penstock_local.engine import main
sys.exit(main(sys.argv[2:]))"""
"""Its first argument is what tells an engine from other processes."""


def children_outlive_their_step():
    """Only the process that the target started is ended, and not what that started."""
    _in_every_engine("_children_outlive_their_step")


def logs_begin_anew():
    """A target that is started again empties the logs of what it had begun."""
    _in_every_engine("_logs_begin_anew")


def cancels_are_forgotten():
    """A target that is started again does not know what it was asked to end."""
    _in_every_engine("_cancels_are_forgotten")


def _in_every_engine(fault):
    from penstock_local import wake

    def run(command, **more):
        words = list(command)
        if "penstock_local.engine" in words:
            at = words.index("penstock_local.engine")
            words[at - 1 : at] = ["-c", PROGRAM.format(here=HERE, fault=fault)]
        return subprocess.run(words, **more)

    wake.subprocess = types.SimpleNamespace(**{**vars(subprocess), "run": run})


def _children_outlive_their_step():
    from penstock_local import attempts, processes

    def signal_step(step, number):
        if step.process:
            processes.signal_child(step.process.pid, number)

    def sweep(self):
        for step in [step for step in self.steps.values() if step.process is None]:
            del self.steps[step.token]
            self._over(step)

    attempts._signal, attempts.Attempts._sweep = signal_step, sweep
    attempts.Attempts.end_all = lambda self, patience: True
    processes.signal_group = lambda group, number: None


def _logs_begin_anew():
    from penstock_local import schedule

    begin = schedule.Schedule.__init__

    def begin_anew(self, layout, *more):
        for log in layout.runs.glob("*/logs/*.log"):
            log.write_bytes(b"")
        begin(self, layout, *more)

    schedule.Schedule.__init__ = begin_anew


def _cancels_are_forgotten():
    from penstock_local import schedule

    begin = schedule.Schedule.__init__

    def begin_unasked(self, layout, database, *more):
        database.execute("UPDATE jobs SET cancel = 0 WHERE ended IS NULL")
        begin(self, layout, database, *more)

    schedule.Schedule.__init__ = begin_unasked


FAULTS = {12: (children_outlive_their_step, logs_begin_anew, cancels_are_forgotten)}
CHECKS = {
    "children_outlive_their_step": "no_child_of_a_canceled_step_is_left",
    "logs_begin_anew": "killed_targets_go_on",
    "cancels_are_forgotten": "a_cancel_outlives_the_target",
}
"""The check that each fault was made for: it alone is asked, and catches it."""
