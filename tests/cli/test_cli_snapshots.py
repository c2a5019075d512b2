"""What people feed a snapshot, by the command line: it comes out as it lies there, or is refused in one line."""

from __future__ import annotations

import pytest

HEAD = "apiVersion: penstock/v1\nkind: Pipeline\nname: fed\n"


@pytest.fixture
def fed(project):
    """Write the spec of a case into the project, `fed.yaml`, from its steps and further keys."""

    def write(steps, **keys):
        lines = "".join(f"{key}: {value}\n" for key, value in keys.items())
        (project / "fed.yaml").write_text(f"{HEAD}{lines}steps: {steps}\n", encoding="utf-8")
        return project

    return write


@pytest.mark.parametrize("command", ["cat data/*.csv", "cat ~/x.csv", "wc -l part-?.txt", "cd src", "A=1 python a.py"])
def test_words_of_a_shell_are_refused_where_they_stand(fed, cli, command):
    fed(f'{{a: {{command: "{command}"}}}}')
    refused = cli("validate", "fed.yaml").refused(3)
    assert "fed.yaml:4:22: $.steps.a.command" in refused.err
    assert "[bash, -c, ...]" in refused.err
