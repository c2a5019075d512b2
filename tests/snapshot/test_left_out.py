"""What stays at home is told: rules for code alone, from the spec's folder down, as git would have it, and caches."""

import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contract.target import HOME_MARK
from penstock.errors import RegistryError, SpecInvalid
from penstock.launcher.archives import write_portable
from penstock.registry.beside import own_files
from penstock.snapshot import Bundled, extract, take
from penstock.snapshot.refused import NotBundled
from penstock.snapshot.walking import files_in
from penstock.spec import Parameter, Pipeline, Step

CODE = Pipeline(name="a", steps={"s": Step(command="run", code="./src")})


def lay(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).mkdir() if path.endswith("/") else (root / path).write_text("x")


def paths(contents):
    return [each.path + ("" if each.source else "/") for each in contents.found]


def test_what_travels_and_what_stays_is_told(tmp_path):
    lay(tmp_path, "src/a.py", "src/b.log", "src/sub/c.log", "src/__pycache__/a.pyc", "src/.git/HEAD", "data/x.log")
    (tmp_path / ".gitignore").write_text("*.log\n")
    pipeline = evolve(CODE, parameters={"d": Parameter("directory", default="./data")})
    assert take(pipeline, tmp_path, tmp_path / "store").bundled == (
        Bundled(
            path="./src",
            kind="code",
            files=1,
            size=1,
            left_out=("b.log", "sub/c.log", ".git/", "__pycache__/"),
            left_out_count=4,
        ),
        Bundled(path="./data", kind="directory", files=1, size=1, left_out=(), left_out_count=0),
    )


def test_what_is_data_too_travels_whole(tmp_path):
    lay(tmp_path, "src/a.py", "src/b.log")
    (tmp_path / "src/.gitignore").write_text("*.log\n")
    pipeline = evolve(CODE, parameters={"d": Parameter("directory", default="./src")})
    (bundled,) = take(pipeline, tmp_path, tmp_path / "store").bundled
    assert (bundled.files, bundled.left_out) == (3, ())


def test_what_stays_at_home_may_have_any_name_and_lead_anywhere(tmp_path):
    lay(tmp_path, "a.py")
    for name in (b"bad\xff.tmp", b"old\xff/x\xff", b"env\xff/pyvenv.cfg", b"\xfe/.git/HEAD\xff", b"\xfe/b.tmp"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in (".venv", "node_modules", "x.tmp"):
        (tmp_path / name).symlink_to("/nonexistent")
    (tmp_path / ".tox").symlink_to(".tox")
    (tmp_path / ".gitignore").write_bytes(b"*.tmp\nold\xff/\n\xfe/\n")
    contents = files_in(tmp_path, tmp_path / "store", top=tmp_path)
    assert paths(contents) == [".gitignore", "a.py"]
    left = ["\\xfe/", "bad\\xff.tmp", "old\\xff/", "x.tmp", ".tox", ".venv", "env\\xff/", "node_modules"]
    assert list(contents.left) == left


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "CACHEDIR.TAG", "conda-meta/history"])
def test_a_folder_that_says_what_it_is_stays_at_home(tmp_path, mark):
    lay(tmp_path, f"any name/{mark}", "any name/bin/python3.11", "conda-meta/x", "history")
    (tmp_path / "any name/bin/python").symlink_to("/usr/bin/python3")
    contents = files_in(tmp_path, tmp_path / "store", top=tmp_path)
    assert (paths(contents), contents.left) == (["conda-meta/x", "history"], ("any name/",))


def test_a_file_that_is_called_like_a_cache_travels(tmp_path):
    lay(tmp_path, ".venv", "node_modules")
    assert paths(files_in(tmp_path, tmp_path / "store", top=tmp_path)) == [".venv", "node_modules"]


def test_what_travels_has_a_name_that_is_text(tmp_path):
    lay(tmp_path, "\u00e9/")
    Path(os.fsdecode(os.fsencode(tmp_path / "\u00e9") + b"/a\xff")).touch()
    with pytest.raises(NotBundled, match=r"the name `\u00e9/a\\xff` is not UTF-8 text") as refused:
        files_in(tmp_path, tmp_path / "store", top=tmp_path)
    assert refused.value.code == "name_not_utf8"


