"""Commands of other packages: listed without being imported, loaded on use, and harmless to everybody else."""

from __future__ import annotations

import sys

import pytest

COMMANDS = {
    "penstock.commands": {"tide": "tide_commands:tide", "ebb": "no_such_module:ebb", "flow": "tide_commands:NONE"}
}
SOURCE = """
import click

NONE = None

@click.command()
def tide():
    click.echo("high")
"""


@pytest.fixture
def tide(distribution):
    distribution("penstock-tide", COMMANDS, tide_commands=SOURCE)
    yield
    sys.modules.pop("tide_commands", None)


def test_a_foreign_command_is_listed_without_being_imported(tide, cli):
    text = cli("--help").ok().out
    assert "Commands of other packages:" in text
    assert "tide  from penstock-tide 1.0" in text
    assert "tide_commands" not in sys.modules


def test_a_foreign_command_runs(tide, cli):
    assert cli("tide").ok().out == "high\n"


def test_a_broken_one_hurts_only_whoever_uses_it(tide, cli):
    cli("schema").ok()
    broken = cli("ebb")
    assert broken.status in (4, 14) and broken.err.startswith("error: ") and len(broken.err.splitlines()) == 1
    assert "no click command" in cli("flow").refused(14).err


FRIDAY = """
import attrs, penstock
from penstock.errors import Conflict

@attrs.frozen
class Friday:
    @penstock.hookimpl(wrapper=True)
    def penstock_execute_verb(self, request):
        if request.verb.endswith("publish"):
            raise Conflict("nothing is published on a Friday")
        return (yield)
"""


def test_a_foreign_error_without_a_code_has_that_of_its_class(project, cli, distribution):
    distribution("penstock-friday", {"penstock.plugins": {"friday": "friday_hooks:Friday"}}, friday_hooks=FRIDAY)
    with (project / "penstock.yaml").open("a") as file:
        file.write("plugins: [friday]\n")
    error = cli("publish", "greet.yaml", "--json").refused(8).json["error"]
    assert error == {"code": "conflict", "message": "nothing is published on a Friday", "details": []}


def test_ours_win(distribution, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    distribution("penstock-thief", {"penstock.commands": {"init": "no_such_module:init"}})
    assert "Commands of other packages" not in cli("--help").ok().out
    assert cli("init").ok().out.startswith("wrote ")
