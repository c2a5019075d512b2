"""Two users of one workspace, as processes: a user's steps run as the user, and root changes nothing there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.users import AS_USER, USER, give_away, only_root, owners, place_of_both

from penstock.errors import ConfigInvalid
from penstock_emulator.serving import lock

SPEC = "apiVersion: penstock/v1\nkind: Pipeline\nname: who\nsteps: {say: {command: [id, -u]}}\n"
CONFIG = "targets:\n  local: {backend: local, idle: 0.5s}\n"

pytestmark = only_root


def penstock(folder: Path, *arguments: str, user: bool, trust: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "PENSTOCK_TRUST": trust}
    command = [*(AS_USER if user else []), sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def theirs(engines_end):
    """A workspace of a user, in which something is published."""
    with place_of_both() as place:
        (place / "pipeline.yaml").write_text(SPEC)
        (place / "penstock.yaml").write_text(CONFIG)
        give_away(place)
        done = penstock(place, "publish", "pipeline.yaml", "--endpoint", "who", user=True)
        assert done.returncode == 0, done.stderr
        yield place
        engines_end(place)


@pytest.mark.thorough
def test_a_user_s_steps_run_as_the_user_whatever_root_does_there(theirs):
    submit, look, check, serve = ("submit", "who"), ("run", "list", "--json"), ("target", "check"), ("serve",)
    for arguments in (submit, ("run", "list"), look):
        done = penstock(theirs, *arguments, user=False)
        assert done.returncode == 4, (arguments, done.stdout, done.stderr)
        said = json.loads(done.stdout)["error"]["message"] if "--json" in arguments else done.stderr
        assert len(said.splitlines()) == 1 and "belongs to" in said and f"PENSTOCK_TRUST={theirs}" in said
        assert owners(theirs) == {USER}
    for arguments, status in ((submit, 12), (look, 0), (check, 10), (serve, 12)):
        done = penstock(theirs, *arguments, user=False, trust=str(theirs))
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr and owners(theirs) == {USER}
        assert arguments != look or json.loads(done.stdout)["items"] == []
    done = penstock(theirs, "submit", "who", "--wait", user=True)
    assert done.returncode == 0, done.stderr
    run = json.loads(penstock(theirs, "run", "list", "--json", user=True).stdout)["items"][0]["id"]
    assert penstock(theirs, "run", "logs", run, user=True).stdout.strip() == str(USER)
    shown = penstock(theirs, "run", "logs", run, user=False, trust=str(theirs))
    assert shown.stdout.strip() == str(USER)
    assert shown.stderr.count("belongs to") == 1 and "you read it" in shown.stderr
    assert owners(theirs) == {USER}


@pytest.mark.thorough
def test_root_asks_nobody_what_became_of_a_user_s_runs(theirs):
    (theirs / "pipeline.yaml").write_text(SPEC.replace("[id, -u]", "[sleep, '300']"))
    done = penstock(theirs, "submit", "pipeline.yaml", "--quiet", user=True)
    assert done.returncode == 0, done.stderr
    run = done.stdout.strip()
    shown = penstock(theirs, "run", "show", run, "--json", user=False, trust=str(theirs))
    assert "who alone changes it and follows its runs" in json.loads(shown.stdout)["stale"], shown.stderr
    assert penstock(theirs, "run", "cancel", run, user=False, trust=str(theirs)).returncode == 12
    assert owners(theirs) == {USER}
    assert penstock(theirs, "run", "cancel", run, user=True).returncode == 0


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "arguments",
    [
        ["init"],
        ["demo", "--folder", "digits"],
        ["registry", "restore", "BACKUP"],
        ["submit", "pipeline.yaml"],
        ["audit"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_root_makes_nothing_in_a_user_s_folder_by_any_verb(theirs, tmp_path, arguments):
    if arguments[0] == "demo":
        pytest.importorskip("sklearn")  # without it that is all it says
    backup = tmp_path / "backup.db"
    assert penstock(theirs, "registry", "backup", str(backup), user=False, trust=str(theirs)).returncode == 0
    with place_of_both() as place:
        (place / "pipeline.yaml").write_text(SPEC)
        give_away(place)
        if arguments == ["audit"]:  # by a configuration that root laid there when the folder was its own
            arguments = ["target", "list"]
            (place / "penstock.yaml").write_text("plugins: [audit]\n")
        before = sorted(place.rglob("*"))
        done = penstock(place, *(str(backup) if word == "BACKUP" else word for word in arguments), user=False)
        assert done.returncode == 4, (done.stdout, done.stderr)
        assert len(done.stderr.splitlines()) == 1 and "would lie in" in done.stderr and "PENSTOCK_TRUST=" in done.stderr
        assert sorted(place.rglob("*")) == before


def test_root_makes_no_emulator_s_state_in_a_user_s_folder():
    with place_of_both() as place:
        give_away(place)
        with pytest.raises(ConfigInvalid) as refused:
            lock(place / "state" / "here")
        assert refused.value.code == "not_trusted"
        assert list(place.iterdir()) == []
