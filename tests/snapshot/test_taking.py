"""Snapshots: what travels, what the digest depends on, and everything that cannot travel."""

import json
import os
import socket
import subprocess
import sys
import tarfile

import pytest
from attrs import evolve

from penstock.codec import load_document, pipeline_in
from penstock.errors import RegistryError, SpecInvalid
from penstock.snapshot import archive_data, extract, load, take, verify
from penstock.spec import Defaults, Parameter, Pipeline, Step

STEP = Step(command="run", code="./src")
CODE = Pipeline(name="a", steps={"s": STEP})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spec/src/sub").mkdir(parents=True)
    (tmp_path / "spec/data").mkdir()
    (tmp_path / "spec/src/main.py").write_text("print(1)\n")
    (tmp_path / "spec/src/sub/run.sh").write_text("true\n")
    (tmp_path / "spec/src/sub/run.sh").chmod(0o700)
    (tmp_path / "spec/data/digits.csv").write_text("1,2\n")
    return tmp_path / "spec"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "home/archives"


def names(snapshot, path="./src"):
    with tarfile.open(snapshot.archives[path].location) as tar:
        return tar.getnames()


def test_everything_that_travels(folder, store):
    pipeline = Pipeline(
        name="a",
        defaults=Defaults(code="./src"),
        parameters={
            "table": Parameter("file", default="data/digits.csv"),
            "tables": Parameter("directory", default="./data"),
            "remote": Parameter("file", default="gs://bucket/x"),
            "local": Parameter("file", default="/etc/hosts"),
            "here": Parameter("file", default="file:///etc/hosts"),
            "later": Parameter("directory"),
            "text": Parameter("string", default="./data"),
        },
        steps={"s": Step(command="run"), "t": Step(command="run", code="src/sub")},
    )
    snapshot = take(pipeline, folder, store)
    assert {(a.path, a.kind, a.size) for a in snapshot.archives.values()} == {
        ("./src", "code", 14),
        ("src/sub", "code", 5),
        ("data/digits.csv", "file", 4),
        ("./data", "directory", 4),
    }
    assert names(snapshot) == ["main.py", "sub/run.sh"]
    assert names(snapshot, "data/digits.csv") == names(snapshot, "./data") == ["digits.csv"]
    assert snapshot.archives["data/digits.csv"].location == snapshot.archives["./data"].location
    assert sorted(path.name for path in store.iterdir()) == sorted(
        {archive.digest.removeprefix("sha256:") + ".tar" for archive in snapshot.archives.values()}
    )
    assert store.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in store.iterdir())
    verify(snapshot)


def test_it_comes_back_from_what_a_registry_keeps(folder, store):
    snapshot = take(CODE, folder, store)
    assert load(snapshot.canonical, archive_data(snapshot), store) == snapshot
    assert archive_data(snapshot) == [
        {"path": "./src", "kind": "code", "digest": snapshot.archives["./src"].digest, "size": 14}
    ]


def test_default_code_that_no_step_uses_stays_at_home(folder, store):
    assert set(take(evolve(CODE, defaults=Defaults(code="./nowhere")), folder, store).archives) == {"./src"}


def test_nothing_but_content_counts(folder, store, tmp_path):
    digest = take(CODE, folder, store).digest
    os.utime(folder / "src/main.py", (1, 1))
    (folder / "src/main.py").chmod(0o640)
    (folder / "src/__pycache__").mkdir()
    (folder / "src/__pycache__/main.pyc").write_text("x")
    (folder / "src/.git").write_text("gitdir: elsewhere")
    (folder / "elsewhere.txt").write_text("x")
    assert take(CODE, folder, store).digest == digest
    assert take(CODE, folder, tmp_path / "other").digest == digest
    (folder / "src").rename(folder / "moved")
    (folder / "moved").rename(folder / "src")
    assert take(CODE, folder, store).digest == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda src: (src / "main.py").write_text("print(2)\n"),
        lambda src: (src / "main.py").chmod(0o755),
        lambda src: (src / "main.py").rename(src / "main2.py"),
        lambda src: (src / "empty").touch(),
        lambda src: (src / "sub/run.sh").unlink(),
        lambda src: (src / ".gitignore").touch(),
        lambda src: (src / "empty/folder").mkdir(parents=True),
    ],
)
def test_every_change_of_content_counts(folder, store, change):
    digest = take(CODE, folder, store).digest
    change(folder / "src")
    assert take(CODE, folder, store).digest != digest


