"""The demo, played for real: what it prints is what the registry and the model say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock import codec
from penstock.workspace import Workspace

pytestmark = pytest.mark.thorough


@pytest.fixture
def runs(played):
    """The runs that the demo submitted, oldest first."""
    folder, _ = played
    with Workspace.open(folder / "penstock-demo") as workspace:
        return tuple(reversed(workspace.runs.list().items))


def test_it_succeeds_and_writes_plain_text(played):
    folder, done = played
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert not (folder / "elsewhere.db").exists()


def test_the_runs_are_those_of_the_story(runs):
    assert [(run.version, run.resolved_from) for run in runs] == [
        ("0", "default"),
        ("1", "pinned"),
        ("1", "pinned"),
        ("1", "default"),
        ("0", "default"),
    ]
    assert {run.state for run in runs} == {"succeeded"}
    assert [run.parameters["estimator"] for run in runs] == ["tree", "forest", "forest", "forest", "tree"]
    assert [(run.parameters["max_depth"], run.parameters["trees"]) for run in runs] == [
        (8, 60),
        (8, 60),
        (5, 20),
        (8, 60),
        (8, 60),
    ]


def test_the_table_shows_what_the_runs_scored(played, runs):
    _, done = played
    for run in runs:
        row = next(line for line in done.stdout.splitlines() if line.startswith(run.id[:8]))
        assert re.split(r"\s{2,}", row) == [
            run.id[:8],
            f"digits@{run.version}",
            run.resolved_from,
            *(str(run.parameters[name]) for name in ("estimator", "max_depth", "trees")),
            "succeeded",
            f"{run.outputs['accuracy']:.2f}",
        ]


def test_the_accuracies_are_those_of_the_pictures_and_plausible(runs):
    tree, forest, shallow, again, back = (run.outputs["accuracy"] for run in runs)
    assert 0.8 < tree < shallow < forest <= 1
    assert (forest, tree) == (again, back), "the same version and parameters score the same"


def test_the_pictures_are_real(played, runs):
    from matplotlib.image import imread

    folder, done = played
    pictures = [Path(run.outputs["confusion_matrix"]) for run in runs]
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert len({tuple(pixel) for row in imread(picture) for pixel in row}) > 10
    assert str(pictures[-1].relative_to(folder)) in done.stdout


def test_the_refusal_is_shown_as_it_is(played):
    folder, done = played
    lines = done.stdout.splitlines()
    refused = lines[lines.index("$ penstock endpoint disable digits --reason 'the scanner was dirty'") + 3]
    assert "by ada" in refused and "the scanner was dirty" in refused
    with Workspace.open(folder / "penstock-demo") as workspace:
        history = workspace.endpoints.history("digits").items
    closed = [record for record in history if record.reason == "the scanner was dirty"]
    assert len(closed) == 1
    assert closed[0].by == "ada"


def test_it_ends_where_it_began(played):
    folder, _ = played
    with Workspace.open(folder / "penstock-demo") as workspace:
        endpoint = workspace.endpoints.get("digits")
    assert (endpoint.default, endpoint.enabled) == ("0", True)
    assert [version.version for version in endpoint.versions] == ["0", "1"]


def test_it_can_be_played_again_and_a_run_that_ends_badly_is_its_exit_status(played, shell_environment, answered):
    folder, _ = played
    with Workspace.open(folder / "penstock-demo") as workspace:
        workspace.endpoints.set_default("digits", "1")
        workspace.endpoints.disable("digits@1")
        workspace.endpoints.disable("digits")
        before = {run.id for run in workspace.runs.list().items}
        again = subprocess.Popen(
            ["penstock", "demo", "--json"], cwd=folder, env=shell_environment, stdout=subprocess.PIPE
        )
        with again:
            new: set[str] = set()
            while len(new) < 5 and again.poll() is None:
                new = {run.id for run in workspace.runs.list().items} - before
                time.sleep(0.05)
            for run_id in new:
                workspace.runs.cancel(run_id, reason="seen enough")
            printed, _ = again.communicate(timeout=300)
    document = json.loads(printed)
    answered("demo", document)
    assert again.returncode == 1
    assert document["folder"] == str(folder / "penstock-demo")
    assert [act["refused"] for act in document["acts"] if act["refused"]] == ["endpoint_disabled"]
    assert [run["version"] for run in document["runs"]] == ["0", "1", "1", "1", "0"]
    assert {run["id"] for run in document["runs"]} == new
    assert "canceled" in {run["state"] for run in document["runs"]}
    assert document["picture"] == document["runs"][-1]["outputs"].get("confusion_matrix")


def test_the_shown_commands_exist(played):
    from penstock.cli.root import root
    from penstock.cli.session import Session

    _, done = played
    shown = [line.removeprefix("$ penstock ") for line in done.stdout.splitlines() if line.startswith("$ ")]
    assert len(shown) == 12
    with root.make_context("penstock", ["status"], obj=Session()) as context:
        for command in shown:
            name, *rest = command.split()
            found = root.get_command(context, name)
            assert found is not None
            if hasattr(found, "commands"):
                assert rest[0] in found.commands


def test_a_changed_file_is_never_written_over(played, shell_environment):
    folder, _ = played
    changed = folder / "penstock-demo" / "pipeline.yaml"
    before = changed.read_text()
    try:
        changed.write_text(before + "# mine\n")
        done = subprocess.run(
            ["penstock", "demo", "--json"], cwd=folder, env=shell_environment, capture_output=True, text=True
        )
        assert changed.read_text() == before + "# mine\n"
    finally:
        changed.write_text(before)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "file_exists"
    assert "pipeline.yaml" in error["message"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, shell_environment):
    (tmp_path / "file").write_text("")
    command = ["penstock", "demo", "--folder", "file/below"]
    done = subprocess.run(command, cwd=tmp_path, env=shell_environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "file/below" in done.stderr


def test_without_the_extra_it_says_what_to_install_and_writes_nothing(tmp_path, shell_environment):
    # None among the loaded modules is how Python itself marks what cannot be imported.
    without = (
        "import sys; sys.modules['sklearn'] = None; from penstock.cli import main; sys.exit(main(['demo', '--json']))"
    )
    command = [sys.executable, "-c", without]
    done = subprocess.run(command, cwd=tmp_path, env=shell_environment, capture_output=True, text=True)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (4, "extra_missing")
    assert "sklearn" in error["message"] and "pip install 'penstock[demo]'" in error["message"]
    assert list(tmp_path.iterdir()) == []


def test_the_demo_is_made_of_the_example():
    from penstock.cli.demo_acts import FILES, source

    folder = source()
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.suffix in (".py", ".yaml")}
    assert found == set(FILES)


def test_what_is_copied_names_no_schema_that_is_not_there(tmp_path):
    from penstock.cli.demo_acts import lay_out

    lay_out(tmp_path)
    lay_out(tmp_path)  # which finds its own files
    for file in tmp_path.glob("*.yaml"):
        assert "$schema" not in file.read_text()
    assert codec.load_pipeline(tmp_path / "pipeline.yaml").name == "digits"
