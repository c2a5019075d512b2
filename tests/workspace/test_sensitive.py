"""Values of sensitive parameters: at the step byte for byte, at no door, and nowhere on disk once a run has ended."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.searching import holders

from penstock import hookimpl
from penstock.errors import Conflict, ParameterInvalid, RegistryError, TargetUnsupported
from penstock.registry import sensitive
from penstock.spec.values import json_text
from penstock.testing.strategies.text import hostile_text
from penstock.workspace import Workspace

PENSTOCK = Path(sys.executable).with_name("penstock")

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: secretive
parameters:
  token: {type: string, sensitive: true, maxLength: 30000}
  pin: {type: integer, sensitive: true, minimum: 0}
  rest: {type: object, sensitive: true}
  fate: {type: string, default: succeed}
  go: {type: string, default: ""}
steps:
  use:
    code: ./src
    command: [python3, use.py, "${{ parameters.fate }}", "${{ parameters.go }}", "${{ outputs.hash }}"]
    env: {TOKEN: "${{ parameters.token }}", PIN: "${{ parameters.pin }}", REST: "${{ parameters.rest }}"}
    outputs: {hash: string}
    retry: {attempts: 2}
outputs: {hash: "${{ steps.use.outputs.hash }}"}
"""

USE = """\
import hashlib, os, pathlib, sys, time
fate, go, out = sys.argv[1:]
values = [os.fsencode(os.environ[name]) for name in ("TOKEN", "PIN", "REST")]
for folder in (".", os.environ["TMPDIR"]):  # as a program does that wants its settings in a file
    for number, value in enumerate(values):
        pathlib.Path(folder, f"secret{number}").write_bytes(value)
os.mkdir("closed")
pathlib.Path("closed/secret").write_bytes(values[0])
os.chmod("closed", 0o500)
pathlib.Path(out).write_text(hashlib.sha256(b"\\n".join(values)).hexdigest())
if go:
    pathlib.Path(go + ".up").touch()
    while not os.path.exists(go):
        time.sleep(0.01)
sys.exit(fate == "fail")
"""


class Secret:
    """Values of all three parameters that no other file of the machine holds."""

    def __init__(self, around: str = "") -> None:
        self.mark = uuid.uuid4().hex
        self.pin = uuid.uuid4().int
        self.given = {"token": f"{around}{self.mark}{around}", "pin": self.pin, "rest": {"k": [self.mark, around]}}

    @property
    def hash(self) -> str:
        texts = (self.given["token"], str(self.pin), json_text(self.given["rest"]))
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def is_in(self, data: bytes) -> bool:
        return self.mark.encode() in data or str(self.pin).encode() in data

    def files(self, folder: Path) -> list[str]:
        """Every file below a folder that holds one of them."""
        return [str(path) for path in holders(folder, self.mark, str(self.pin))]


@pytest.fixture
def state(project) -> Path:
    """The state folder of a project that audits its verbs."""
    (project / "src").mkdir()
    (project / "src/use.py").write_text(USE)
    (project / "secretive.yaml").write_text(SPEC)
    with (project / "penstock.yaml").open("a") as config:
        config.write("plugins: [audit]\n")
    return project / ".penstock"


@pytest.fixture
def ws(state, project):
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("secretive.yaml", endpoint="secretive")
        yield opened