def test_the_spec_and_where_data_lies_count(folder, store):
    digests = {
        take(pipeline, folder, store).digest
        for pipeline in (
            CODE,
            evolve(CODE, description="b"),
            evolve(CODE, steps={"s": evolve(STEP, code="src")}),
            evolve(CODE, parameters={"p": Parameter("file", default="data/digits.csv")}),
        )
    }
    assert len(digests) == 4
    before = take(evolve(CODE, parameters={"p": Parameter("file", default="data/digits.csv")}), folder, store)
    (folder / "data/digits.csv").write_text("1,3\n")
    after = take(evolve(CODE, parameters={"p": Parameter("file", default="data/digits.csv")}), folder, store)
    assert before.canonical == after.canonical
    assert before.digest != after.digest
    verify(before)


def test_names_travel_byte_for_byte_and_count_in_one_unicode_form(folder, store):
    (folder / "src/e\u0301.py").write_text("x")
    decomposed = take(CODE, folder, store)
    (folder / "src/e\u0301.py").rename(folder / "src/\u00e9.py")
    composed = take(CODE, folder, store)
    assert composed.digest == decomposed.digest
    assert ("e\u0301.py" in names(decomposed), "\u00e9.py" in names(composed)) == (True, True)
    for each in (composed, decomposed):
        verify(each)
        assert load(each.canonical, archive_data(each), store) == each


def test_links_inside_travel_as_content(folder, store):
    (folder / "src/link.py").symlink_to("main.py")
    (folder / "src/again").symlink_to("sub")
    (folder / "data/link.csv").symlink_to("digits.csv")
    snapshot = take(evolve(CODE, parameters={"p": Parameter("file", default="data/link.csv")}), folder, store)
    assert names(snapshot) == ["again/run.sh", "link.py", "main.py", "sub/run.sh"]
    assert names(snapshot, "data/link.csv") == ["link.csv"]


def test_a_spec_folder_behind_a_link_is_fine(folder, store, tmp_path):
    (tmp_path / "behind").symlink_to(folder)
    assert take(CODE, tmp_path / "behind", store).digest == take(CODE, folder, store).digest


def test_the_whole_folder_can_be_code_even_with_the_store_in_it(folder):
    code = evolve(CODE, steps={"s": evolve(STEP, code=".")})
    first = take(code, folder, folder / "archives")
    assert take(code, folder, folder / "archives").digest == first.digest
    assert names(first, ".") == ["data/digits.csv", "src/main.py", "src/sub/run.sh"]


