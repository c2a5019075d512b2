"""A backup that is looked at from another folder says nothing of runs, ends none of them, and takes nothing."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from penstock import workspace as rooms
from penstock.errors import RegistryError
from penstock.workspace import Workspace

SLOW = """\
apiVersion: penstock/v1
kind: Pipeline
name: slow
steps:
  wait: {command: [sleep, "1.5"]}
"""

LOOKS = {"pipeline.validate", "registry.backup", "registry.check", "target.check", "token.list"}
"""Verbs that change nothing although a caller needs more than the scope `read` for them."""

REPLACES = {"registry.restore"}
"""Verbs that decide nothing in a registry, but put another in its place."""


@pytest.fixture
def origin(workspace, project):
    (project / "slow.yaml").write_text(SLOW)
    workspace.pipelines.publish(project / "slow.yaml", endpoint="slow")
    workspace.pipelines.publish(project / "slow.yaml", name="other")
    return workspace


@pytest.fixture
def copied(origin, project):
    def copied() -> Workspace:
        (project / "elsewhere").mkdir()
        copy = origin.admin.backup(project / "elsewhere" / "copy.db")
        return Workspace.open(project, flags={"registry": str(copy)}, actor="bo")

    return copied


def test_looking_at_a_copy_ends_no_run(origin, copied):
    run = origin.submit("slow")
    with copied() as copy:
        assert [one.state for one in copy.runs.list().items] == [run.record.state]
        assert copy.admin.status().runs[run.record.state] == 1
        with pytest.raises(RegistryError, match="copied here without its state") as refused:
            copy.runs.wait(run.id, timeout=10)
        assert refused.value.code == "registry_copied"
    assert run.wait().state == "succeeded"


@pytest.fixture
def linked(origin, project, tmp_path_factory):
    def linked() -> Workspace:
        place = tmp_path_factory.mktemp("links") / "copy"
        subprocess.run(["cp", "-al", project, place], check=True)
        return Workspace.open(place, actor="bo")

    return linked


@pytest.mark.parametrize(("how", "code"), [("copied", "registry_copied"), ("linked", "registry_linked")])
def test_nothing_is_decided_in_a_copy(origin, how, code, request, project):
    copied = request.getfixturevalue(how)
    run = origin.submit("slow", idempotency_key="once").id
    trial = origin.submit(project / "slow.yaml").id
    origin.endpoints.add_version("slow", "other:1")
    origin.endpoints.set_default("slow", "1")
    origin.tokens.create("cron", scope="submit")
    sources = (file.read_text() for file in Path(rooms.__path__[0]).glob("*.py"))
    verbs = dict(re.findall(r'@verb\("(.+?)", "(\w+)"', "".join(sources)))
    with copied() as copy:
        asked = []
        inner = copy._services.plugins.execute_verb
        copy._services.plugins.wrap_verbs = True
        copy._services.plugins.execute_verb = lambda request, do: asked.append(request.verb) or inner(request, do)
        before = dump(copy)
        pipelines, endpoints, runs, tokens = copy.pipelines, copy.endpoints, copy.runs, copy.tokens
        for change in (
            lambda: pipelines.publish(project / "slow.yaml", label="9"),
            lambda: pipelines.publish_from("slow:1", name="new"),
            lambda: pipelines.disable("slow:1"),
            lambda: pipelines.enable("slow:1"),
            lambda: pipelines.delete("other:1"),
            lambda: endpoints.create("new", "slow:1"),
            lambda: endpoints.add_version("slow", "slow:1"),
            lambda: endpoints.set_default("slow", "0"),
            lambda: endpoints.rollback("slow"),
            lambda: endpoints.update("slow", description="new"),
            lambda: endpoints.disable("slow"),
            lambda: endpoints.enable("slow"),
            lambda: endpoints.access("slow", "public"),
            lambda: endpoints.deduplicate("slow", 60),
            lambda: endpoints.rename("slow", "new"),
            lambda: endpoints.delete("slow"),
            lambda: runs.submit("slow"),
            lambda: runs.submit("slow", idempotency_key="twice"),
            lambda: runs.submit(project / "slow.yaml"),
            lambda: runs.rerun(run),
            lambda: runs.rerun(trial),
            lambda: runs.cancel(run),
            lambda: runs.clean(),
            lambda: tokens.create("new", scope="read"),
            lambda: tokens.revoke("cron"),
        ):
            with pytest.raises(RegistryError) as refused:
                change()
            assert refused.value.code == code, (asked[-1], str(refused.value))
            assert "\n" not in str(refused.value)
        assert set(asked) == {name for name, scope in verbs.items() if scope != "read"} - LOOKS - REPLACES
        assert runs.submit("slow", idempotency_key="once").replayed
        assert [one.name for one in tokens.list()] == ["cron"]
        assert copy.admin.check().ok
        assert dump(copy) == before
        assert not (project / "elsewhere" / ".penstock").exists()


def test_a_copy_takes_what_it_is_given_once_it_is_back_in_its_place(origin, copied, project):
    with copied() as copy:
        file = copy._services.config.registry.value
    origin.close()  # else its log lies where the copy goes
    file.parent.rename(project / "away")
    (project / ".penstock").rename(project / "away" / ".penstock")
    (project / "away" / "copy.db").rename(project / "away" / ".penstock" / "registry.db")
    with Workspace.open(project, flags={"registry": str(project / "away" / ".penstock" / "registry.db")}) as back:
        assert back.endpoints.disable("slow").changed


def dump(copy: Workspace) -> list[str]:
    with closing(sqlite3.connect(copy._services.config.registry.value)) as connection:
        return list(connection.iterdump())
