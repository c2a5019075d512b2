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


def test_a_name_as_long_as_its_files_may_be_runs_and_a_longer_one_is_refused(fed, cli):
    name = "s" * 251
    fed(f"{{{name}: {{command: [echo, kept]}}}}")
    run = cli("submit", "fed.yaml", "--wait", "--json").ok().json
    assert cli("run", "logs", run["id"], name).ok().out == "kept\n"
    fed(f"{{{name}sss: {{command: [echo, kept]}}}}")
    assert "254 bytes long; at most 251" in cli("validate", "fed.yaml").refused(3).err


def test_values_that_no_argument_holds_together_are_refused_before_anything_runs(fed, cli):
    fed(
        '{a: {inputs: {x: "${{ parameters.x }}"}, '
        'command: [echo, "${{ inputs.x }},${{ inputs.x }},${{ parameters.y }}"]}}',
        parameters="{x: {type: string}, y: {type: string, default: y}}",
    )
    refused = cli("submit", "fed.yaml", "-p", "x=" + "x" * 65_536).refused(5)
    assert "x: with it, argument 1 of step `a` is 131,075 bytes; at most 131,071" in refused.err
    assert cli("run", "list", "-q").out == ""
    cli("submit", "fed.yaml", "-p", "x=" + "x" * 65_534, "--wait").ok()


@pytest.mark.parametrize(
    "more", [("--description", "x" * 65_537), ("--tag", "a=" + "x" * 4097), ("--tag", "x" * 256 + "=a")]
)
def test_notes_that_are_too_long_are_refused(project, cli, more):
    assert "bytes long; at most" in cli("submit", "greet.yaml", *more).refused(2).err