def _special(folder):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(folder / "src")
        try:
            made.bind("s")
        finally:
            os.chdir(here)


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda folder: (folder / "src/out").symlink_to("../data/digits.csv"), "link_outside_folder"),
        (lambda folder: (folder / "src/out").symlink_to("/etc/hosts"), "link_outside_folder"),
        (lambda folder: (folder / "src/out").symlink_to("../data"), "link_outside_folder"),
        (lambda folder: (folder / "src/out").symlink_to("nowhere"), "link_broken"),
        (lambda folder: (folder / "src/out").symlink_to("out"), "link_loop"),
        (lambda folder: (folder / "src/out").symlink_to("."), "link_loop"),
        (lambda folder: (folder / "src/sub/out").symlink_to("../sub"), "link_loop"),
        (lambda folder: [(folder / f"src/{name}").write_text("x") for name in ("e\u0301", "\u00e9")], "name_clash"),
        (lambda folder: [(folder / f"src/{name}").mkdir() for name in ("e\u0301", "\u00e9")], "name_clash"),
        (lambda folder: os.mkfifo(folder / "src/fifo"), "file_special"),
        (_special, "file_special"),
        (lambda folder: os.close(os.open(os.fsencode(folder) + b"/src/\xff", os.O_CREAT)), "name_not_utf8"),
    ],
)
def test_what_cannot_travel(folder, store, prepare, code):
    prepare(folder)
    with pytest.raises(SpecInvalid) as caught:
        take(CODE, folder, store)
    assert caught.value.code == code
    assert caught.value.details[0].path == ("steps", "s", "code")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../spec2", "path_outside_folder"),
        ("..", "path_outside_folder"),
        ("src/../../spec/src", "path_outside_folder"),
        ("/etc", "path_outside_folder"),
        ("./scr", "file_not_found"),
        ("src/main.py", "not_a_folder"),
        ("away", "link_outside_folder"),
        ("gone", "link_broken"),
        ("gs://bucket/code", "file_not_found"),
        ("x" * 5000, "file_not_found"),
        ("src/main.py/x", "file_not_found"),
    ],
)
def test_code_paths_that_are_refused(folder, store, path, code):
    (folder / "away").symlink_to("/etc")
    (folder / "gone").symlink_to("nowhere")
    with pytest.raises(SpecInvalid) as caught:
        take(evolve(CODE, steps={"s": evolve(STEP, code=path)}), folder, store)
    assert caught.value.code == code


def test_data_that_is_refused_and_all_of_it_at_once(folder, store):
    parameters = {
        "a": Parameter("file", default="./data"),
        "b": Parameter("directory", default="./data/digits.csv"),
        "c": Parameter("file", default="../x"),
        "d": Parameter("file", default="data/digit.csv"),
    }
    with pytest.raises(SpecInvalid) as caught:
        take(evolve(CODE, parameters=parameters, defaults=Defaults(code="x")), folder, store)
    assert [(detail.code, detail.path[1]) for detail in caught.value.details] == [
        ("not_a_file", "a"),
        ("not_a_folder", "b"),
        ("path_outside_folder", "c"),
        ("file_not_found", "d"),
    ]
    assert caught.value.details[3].hint == "did you mean `digits.csv`?"


def test_what_is_not_there_is_told_from_what_only_looks_the_same(folder, store):
    (folder / "de\u0301ja\u0300").mkdir()
    (folder / "de\u0301ja\u0300/vu").touch()
    hints = {
        "./d\u00e9j\u00e0": "`d\u00e9j\u00e0` is there in another Unicode form, which looks the same; ",
        "./d\u00e9j\u00e0/vu": "`d\u00e9j\u00e0` is there in another Unicode form, which looks the same; ",
        "./dta/digits.csv": "did you mean `data`?",
    }
    for path, hint in hints.items():
        with pytest.raises(SpecInvalid) as caught:
            take(evolve(CODE, parameters={"a": Parameter("file", default=path)}), folder, store)
        assert caught.value.code == "file_not_found"
        assert caught.value.details[0].hint.startswith(hint)


def test_errors_say_line_and_column_when_the_document_is_known(folder, store):
    file = folder / "spec.yaml"
    file.write_text(
        "apiVersion: penstock/v1\nkind: Pipeline\nname: a\ndefaults: {code: ./scr}\nsteps: {s: {command: run}}\n"
    )
    document = load_document(file)
    with pytest.raises(SpecInvalid, match=r"spec.yaml:4:18: \$.defaults.code: .*did you mean `src`"):
        take(pipeline_in(document), folder, store, document=document)


