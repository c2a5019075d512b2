"""What people feed a snapshot, by the command line: it comes out as it lies there, or is refused in one line."""

from __future__ import annotations

import os
import re
import venv

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


def _tree(folder, **files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_an_empty_folder_is_there_for_the_program(fed, cli):
    folder = fed("{write: {command: python a.py}}", defaults="{code: ./src}")
    _tree(folder, **{"src/a.py": "open('logs/deep/a.log', 'w').write('x')\n"})
    (folder / "src/logs/deep").mkdir(parents=True)
    cli("submit", "fed.yaml", "--wait").ok()


def test_data_travels_whole_whatever_is_ignored_in_it(fed, cli):
    folder = fed(
        '{list: {inputs: {data: "${{ parameters.data }}"}, command: "ls -AR ${{ inputs.data }}"}}',
        parameters="{data: {type: directory, default: ./data}}",
    )
    _tree(folder, **{".gitignore": "*\n", "data/.gitignore": "/a.csv\n", "data/a.csv": "1\n", "data/a.csv.dvc": "x\n"})
    _tree(folder, **{"data/__pycache__/b": "x", "data/node_modules/c": "x", "data/.git/d": "x"})
    (folder / "data/monday").mkdir()
    assert "  ./data: 5 files, 13 bytes; left out: .git/\n" in cli("validate", "fed.yaml").ok().out
    run = cli("submit", "fed.yaml", "--wait", "--json").ok().json["id"]
    listed = cli("run", "logs", run, "list").ok().out.split()
    assert {"a.csv", "a.csv.dvc", ".gitignore", "b", "c", "monday"} <= set(listed) and "d" not in listed


def test_rules_beside_the_spec_hold_for_the_code_below_it(fed, cli):
    folder = fed('{list: {command: "ls -A ."}}', defaults="{code: ./src}")
    _tree(
        folder, **{".gitignore": "cache/\n*.ckpt\n.env\n", "src/a.py": "print(1)\n", "src/sub/.gitignore": "!m.ckpt\n"}
    )
    _tree(folder, **{"src/.env": "TOKEN=1\n", "src/cache/x": "x", "src/m.ckpt": "x", "src/sub/m.ckpt": "x"})
    for command in ("validate", "publish"):
        told = cli(command, "fed.yaml").ok().out
        assert "  ./src: 3 files, 18 bytes; left out: .env, cache/, m.ckpt\n" in told
    trial = cli("submit", "fed.yaml").ok().out
    assert "  ./src: 3 files, 18 bytes; left out: .env, cache/, m.ckpt\n" in trial
    (bundled,) = cli("submit", "fed.yaml", "--json").ok().json["bundled"]
    assert (bundled["path"], bundled["left_out"]) == ("./src", [".env", "cache/", "m.ckpt"])
    assert cli("submit", "fed:1", "--json").ok().json["bundled"] == []
    run = cli("submit", "fed.yaml", "--wait", "--json").ok().json["id"]
    assert cli("run", "logs", run, "list").ok().out.split() == ["a.py", "sub"]


@pytest.mark.parametrize("name", [".venv", "venv", "my env"])
def test_an_environment_in_the_code_folder_is_left_out_and_told(fed, cli, name):
    folder = fed("{say: {command: python a.py}}", defaults="{code: .}")
    venv.create(folder / name, symlinks=True)
    (folder / name / ".gitignore").unlink(missing_ok=True)
    _tree(folder, **{"a.py": "print(1)\n", "web/node_modules/x/y.js": "x", "lint/CACHEDIR.TAG": "Signature: 8a477f59"})
    (found,) = cli("validate", "fed.yaml", "--json").ok().json["files"]
    (bundled,) = found["bundled"]
    assert bundled["left_out"] == sorted([f"{name}/", "lint/", "web/node_modules/"])
    assert bundled["files"] == 4
    everything = ", ".join([".penstock/", *bundled["left_out"]])  # what is penstock's own is there by now
    assert f"left out: {everything}\n" in cli("publish", "fed.yaml").ok().out


@pytest.mark.parametrize("name", ["mu\u0308ller.csv", "m\u00fcller.csv"])
def test_a_file_is_where_its_argument_says_byte_for_byte(fed, cli, name):
    folder = fed(
        '{read: {inputs: {table: "${{ parameters.table }}", all: "${{ parameters.all }}"}, '
        f'command: [cat, "${{{{ inputs.table }}}}", "${{{{ inputs.all }}}}/{name}", "{name}"]}}}}',
        parameters=f'{{table: {{type: file, default: "./{name}"}}, all: {{type: directory, default: ./all}}}}',
        defaults="{code: ./src}",
    )
    _tree(folder, **{name: "1,2\n", f"all/{name}": "3,4\n", f"src/{name}": "5,6\n"})
    run = cli("submit", "fed.yaml", "--wait", "--json").ok().json["id"]
    assert cli("run", "logs", run, "read").ok().out == "1,2\n3,4\n5,6\n"


def test_an_output_with_an_ending_of_its_own_is_named(fed, cli):
    script = "import sys; open(sys.argv[1] + '.npy', 'w').write('x')"
    fed(f'{{save: {{command: [python, -c, "{script}", "${{{{ outputs.table }}}}"], outputs: {{table: file}}}}}}')
    failed = cli("submit", "fed.yaml", "--wait").refused(1)
    assert "the output `table` was not written; the step wrote `table.npy` beside it" in failed.err


@pytest.fixture
def large(fed, monkeypatch):
    folder = fed("{say: {command: python a.py}}", defaults="{code: ./src}")
    _tree(folder, **{"src/a.py": "print(1)\n", "src/big.bin": "x" * 1000})
    monkeypatch.setattr("penstock.workspace.publishing.MOST_CODE", 1000)
    return folder


@pytest.mark.parametrize("command", ["publish", "submit"])
def test_much_code_is_refused_until_somebody_says_that_it_is_meant(large, cli, command):
    assert "1.0 kB of code; publish asks" in cli("validate", "fed.yaml").ok().err
    refused = cli(command, "fed.yaml").refused(3)
    assert "fed.yaml:4:18: $.defaults.code: 1.0 kB of code would travel, more than 1.0 kB" in refused.err
    assert "`big.bin` with 1.0 kB" in refused.err
    assert "--yes" in refused.err
    cli(command, "fed.yaml", "--yes").ok()
    _tree(large, **{".gitignore": "*.bin\n"})
    cli(command, "fed.yaml").ok()


@pytest.mark.thorough
def test_who_sits_at_a_terminal_is_asked(large, start):
    with (large / "src/big.bin").open("wb") as file:
        file.truncate(100_000_000)
    for answer, status in ((b"n\n", 3), (b"y\n", 0)):
        ours, theirs = os.openpty()
        asked = start("publish", "fed.yaml", stdin=theirs, stderr=theirs)
        os.close(theirs)
        os.write(ours, answer)
        assert asked.wait() == status
        os.close(ours)


def test_an_endpoint_has_one_name_in_whichever_form_it_is_written(project, cli):
    composed, decomposed = "m\u00fcller", "mu\u0308ller"
    cli("publish", "greet.yaml", "--endpoint", decomposed).ok()
    assert cli("endpoint", "list", "--json").json["items"][0]["name"] == composed
    for name in (composed, decomposed):
        cli("endpoint", "show", name).ok()
        cli("publish", "greet.yaml", "--endpoint", name).ok()
        assert cli("submit", name, "--json").ok().json["endpoint"] == composed
        assert cli("submit", f"{name}@0", "--idempotency-key", "k", "--json").ok().json["endpoint"] == composed
    cli("endpoint", "create", decomposed, "greet:1").refused(8)


def test_a_parameter_without_a_value_leaves_nothing_from_any_door(fed, cli, workspace):
    folder = fed(
        '{say: {inputs: {table: "${{ parameters.table }}"}, '
        'command: \'sh -c "env | grep ^FOLDS; echo \\"\\$@\\"" sh --verbose '
        '--folds ${{ parameters.folds }} --in=${{ inputs.table }} last\', env: {FOLDS: "${{ parameters.folds }}"}}}',
        parameters="{folds: {type: integer, minimum: 2, default: null}, table: {type: file, default: null}}",
    )
    cli("publish", "fed.yaml", "--endpoint", "fed").ok()
    shown = cli("endpoint", "show", "fed").ok().out
    assert re.search(r"folds +integer +\(none\)", shown) and "'{}'" in shown
    (folder / "none.yaml").write_text("folds: null\ntable: ~\n")
    (folder / "some.yaml").write_text("folds: 3\n")

    def said(run):
        return cli("run", "logs", run).ok().out

    for ref in ("fed", "fed.yaml"):
        for params in ((), ("--params", "none.yaml")):
            run = cli("submit", ref, *params, "--wait", "--json").ok().json
            assert (said(run["id"]), run["parameters"]) == ("--verbose last\n", {"folds": None, "table": None})
    assert re.search(r"folds +\(none\)", cli("run", "show", run["id"]).ok().out)
    again = cli("run", "rerun", run["id"], "--wait", "--json").ok().json
    assert said(again["id"]) == "--verbose last\n"
    given = cli("submit", "fed", "--params", "some.yaml", "-p", "table=some.yaml", "--wait", "--json").ok().json
    assert said(given["id"]) == f"FOLDS=3\n--verbose --folds 3 --in={folder}/some.yaml last\n"
    assert "1 is less than the minimum 2" in cli("submit", "fed", "-p", "folds=1").refused(5).err
    assert said(workspace.submit("fed", parameters={"folds": None}).wait().id) == "--verbose last\n"


@pytest.mark.parametrize("what", ["code", "data"])
def test_a_registry_and_a_root_beside_the_spec_stay_at_home(fed, cli, what):
    data = {"parameters": "{d: {type: directory, default: .}}"} if what == "data" else {}
    given = (
        'inputs: {d: "${{ parameters.d }}"}, command: "ls -A ${{ inputs.d }}"' if data else 'command: "ls -A", code: .'
    )
    folder = fed(f"{{list: {{{given}}}}}", **data)
    config = "registry: reg.db\ntarget: here\ntargets:\n  here: {backend: local, root: ./runs}\n"
    (folder / "penstock.yaml").write_text(config)
    cli("publish", "fed.yaml", "--endpoint", "fed").ok()
    run = cli("submit", "fed", "--wait", "--json").ok().json
    listed = cli("run", "logs", run["id"]).ok().out.split()
    assert "fed.yaml" in listed and not {"runs", "reg.db", "reg.db-wal", "reg.db-shm"} & {*listed}
    assert (folder / "runs/wake").is_fifo() and (folder / "reg.db").is_file()
    again = cli("publish", "fed.yaml", "--endpoint", "fed").ok().out
    assert "already published" in again
    assert re.search(r"left out: .*reg\.db.*runs/", again + cli("validate", "fed.yaml").ok().out)
