"""A step that leaves a great many processes costs its engine a look at each of them, and not one at all for each."""

import signal
import subprocess
import sys
import time

from penstock_local import processes
from penstock_local.clock import Clock
from penstock_local.strangers import Strangers

MANY = 300
DEAF = f"""
import os, signal, time
for _ in range({MANY}):
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv("/bin/sleep", ["sleep", "300"])
time.sleep(0.5)
print(os.environ["PENSTOCK_STEP_TOKEN"], flush=True)
time.sleep(300)
"""


def test_all_of_whom_nothing_is_known_wait_for_one_look(place):
    children = [subprocess.Popen(["/bin/sleep", "300"], env={}) for _ in range(8)]
    pids = [child.pid for child in children]
    looks, clock = [], Clock()
    strangers = Strangers(place.layout, clock, lambda: looks.append(strangers.end(pids, [])))
    strangers.end(pids, [])
    strangers.end(pids, [])
    due = clock.next()
    time.sleep(due - time.monotonic())
    clock.run(lambda act: act())
    assert len(looks) == 1
    assert {child.wait(20) for child in children} == {-signal.SIGKILL}


def test_however_many_hear_of_no_end_they_end_and_others_go_on(places):
    place = places(slots=2, grace=0.2)
    run = place.submit({"one": [sys.executable, "-c", DEAF]})
    place.until(lambda: place.log(run, "one"), "its children do not start")
    token = place.log(run, "one").decode().strip()
    assert place.cancel(run)
    others = [place.submit({"one": "true"}) for _ in range(3)]
    assert place.wait(run).state == "canceled"
    assert {place.wait(other).state for other in others} == {"succeeded"}
    assert not processes.is_carried({token})