def until(condition, patience=30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waiting(ws, secret, tmp_path):
    """A run whose step is in the middle of it, and the file that lets it go on."""
    go = tmp_path / f"go-{secret.mark[:6]}"
    run = ws.submit("secretive", parameters={**secret.given, "go": str(go)})
    until(Path(f"{go}.up").exists)
    return run, go


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(around=hostile_text(), fate=st.sampled_from(["succeed", "fail", "cancel", "trial"]), key=st.booleans())
def test_nothing_of_a_value_is_left_when_its_run_has_ended(ws, state, tmp_path, around, fate, key) -> None:
    secret = Secret(around[:200])
    more = {"idempotency_key": secret.mark[:8]} if key else {}
    if fate == "cancel":
        run, _ = waiting(ws, secret, tmp_path)
        run.cancel()
    else:
        ref = "secretive.yaml" if fate == "trial" else "secretive"
        run = ws.submit(ref, parameters={**secret.given, "fate": fate}, **more)
    run.wait(check=False)
    assert run.record.state == {"fail": "failed", "cancel": "canceled"}.get(fate, "succeeded"), run.record.error
    if fate in ("succeed", "trial"):
        assert run.outputs["hash"] == secret.hash
    until(lambda: secret.files(state) == [])  # what it left is cleared away a moment after its end is told
    assert secret.files(tmp_path) == []
    assert {run.parameters[name] for name in ("token", "pin", "rest")} == {"***"}
    assert not secret.is_in(repr(run.record).encode())


def test_while_a_run_goes_on_only_private_files_hold_a_value(ws, state, tmp_path) -> None:
    secret = Secret()
    run, go = waiting(ws, secret, tmp_path)
    held = secret.files(state)
    assert held
    for path in held:
        assert "/environments/" in path or "/work/" in path or "/tmp/" in path, path
        parents = [parent for parent in Path(path).parents if parent.is_relative_to(state)]
        assert any(parent.stat().st_mode & 0o077 == 0 for parent in parents)
    assert sensitive.left(state) == []  # the target has them
    go.touch()
    assert run.wait().outputs["hash"] == secret.hash
    assert secret.files(state) == []


@pytest.fixture
def kept(far, project, state):
    """A workspace on the target `there`, which keeps secrets, takes what it is given, and may be away."""

    def penstock_keep_secrets(target):
        return target.name == "there"

    far.penstock_keep_secrets = hookimpl(penstock_keep_secrets)
    (project / "penstock.yaml").write_text(
        "target: there\ntargets: {there: {backend: far}, open: {backend: far}}\nplugins: [audit]\n"
    )
    with Workspace.open(project, actor="ada") as opened:
        opened.publish("secretive.yaml", endpoint="secretive")
        yield opened


def test_a_target_that_keeps_no_secrets_refuses_at_publish(kept, far, project) -> None:
    for publish in (
        lambda: kept.publish("secretive.yaml", target="open"),
        lambda: kept.pipelines.validate("secretive.yaml", target="open"),
        lambda: kept.pipelines.publish_from("secretive", target="open"),
        lambda: kept.submit("secretive.yaml", target="open", parameters=Secret().given),
    ):
        with pytest.raises(TargetUnsupported) as refused:
            publish()
        assert {(one.code, one.path) for one in refused.value.details} == {
            ("sensitive_unsupported", ("parameters", name, "sensitive")) for name in ("token", "pin", "rest")
        }
    del far.penstock_keep_secrets
    with Workspace.open(project, actor="ada") as later, pytest.raises(TargetUnsupported):
        later.publish("secretive.yaml")


@pytest.mark.parametrize("ending", ["cancel", "gate", "force", "refused"])
def test_a_run_that_was_never_handed_over_leaves_nothing(kept, far, state, ending) -> None:
    far.away.add("there")
    secret = Secret("ä\n")
    run = kept.submit("secretive", parameters=secret.given)
    (held,) = secret.files(state)
    assert held == str(state / "sensitive" / run.id)
    assert Path(held).stat().st_mode & 0o777 == 0o600
    assert (state / "sensitive").stat().st_mode & 0o777 == 0o700
    if ending == "cancel":
        kept.runs.cancel(run.id, force=True)
    elif ending == "gate":
        kept.endpoints.disable("secretive", cancel_runs=True)
        kept.runs.cancel(run.id, force=True)
    elif ending == "force":
        kept.runs.cancel(run.id, force=True)
    else:
        far.away.clear()
        far.refusing.add("there")
        with kept.services.registry.write() as tx:
            tx.run("DELETE FROM breakers")
        kept.services.outbox.hand_over(run.id, "there")
    assert kept.runs.get(run.id).finished
    assert secret.files(state) == []
    assert sensitive.left(state) == []


def test_a_value_that_is_lost_ends_its_run_and_nothing_runs_without_it(kept, far, state) -> None:
    far.away.add("there")
    run = kept.submit("secretive", parameters=Secret().given)
    shutil.rmtree(state / "sensitive")
    far.away.clear()
    with kept.services.registry.write() as tx:
        tx.run("DELETE FROM breakers")
    kept.services.outbox.hand_over(run.id, "there")
    ended = kept.runs.get(run.id)
    assert (ended.state, ended.error.code) == ("failed", "sensitive_lost")
    assert far.jobs == {}


def test_what_a_killed_process_left_is_swept_and_what_is_needed_stays(kept, far, state, project) -> None:
    far.away.add("there")
    secret, lost = Secret(), Secret()
    run = kept.submit("secretive", parameters=secret.given)
    sensitive.keep(state, str(uuid.uuid4()), {"token": lost.mark})  # killed before its run was accepted
    (state / "sensitive" / ".draft").write_text(lost.mark)
    with Workspace.open(project, actor="bo") as later:
        later.runs.get(run.id)
    assert lost.files(state) == []
    assert sensitive.left(state) == [run.id]


def test_a_refused_trigger_leaves_nothing(kept, state, monkeypatch) -> None:
    secret = Secret()

    def full(home, run, texts):
        keep(home, run, texts)
        raise RegistryError("the disk is full", code="registry_disk_full")

    keep = sensitive.keep
    monkeypatch.setattr(sensitive, "keep", full)
    with pytest.raises(RegistryError):
        kept.submit("secretive", parameters=secret.given)
    assert kept.runs.list().items == ()
    assert secret.files(state) == []


def test_the_same_request_is_known_again_by_a_keyed_hash(ws, state) -> None:
    secret = Secret()
    first = ws.submit("secretive", parameters=secret.given, idempotency_key="k").wait()
    assert ws.submit("secretive", parameters=secret.given, idempotency_key="k").id == first.id
    with pytest.raises(Conflict) as other:
        ws.submit("secretive", parameters={**secret.given, "pin": secret.pin + 1}, idempotency_key="k")
    assert other.value.code == "idempotency_conflict"
    key = state / "sensitive.key"
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    plain = {hashlib.sha256(text.encode()).hexdigest() for text in (secret.given["token"], str(secret.pin))}
    with ws.services.registry._database.read() as tx:
        asked = tx.need("SELECT fingerprint FROM requests")["fingerprint"]
    assert not any(text in asked for text in plain)
    again = ws.submit("secretive", parameters=secret.given, idempotency_key="l").wait()
    with ws.services.registry._database.read() as tx:
        one, two = (json.loads(row["fingerprint"]) for row in tx.all("SELECT fingerprint FROM requests"))
    assert again.id != first.id
    assert all(one["parameters"][name] != two["parameters"][name] for name in ("token", "pin", "rest"))


def test_many_processes_make_one_key(tmp_path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(sensitive.keyed_hash(tmp_path, "a"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert os.listdir(tmp_path) == ["sensitive.key"]


def test_a_rerun_asks_for_them_again(ws, state) -> None:
    secret = Secret()
    first = ws.submit("secretive", parameters=secret.given).wait()
    with pytest.raises(ParameterInvalid) as missing:
        first.rerun()
    assert {(one.code, one.path) for one in missing.value.details} == {
        ("sensitive_missing", (name,)) for name in ("token", "pin", "rest")
    }
    with pytest.raises(ParameterInvalid) as fixed:
        first.rerun(parameters={**secret.given, "fate": "fail"})
    assert [(one.code, one.path) for one in fixed.value.details] == [("parameter_fixed", ("fate",))]
    with pytest.raises(ParameterInvalid) as unknown:
        first.rerun(parameters={**secret.given, "fat": "x"})
    assert [one.code for one in unknown.value.details] == ["parameter_unknown"]
    other = Secret()
    again = first.rerun(parameters=other.given).wait()
    assert again.outputs["hash"] == other.hash
    assert secret.files(state) == other.files(state) == []


def test_a_rerun_asks_for_an_optional_one_that_had_a_value(project) -> None:
    (project / "secretive.yaml").write_text(
        "{apiVersion: penstock/v1, kind: Pipeline, name: p, "
        "parameters: {token: {type: string, sensitive: true, default: null}}, "
        'steps: {a: {command: [sh, -c, \'printf "%s" "${T-unset}" >"$1"\', sh, "${{ outputs.it }}"], '
        'env: {T: "${{ parameters.token }}"}, outputs: {it: string}}}, outputs: {it: "${{ steps.a.outputs.it }}"}}'
    )
    with Workspace.open() as ws:
        without = ws.submit("secretive.yaml").wait()
        assert (without.parameters, without.outputs["it"]) == ({"token": None}, "unset")
        assert without.rerun().wait().outputs["it"] == "unset"
        given = ws.submit("secretive.yaml", parameters={"token": "x"}).wait()
        assert (given.parameters, given.outputs["it"]) == ({"token": "***"}, "x")
        with pytest.raises(ParameterInvalid) as missing:
            given.rerun()
        assert [(one.code, one.path) for one in missing.value.details] == [("sensitive_missing", ("token",))]
        assert given.rerun(parameters={"token": "y"}).wait().outputs["it"] == "y"
        assert given.rerun(parameters={"token": None}).wait().outputs["it"] == "unset"


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": 5_000_111_222, "pin": "{mark}", "rest": "{mark}"},
        {"token": "{mark}" * 1000, "pin": -5_000_111_222, "rest": ["{mark}"]},
        {"token": "{mark}\0", "pin": 5_000_111_222.5, "rest": {"a": float("nan"), "b": "{mark}"}},
        {"token": "\ud800{mark}", "pin": True, "rest": {5_000_111_222: "{mark}"}},
    ],
)
def test_no_refusal_shows_a_value(ws, wrong) -> None:
    secret = Secret()

    def filled(value):
        return value.replace("{mark}", secret.mark) if isinstance(value, str) else value

    with pytest.raises(ParameterInvalid) as refused:
        ws.submit("secretive", parameters={name: filled(value) for name, value in wrong.items()})
    said = f"{refused.value} {refused.value.details}"
    assert {one.path for one in refused.value.details} == {("token",), ("pin",), ("rest",)}
    assert secret.mark not in said
    assert "5000111222" not in said


@pytest.mark.thorough
def test_nothing_that_the_command_line_prints_shows_a_value(ws, state, project) -> None:
    secret = Secret()
    given = [
        f"-p{name}={value if isinstance(value, str) else json_text(value)}" for name, value in secret.given.items()
    ]
    printed: list[bytes] = []

    def penstock(*words: str, status: int = 0) -> str:
        done = subprocess.run([PENSTOCK, *words], cwd=project, capture_output=True, timeout=60)
        printed.extend((done.stdout, done.stderr))
        assert done.returncode == status, done.stderr
        return done.stdout.decode()

    run = penstock("submit", "secretive", *given, "-q").strip()
    penstock("run", "wait", run)
    for words in (["run", "show", run], ["run", "list"], ["run", "logs", run], ["run", "outputs", run], ["history"]):
        penstock(*words)
        penstock(*words, "--json")
    assert '"token": "***"' in penstock("run", "show", run, "--json")
    assert "sensitive_missing" in penstock("run", "rerun", run, "--json", status=5)
    penstock("run", "rerun", run, *given, "--wait")
    (project / "values.yaml").write_text(json.dumps(secret.given))
    penstock("run", "rerun", run, "--params", "values.yaml", "--wait", "--json")
    penstock("submit", "secretive", *given[:2], "-prest=" + secret.mark, status=5)
    penstock("submit", "secretive", *given, "-pfate=fail", "--wait", status=1)
    assert not secret.is_in(b"".join(printed))
    assert secret.files(state) == []
    assert (state / "audit.jsonl").read_text().count("run.submit") == 3
