"""Laws 11 and 13 for what a run made and somebody downloads: every byte of it, and nothing else of the target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penstock.contract.artifacts import ArtifactType
from penstock.contract.run import RunRef
from penstock.errors import PenstockError
from penstock.spec import Defaults, Parameter, Pipeline, Step, Type
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.helpers.directly import is_over, put, start, until
from penstock.testing.helpers.nowhere import Nowhere
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import LawBroken, require, same
from penstock.testing.probes.pipelines import probe
from penstock.testing.probes.probe import FILES
from penstock.testing.strategies.runnable import SHEET, TRAVELLING, lay_out

_TEXT = "é\r\n"


@check(11, needs=("penstock_fetch_artifact",))
def artifacts_are_downloaded(harness: Harness) -> str | None:
    """Do the files and folders that a run made come out of both targets with every byte, into a folder of their own?"""
    lay_out(harness.spec_folder)
    pipeline = _made(harness.subject.python)
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        for target in (harness.subject.target, harness.subject.other):
            if not ws.services.targets.open(target).has("penstock_fetch_artifact"):
                harness.tell(f"target `{target}` downloads none")
                continue
            published = attempted.publish(pipeline, target)
            if published is None:
                continue
            run = harness.wait(ws, attempted.submit(published, {}), 11)
            where = f"on target `{target}`"
            same(11, run.state, "succeeded", f"a run that makes artifacts {where}")
            folder = harness.folder / unique("downloaded")
            downloaded = {one.name for one in ws.runs.download(run.id, folder)}
            same(11, downloaded, {"sheet", "note", "folder"}, f"what a run's artifacts are called {where}")
            wanted = {"sheet": TRAVELLING[SHEET], "note": _TEXT.encode()}
            wanted |= {f"folder/{name}": _TEXT.encode() if full else b"" for name, full in FILES.items()}
            found = _files(folder)
            same(11, sorted(found), sorted(wanted), f"the files of a run's artifacts {where}")
            for name, data in wanted.items():
                require(11, found[name] == data, f"the downloaded `{name}` is not what was written {where}")
        return attempted.done()


@check(13, needs=("penstock_fetch_artifact",))
def only_artifacts_of_the_run_are_handed_out(harness: Harness) -> None:
    """Does the target hand out what the run made alone: no other name, no value, nothing of a run it does not know?"""
    made = put(harness, _noted(harness.subject.python))
    run = start(harness, made)
    until(harness, run, is_over, law=13)
    stranger = RunRef(id=unique("nobody"), publication=run.publication, external=run.external)
    asked: list[tuple[RunRef, str, ArtifactType]] = [
        (run, "nonesuch", "file"),
        (run, "../note", "file"),
        (run, "/etc/hostname", "file"),
        (run, "", "directory"),
        (run, "count", "file"),
        (stranger, "note", "file"),
    ]
    for ref, name, type_ in asked:
        what = f"the output `{name}`" + (" of a run that it does not know" if ref is stranger else "")
        try:
            harness.hooks.fetch_artifact(ref, name, Nowhere(name, type_))
        except PenstockError as error:
            require(13, error.code != "backend_broken", f"the target fails when it is asked for {what}: {error}")
        else:
            raise LawBroken(13, f"the target hands out {what}, which the run did not make")
    destination = Nowhere("note", "file")
    harness.hooks.fetch_artifact(run, "note", destination)
    same(13, destination.came, len(_TEXT.encode()), "how many bytes of the output `note` the target hands out")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _made(python: str) -> Pipeline:
    """A step that makes two files, a folder and a value, all of which are outputs."""
    outputs: dict[str, Type] = {"sheet": "file", "note": "file", "folder": "directory", "count": "integer"}
    words = ["copy", "${{ inputs.sheet }}", "${{ outputs.sheet }}", "put", "${{ outputs.note }}", _TEXT]
    words += ["folder", "${{ outputs.folder }}", _TEXT, "count", "2", "${{ outputs.count }}"]
    step = Step(inputs={"sheet": "${{ parameters.sheet }}"}, command=probe(python, *words), outputs=outputs)
    return _pipeline(step, {"sheet": Parameter("file", default=SHEET)})


def _noted(python: str) -> Pipeline:
    """A step that makes a file and a value."""
    words = ["put", "${{ outputs.note }}", _TEXT, "count", "2", "${{ outputs.count }}"]
    return _pipeline(Step(command=probe(python, *words), outputs={"note": "file", "count": "integer"}), {})


def _pipeline(step: Step, parameters: Mapping[str, Parameter]) -> Pipeline:
    return Pipeline(
        name="made",
        parameters=parameters,
        defaults=Defaults(code="./src"),
        steps={"make": step},
        outputs={name: f"${{{{ steps.make.outputs.{name} }}}}" for name in step.outputs},
    )


CHECKS = (artifacts_are_downloaded, only_artifacts_of_the_run_are_handed_out)
"""What is asked here."""