def test_empty_folders_travel_and_left_overs_do_not(tmp_path):
    lay(tmp_path, "empty/", "deep/er/", "logs/a.log", "old/__pycache__/x.pyc", "old/er/.venv/y", "full/x")
    (tmp_path / ".gitignore").write_text("*.log\n")
    store = tmp_path.parent / "store"
    assert paths(files_in(tmp_path, store, top=tmp_path)) == [".gitignore", "deep/er/", "empty/", "full/x", "logs/"]
    assert paths(files_in(tmp_path, store)) == [
        ".gitignore", "deep/er/", "empty/", "full/x", "logs/a.log", "old/__pycache__/x.pyc", "old/er/.venv/y",
    ]  # fmt: skip


@pytest.mark.parametrize("unpack", [["tar"], ["busybox", "tar"], ["python3", "-m", "tarfile"]])
def test_empty_folders_and_names_of_any_form_travel_to_clouds(tmp_path, unpack):
    if shutil.which(unpack[0]) is None:
        pytest.skip(f"no {unpack[0]} here")
    lay(tmp_path, "src/empty/", "src/mu\u0308/", "src/m\u00fc.py", f"src/{'x' * 120}/{'y' * 120}/")
    archive = take(CODE, tmp_path, tmp_path / "store").archives["./src"]
    with (tmp_path / "made.tar").open("wb") as file:
        write_portable(archive, file)
    (tmp_path / "there").mkdir()
    extract(archive, tmp_path / "here")
    how = ["-e", "../made.tar", "."] if unpack[-1] == "tarfile" else ["-xf", "../made.tar"]
    subprocess.run([*unpack, *how], cwd=tmp_path / "there", check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    found = [sorted(str(path.relative_to(base)) for path in base.rglob("*")) for base in
             (tmp_path / "src", tmp_path / "here", tmp_path / "there")]  # fmt: skip
    assert found[0] == found[1] == found[2]


def test_an_archive_that_was_changed_travels_to_no_cloud(tmp_path):
    lay(tmp_path, "src/a.py")
    archive = take(CODE, tmp_path, tmp_path / "store").archives["./src"]
    archive.location.write_bytes(archive.location.read_bytes().replace(b"a.py", b"b.py"))
    with (tmp_path / "made.tar").open("wb") as file, pytest.raises(RegistryError) as caught:
        write_portable(archive, file)
    assert caught.value.code == "archive_corrupt"
    assert (tmp_path / "made.tar").read_bytes() == b""


def test_a_folder_with_content_is_no_folder(tmp_path):
    lay(tmp_path, "src/empty/")
    archive = take(CODE, tmp_path, tmp_path / "store").archives["./src"]
    with tarfile.open(archive.location) as tar:
        assert [(member.name, member.type) for member in tar] == [("empty", tarfile.DIRTYPE)]


_LINES = st.sampled_from(
    ["*.py", "!*.py", "a/", "/a", "/src", "/src/a", "src/*", "src/a/*.py", "**/b", "!b", "a/b", "*", "!*/", "!/src/a/"]
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
@settings(max_examples=15, deadline=None)
@given(st.dictionaries(st.sampled_from(["", "src/", "src/a/"]), st.lists(_LINES, min_size=1, max_size=4), min_size=1))
def test_git_agrees_about_rules_above_the_code(rules):
    with tempfile.TemporaryDirectory() as name:
        root = Path(os.path.realpath(name))
        lay(root, *(f"src/{path}" for path in ("x.py", "y", "a/x.py", "a/y", "a/b", "b/x.py", "a/a/b")))
        for folder, lines in rules.items():
            (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")
        clean = {"PATH": os.environ["PATH"], "HOME": name, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", "init", "-q", "--template="], cwd=root, env=clean, check=True)

        def ignored(path):
            return subprocess.run(["git", "check-ignore", "-q", path], cwd=root, env=clean).returncode == 0

        found = paths(files_in(root / "src", root / "store", top=root))
        ours = {f"src/{path}" for path in found if not path.endswith("/")}
        # Whoever names a folder as code wants it, so that what git says of the folder itself does not count.
        if not ignored("src"):
            everything = {str(path.relative_to(root)) for path in (root / "src").rglob("*") if path.is_file()}
            assert ours == {path for path in everything if not ignored(path)}


def test_rules_of_any_size_end_soon(tmp_path):
    lay(tmp_path, *(f"src/d{number}/{'a' * 200}" for number in range(200)))
    (tmp_path / ".gitignore").write_text("".join(f"**/*a*a*a*{number}\n" for number in range(2000)))
    started = time.process_time()
    assert len(files_in(tmp_path / "src", tmp_path / "store", top=tmp_path).found) == 200
    assert time.process_time() - started < 20
    (tmp_path / "src/.gitignore").write_text("a\n" * 600_000)
    with pytest.raises(NotBundled, match=r"`src/\.gitignore` is larger than 1,048,576 bytes"):
        files_in(tmp_path / "src", tmp_path / "store", top=tmp_path)


def test_much_code_is_refused_before_it_is_packed(tmp_path):
    lay(tmp_path, "src/a.py", "data/x")
    with (tmp_path / "src/big").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SpecInvalid, match=r"1\.1 TB of code would travel, more than 100 MB") as refused:
        take(CODE, tmp_path, tmp_path / "store", most_code=100_000_000)
    assert (refused.value.code, refused.value.details[0].path) == ("code_large", ("steps", "s", "code"))
    (tmp_path / ".gitignore").write_text("big\n")
    assert take(CODE, tmp_path, tmp_path / "store", most_code=1).bundled[0].size == 1


@pytest.mark.parametrize("is_code", [True, False])
def test_what_is_ours_stays_at_home_by_whatever_name(tmp_path, is_code):
    stamp = "20250102T030405Z"
    ours = ["reg.db", "reg.db-wal", "reg.db-shm", "reg.db-journal", "reg.db.v3.bak", "reg.db.v3.1.bak"]
    ours += [f"reg.db.replaced-{stamp}", f"reg.db.replaced-{stamp}.2", f"reg.db.replaced-{stamp}-wal"]
    ours += [".reg.db.0123456789ab.new", ".reg.db.0123456789ab.new-wal", ".reg.db.v3.bak.0123456789ab.new"]
    theirs = ["reg.db.py", "reg.db.replaced-by", "sub/reg.db", "xreg.db", "other/queue.db"]
    lay(tmp_path, *ours, *theirs, f"runs/{HOME_MARK}", "runs/queue.db")
    os.mkfifo(tmp_path / "runs/wake")
    (tmp_path / "link").symlink_to("reg.db")
    (tmp_path / "way").symlink_to("runs")
    top = tmp_path if is_code else None
    contents = files_in(tmp_path, tmp_path / "store", top=top, stays=own_files(tmp_path / "reg.db"))
    assert paths(contents) == sorted(theirs)
    assert list(contents.left) == sorted([*ours, "link", "runs/", "way/"])


def test_a_registry_by_way_of_links_stays_at_home_where_it_lies(tmp_path):
    lay(tmp_path, "a.py", "deep/real.db", "deep/real.db-wal", "x/")
    (tmp_path / "reg.db").symlink_to("deep/real.db")
    (tmp_path / "other").symlink_to("deep")
    contents = files_in(tmp_path, tmp_path / "store", stays=own_files(tmp_path / "x/../reg.db"))
    assert paths(contents) == ["a.py", "x/"]
    contents = files_in(tmp_path, tmp_path / "store", stays=own_files(tmp_path / "other/real.db"))
    assert paths(contents) == ["a.py", "x/"]


def test_a_pipe_that_would_travel_says_what_to_do(tmp_path):
    os.mkfifo(tmp_path / "wake")
    with pytest.raises(NotBundled) as refused:
        files_in(tmp_path, tmp_path / "store", top=tmp_path)
    assert (refused.value.code, refused.value.hint) == (
        "file_special",
        "move it out of the folder, or name it in `.gitignore`",
    )
