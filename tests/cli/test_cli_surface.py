"""What the command line offers: the commands and options that are promised, and the help that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from penstock.cli.root import COMMANDS, EPILOG, root

PROMISED = """
init
demo
status
validate --target
schema
publish --from --name --label --target --endpoint --default --yes
pipeline list --all --limit
pipeline show
pipeline disable --reason --cancel-runs
pipeline enable
pipeline delete
endpoint create
endpoint add-version --default
endpoint list --all --limit
endpoint show
endpoint history --at
endpoint rename
endpoint delete
endpoint set-default --expect --reason
endpoint rollback --expect --reason
endpoint access --public --private
endpoint deduplicate --window --off
endpoint disable --reason --cancel-runs
endpoint enable
submit -p --params --experiment --description --tag --idempotency-key --wait --yes
run list --all --limit
run show
run wait
run cancel
run logs --follow --timestamps
run outputs --download --name
run rerun -p --params
run clean --older-than --keep --dry-run
serve --host --port --tls-cert --tls-key --no-auth --no-azureml-v1 --no-dispatch
server show
emulate azureml --port --state --schemas
emulate vertex --port --grpc-port --state
dispatch
token create --scope --endpoint --expires
token list --all
token revoke
target list
target check
conformance --other --deep --seed --law --unsupported --markdown
plugin list
registry check
registry backup
registry restore
history --since --by --all --limit
""".strip().splitlines()

HELP = Path(__file__).with_name("help.txt")


def find(path: str) -> click.Command:
    command: click.Command = root
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, path
        command = found
    return command


def leaves(group: click.Group, path: str = ""):
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def options(command: click.Command) -> set[str]:
    return {word for one in command.params for word in one.opts}


@pytest.mark.parametrize("line", PROMISED)
def test_a_promised_command_has_its_options(line):
    path = " ".join(word for word in line.split() if not word.startswith("-"))
    assert {word for word in line.split() if word.startswith("-")} <= options(find(path))


def test_there_is_no_command_that_is_not_promised():
    promised = {" ".join(word for word in line.split() if not word.startswith("-")) for line in PROMISED}
    assert {path for path, _ in leaves(root)} == promised


def test_every_command_takes_json_and_quiet_and_says_what_it_does():
    for path, command in leaves(root):
        assert {"--json", "--quiet", "-q"} <= options(command), path
        assert command.help, path


def test_the_table_names_real_commands():
    for name in COMMANDS:
        assert find(name).name == name


def test_the_help_is_the_one_that_is_kept(cli):
    assert cli("--help").ok().out == HELP.read_text(), f"if the change is meant, write it to {HELP}"


def test_help_of_every_command_can_be_shown(cli):
    for path, _ in leaves(root):
        assert f"Usage: penstock {path}" in cli(*path.split(), "--help").ok().out


def test_readme_names_only_commands_that_exist():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name, sub in re.findall(r"^\s*(?:\$ )?penstock ([a-z]+)(?: ([a-z-]+))?", readme, re.MULTILINE):
        command = find(name)
        if isinstance(command, click.Group):
            assert command.get_command(click.Context(command), sub), f"penstock {name} {sub}"


def test_the_epilog_has_every_exit_status_of_the_error_tree():
    from penstock import errors

    numbers = {int(number) for number in re.findall(r"(\d+) [a-z]", EPILOG)}
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.PenstockError)]
    assert {one.exit_code for one in classes} <= numbers