@pytest.fixture
def validate(folder, bound_by_permissions):
    """What `validate` says of the folder when permissions hold: its exit code, and what was printed as JSON."""
    closed = []

    def call(spec="defaults: {code: ./src}", close=(), mode=0):
        (folder / "spec.yaml").write_text(f"apiVersion: penstock/v1\nkind: Pipeline\nname: a\n{spec}\n{_STEPS}")
        for path in close:
            closed.append(folder / path)
            closed[-1].chmod(mode)
        command = [*bound_by_permissions, sys.executable, "-m", "penstock", "validate", "spec.yaml", "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    yield call
    for path in closed:
        path.chmod(0o700)


_STEPS = "steps: {s: {command: run}}\n"
_DATA = "parameters: {p: {type: directory, default: ./src}}"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("spec", ["defaults: {code: ./src}", _DATA], ids=["code", "data"])
@pytest.mark.parametrize(("close", "mode"), [("src/main.py", 0), ("src/sub", 0), ("src/sub", 0o100), ("src", 0o400)])
def test_what_may_not_be_read(folder, validate, spec, close, mode):
    code, said = validate(spec, [close], mode)
    assert (code, said["error"]["code"]) == (3, "file_unreadable")
    key = "$.parameters.p.default" if spec == _DATA else "$.defaults.code"
    assert said["error"]["details"][0]["path"] == key


@pytest.mark.parametrize("spec", ["defaults: {code: ./src}", _DATA], ids=["code", "data"])
def test_a_link_into_what_may_not_be_looked_into(folder, tmp_path, validate, spec):
    (tmp_path / "others/x").mkdir(parents=True)
    (folder / "src/link").symlink_to(tmp_path / "others/x")
    code, said = validate(spec, [tmp_path / "others"])
    assert (code, said["error"]["code"]) == (3, "file_unreadable")
    assert "`link` cannot be read" in said["error"]["message"]


def test_code_in_a_folder_that_may_not_be_looked_into(folder, validate):
    code, said = validate("defaults: {code: ./src/sub/deep}", ["src/sub"])
    assert (code, said["error"]["code"]) == (3, "file_unreadable")


def test_what_stays_at_home_need_not_be_readable(folder, tmp_path, validate):
    (folder / ".gitignore").write_text("pgdata/\nlink\nsecret\n")
    for path in ("src/pgdata/x", "src/.venv", "src/node_modules", "src/.git", "others/x"):
        (folder / path).mkdir(parents=True)
    (folder / "src/link").symlink_to(folder / "others/x")
    (folder / "src/.tox").symlink_to(folder / "others/x")
    (folder / "src/secret").write_text("x")
    closed = ["src/pgdata", "src/.venv", "src/node_modules", "src/.git", "others", "src/secret"]
    code, said = validate(close=closed)
    assert (code, said.get("error")) == (0, None)
    assert sorted(said["files"][0]["bundled"][0]["left_out"]) == [
        ".git/", ".tox", ".venv/", "link", "node_modules/", "pgdata/", "secret",
    ]  # fmt: skip


def test_a_pipeline_that_is_wrong_is_not_taken(folder, store):
    with pytest.raises(SpecInvalid):
        take(Pipeline(name="a", steps={"s": Step(command="run ${{ parameters.x }}")}), folder, store)
    assert not store.exists()


def test_a_store_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RegistryError) as caught:
        take(CODE, folder, tmp_path / "file/archives")
    assert caught.value.code == "registry_read_only"


def test_verify_tells_what_is_wrong(folder, store):
    snapshot = take(CODE, folder, store)
    location = snapshot.archives["./src"].location
    good = location.read_bytes()
    for broken in (good.replace(b"print(1)", b"print(2)"), good[:700], b"", b"x" * 2048, good[:520]):
        location.write_bytes(broken)
        with pytest.raises(RegistryError) as caught:
            verify(snapshot)
        assert caught.value.code == "archive_corrupt"
    location.unlink()
    for use in (verify, lambda taken: extract(taken.archives["./src"], store / "x")):
        with pytest.raises(RegistryError) as caught:
            use(snapshot)
        assert caught.value.code == "archive_missing"
    assert take(CODE, folder, store) == snapshot
    verify(snapshot)
