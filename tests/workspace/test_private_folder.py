"""The state folder is its user's alone: folders 0700, files 0600, and git does not see it."""

from __future__ import annotations

import stat

from penstock.workspace import Workspace


def test_everything_below_the_state_folder_is_private(project):
    with (project / "penstock.yaml").open("a") as file:
        file.write("plugins: [audit]\n")
    with Workspace.open(project, actor="ada") as workspace:
        workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
        run = workspace.submit("hello").wait()
        home = workspace.config.home
        assert (home / ".gitignore").read_text() == "*\n"
        # What steps write is theirs, below folders that are private.
        ours = [path for path in (home, *home.rglob("*")) if run.id not in path.parts]
        opened = [f"{path}: {oct(path.stat().st_mode)}" for path in ours if stat.S_IMODE(path.stat().st_mode) & 0o077]
        assert opened == []
