"""A backup that is looked at from another folder says nothing of runs, and ends none of them."""

from __future__ import annotations

import pytest

from penstock.errors import RegistryError
from penstock.workspace import Workspace

SLOW = """\
apiVersion: penstock/v1
kind: Pipeline
name: slow
steps:
  wait: {command: [sleep, "1.5"]}
"""


def test_looking_at_a_copy_ends_no_run(workspace, project):
    (project / "slow.yaml").write_text(SLOW)
    workspace.pipelines.publish(project / "slow.yaml", endpoint="slow")
    run = workspace.submit("slow")
    (project / "elsewhere").mkdir()
    copy = workspace.admin.backup(project / "elsewhere" / "copy.db")
    with Workspace.open(project, flags={"registry": str(copy)}, actor="bo") as copied:
        assert [one.state for one in copied.runs.list().items] == [run.record.state]
        assert copied.admin.status().runs[run.record.state] == 1
        with pytest.raises(RegistryError, match="copied here without its state") as refused:
            copied.runs.wait(run.id, timeout=10)
        assert refused.value.code == "registry_copied"
        late = copied.submit("slow")
        assert late.state == "queued" and "copied here" in late.warnings[0]
    assert run.wait().state == "succeeded"
