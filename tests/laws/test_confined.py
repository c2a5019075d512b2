"""Law 13: nobody reaches more than was opened to them, whatever they name and however they write it.

What is not opened holds a secret: it must be in no answer, in no error and nowhere in the state folder.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import frozen
from hypothesis import strategies as st
from laws.marks import with_files
from searching import holders

from penstock.errors import PenstockError
from penstock.spec import Parameter, Pipeline, Step
from penstock.testing.harness import Harness
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import probe
from penstock.workspace import Workspace

pytestmark = with_files

SECRET = "the combination is 7-19-33"
_SPEC = (
    f"{{apiVersion: penstock/v1, kind: Pipeline, name: secret, description: {SECRET}, steps: {{a: {{command: a}}}}}}"
)


@frozen(kw_only=True)
class Grounds:
    """Two folders side by side: `own` is its owner's, and there are links in it to `secrets`, which are nobody's.

    `opened` is what the target opened to everybody, with links to the secrets as well.
    """

    own: Path
    secrets: Path
    opened: Path

    @property
    def names(self) -> list[str]:
        """Every secret, and something beside it, by its way from `own`."""
        below = ("", "/secret.yaml", "/secret.txt", "/code", "/code/secret.txt", "/gone.yaml")
        return [f"{folder}{name}" for folder in ("../secrets", "link") for name in below] + ["secret", "link.txt", "."]

    def spellings(self) -> st.SearchStrategy[str]:
        """Paths to all of it, in the ways that people and programs write one, and bits of paths in any order."""
        here = str(self.own)
        ways: list[Callable[[str], str]] = [
            *(str, "./{}".format, "inner/../{}".format, "{}/".format, "./{}/.".format, " {}".format, "{}\0".format),
            *(
                f"{here}/{{}}".format,
                f"/{here}/{{}}".format,
                f"{here}/inner/../{{}}".format,
                f"file:{here}/{{}}".format,
            ),
            *(f"file://{here}/{{}}".format, f"FILE://localhost{here}/{{}}".format, "/proc/self/cwd/{}".format),
            *("~/{}".format, "$PWD/{}".format, "{}.yaml".format, lambda name: os.path.normpath(f"{here}/{name}")),
            *(lambda name: f"file://{here}/{name}".replace("e", "%65"), lambda name: name.replace("/", "//")),
        ]
        written = st.builds(lambda way, name: way(name), st.sampled_from(ways), st.sampled_from(self.names))
        bits = (
            "/",
            ".",
            "..",
            "./",
            "../",
            "~",
            "file://",
            "secrets",
            "secret.yaml",
            "link",
            "%2f",
            " ",
            here,
            "\\",
            ".yml",
        )
        return written | st.lists(st.sampled_from(bits), max_size=7).map("".join)

    def below_opened(self) -> st.SearchStrategy[str]:
        """Paths that begin where everybody may read, or beside it, and go on anywhere."""
        names = ("table.txt", "deeper", "out.txt", "up", "secret.txt", "..", self.opened.name, "gone.txt", ".")
        way = st.lists(st.sampled_from(names), max_size=4).map("/".join)
        where = st.sampled_from([self.opened, self.opened, self.beside])
        return st.builds(lambda where, way: f"{where}/{way}", where, way)

    @property
    def beside(self) -> Path:
        """What begins like what is opened."""
        return Path(f"{self.opened.parent}ly", self.opened.name)


@contextlib.contextmanager
def grounds(harness: Harness) -> Iterator[Grounds]:
    """Such folders; `own` is the current one meanwhile. Afterwards no secret may lie in the state folder."""
    home, name = harness.subject.config.home, unique("grounds")
    own, secrets = home.parent / name / "own", home.parent / name / "secrets"
    here = Grounds(own=own, secrets=secrets, opened=home / "main" / "opened" / name)  # which the target opens
    for file in ("secret.txt", "code/secret.txt"):
        _write(secrets / file, SECRET)
    _write(secrets / "secret.yaml", _SPEC)
    _write(own / "secret", "its own, and it is called like something else")
    _write(own / "inner" / "file.txt", "its own")
    for link, to in (("link", secrets), ("link.txt", secrets / "secret.txt"), ("linking/link", secrets / "code")):
        _link(own / link, to)
    for folder, text in ((here.opened, "for everybody"), (here.beside, "for nobody")):
        _write(folder / "table.txt", text)
        _write(folder / "deeper" / "table.txt", text)
    _link(here.opened / "out.txt", secrets / "secret.txt")
    _link(here.opened / "up", secrets)
    with contextlib.chdir(own):
        yield here
    where = [str(path) for path in holders(home, SECRET)]
    same(13, where, [], "where a secret was kept")


def test_no_file_is_named_from_elsewhere(harness):
    """Does a caller without a folder name no file, by any verb, and is nothing of what they tried to be seen?"""
    registry = harness.new_registry()
    with grounds(harness) as here, harness.workspace(registry) as ws, _stranger(ws) as eve:
        reader = ws.pipelines.publish(_reader(harness), folder=here.own, endpoint="reader").published
        before = _everything(ws)

        def parameter(kind: str) -> Callable[[str], object]:
            return lambda text: eve.runs.submit(reader.id, parameters={kind: text})

        ways: dict[str, tuple[Callable[[str], object], str]] = {
            "publish": (eve.pipelines.publish, "file_not_allowed"),
            "publish, as a path": (lambda text: eve.pipelines.publish(Path(text)), "file_not_allowed"),
            "validate": (eve.pipelines.validate, "file_not_allowed"),
            "publish beside": (
                lambda text: eve.pipelines.publish(_plain(harness), folder=Path(text)),
                "file_not_allowed",
            ),
            "publish again": (eve.pipelines.publish_from, ""),
            "submit": (eve.runs.submit, ""),
            "submit a path": (lambda text: eve.runs.submit(Path(text)), "file_not_allowed"),
            "backup": (lambda text: eve.admin.backup(Path(text)), "file_not_allowed"),
            "restore": (lambda text: eve.admin.restore(Path(text)), "file_not_allowed"),
            "a file for a parameter": (parameter("table"), "parameter_invalid"),
            "a folder for a parameter": (parameter("folder"), "parameter_invalid"),
            "code": (lambda text: eve.pipelines.publish(_plain(harness, code=text)), ""),
            "a default": (lambda text: eve.pipelines.publish(_reader(harness, text)), ""),
        }

        def body(way: str, text: str) -> None:
            call, code = ways[way]
            _refused(f"{way} with {text!r} from elsewhere", code, lambda: call(text))

        for way in ways:
            for text in ("./link.txt", "../secrets/secret.yaml", *map(str, here.secrets.iterdir())):
                body(way, text)
        harness.forall(body, examples=120, way=st.sampled_from(list(ways)), text=here.spellings())
        same(13, _everything(ws), before, "what is there after somebody elsewhere named files")


def test_only_what_was_opened_is_named(harness):
    """Can a caller without a folder name just what lies below what a target opened, links followed?"""
    registry = harness.new_registry()
    with grounds(harness) as here, harness.workspace(registry) as ws, _stranger(ws) as eve:
        published = ws.pipelines.publish(_reader(harness), folder=here.own).published

        def body(text: str) -> None:
            real = Path(os.path.realpath(text))
            what = f"a file for a parameter, `{text}`, from elsewhere"
            if not (Path(text).exists() and real.is_relative_to(here.opened.parent)):
                _refused(what, "parameter_invalid", lambda: eve.runs.submit(published.id, parameters={"table": text}))
                return
            run = ws.runs.get(eve.runs.submit(published.id, parameters={"table": text}).run.id)
            found = (run.by, os.path.realpath(run.parameters["table"]))
            same(13, found, ("eve", str(real)), f"who asked for a run with {what}, and what it reads")

        body(str(here.opened / "table.txt"))
        harness.forall(body, examples=60, text=here.below_opened())


def test_what_lies_outside_its_folder_stays_out(harness):
    """Does a pipeline take nothing along but what lies in its folder, whatever its paths and the links there say?"""
    kinds: dict[str, Callable[[str], Pipeline]] = {
        "code": lambda text: _plain(harness, code=text),
        "a default": lambda text: _reader(harness, text),
    }
    with grounds(harness) as here, harness.workspace() as ws:

        def body(kind: str, text: str) -> None:
            real = Path(os.path.realpath(here.own / text))
            inside = real.is_relative_to(here.own) and real != here.own and real.name != "linking"
            try:
                pipeline = kinds[kind](text)
            except PenstockError:
                return  # no path of any pipeline
            if inside:
                with contextlib.suppress(PenstockError):  # it may be no folder, or not be there
                    ws.pipelines.publish(pipeline, folder=here.own)
            else:
                _refused(f"{kind} at {text!r}", "", lambda: ws.pipelines.publish(pipeline, folder=here.own))

        outside = st.sampled_from(here.names).flatmap(
            lambda name: st.sampled_from(
                [name, f"./{name}", f"inner/../{name}", f"../{here.own.name}/{name}", f"{name}/"]
            )
        )
        harness.forall(body, examples=60, kind=st.sampled_from(list(kinds)), text=outside | st.just("linking"))
        published = ws.pipelines.publish(_plain(harness, code="inner"), folder=here.own).published
        same(13, published.name, "plain", "what takes along what lies in its folder")


def test_a_name_is_no_file(harness):
    """Is what reads like a name never looked for in the folder of whoever says it?"""
    with grounds(harness) as here, harness.workspace() as ws:
        for name in ("secret", "digits", "digits@0", "digits:1"):
            _write(here.own / name, _SPEC.replace("secret", "found"))
            for what, call in (("submit", ws.runs.submit), ("publish --from", ws.pipelines.publish_from)):
                _refused(f"{what} with `{name}`", "", lambda call=call, name=name: call(name))
        published = ws.pipelines.publish(_plain(harness), folder=here.own, name="digits", endpoint="digits").published
        for name in ("digits", "digits@0", "digits:1"):
            same(13, ws.runs.submit(name).run.published, published.id, f"what `{name}` is where a file is called so")


def _stranger(ws: Any) -> Workspace:
    """The same workspace for somebody on another machine. Close it by `with`."""
    return Workspace(ws.config, actor="eve", verified=True, door="rest", folder=None)


def _plain(harness: Harness, code: str | None = None) -> Pipeline:
    return Pipeline(name="plain", steps={"one": Step(command=probe(harness.subject.python), code=code)})


def _reader(harness: Harness, default: str = "./inner/file.txt") -> Pipeline:
    parameters = {"table": Parameter("file", default=default), "folder": Parameter("directory", default="./inner")}
    step = Step(
        command=probe(harness.subject.python, arguments=("${{ inputs.table }}", "${{ inputs.folder }}")),
        inputs={name: f"${{{{ parameters.{name} }}}}" for name in parameters},
    )
    return Pipeline(name="reader", parameters=parameters, steps={"read": step})


def _refused(what: str, code: str, call: Callable[[], object]) -> None:
    """Hold a call to be refused, with a code if one is said, and the error to tell no secret."""
    try:
        answer = call()
    except PenstockError as error:
        require(13, code in ("", error.code), f"{what} is refused with `{error.code}` ({error}), expected `{code}`")
        require(13, SECRET not in json.dumps(error.to_dict()) + str(error), f"{what} is refused in words that tell it")
    else:
        require(13, False, f"{what} is not refused: {answer!r:.200}")


def _everything(ws: Any) -> list[Any]:
    """All that the door shows of what was published, triggered and changed."""
    listed = (ws.pipelines.list(all=True), ws.endpoints.list(all=True), ws.runs.list(), ws.admin.history(runs=True))
    return [page.items for page in listed]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _link(file: Path, to: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(to)
