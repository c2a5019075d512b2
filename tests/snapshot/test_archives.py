"""Archives: packed whole or not at all, unpacked exactly, never outside; ignore rules as git reads them."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.drafts import draft
from penstock.errors import RegistryError
from penstock.snapshot import Archive, extract
from penstock.snapshot.ignoring import CACHES
from penstock.snapshot.members import digest_of, members
from penstock.snapshot.packing import location_of, pack
from penstock.snapshot.refused import NotBundled
from penstock.snapshot.walking import Found, files_in

_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..", ".git", ".penstock", ".gitignore", *CACHES) and len(name.encode()) <= 200
)


def packed(source, store):
    root = Path(os.path.realpath(source))
    made = pack(files_in(root, store, top=root).found, store)
    location = location_of(made.digest, store)
    return Archive(path=".", kind="code", digest=made.digest, normal=made.normal, size=made.size, location=location)


def travelling(root, store):
    """The paths of the files of code that travel; what is only an empty folder is left out here."""
    return [each.path for each in files_in(root, store, top=root).found if each.source is not None]


def contents(folder):
    return {
        str(path.relative_to(folder)): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file()
    }


def folders(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()}


@settings(max_examples=19, deadline=None)
@given(st.dictionaries(st.lists(_names, min_size=1, max_size=3).map("/".join), st.tuples(st.binary(), st.booleans())))
def test_what_is_packed_is_unpacked(files):
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "src").mkdir()
        written = {}
        for path, (data, executable) in files.items():
            file = base / "src" / path
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
            file.chmod(0o755 if executable else 0o644)
            written[path] = (data, executable)
        try:
            archive = packed(base / "src", base / "store")
        except NotBundled as error:
            assert error.code == "name_clash"
            return
        data = pack(files_in(Path(os.path.realpath(base / "src")), base / "store").found, base / "store")
        assert data.digest == archive.digest  # nothing was said of what is to stay at home
        extract(archive, base / "out")
        packed_again = packed(base / "out", base / "store")
        assert packed_again == archive
        assert archive.size == sum(len(data) for data, _ in written.values())
        assert contents(base / "out") == written
        assert folders(base / "out") == folders(base / "src")
        with tarfile.open(archive.location) as tar:
            assert [(m.path, m.size, m.is_folder) for m in members(archive.location)] == [
                (m.name, m.size, m.isdir()) for m in tar
            ]
            assert all((m.mtime, m.uid, m.uname) == (0, 0, "") for m in tar)


def test_the_order_of_a_folder_does_not_count(tmp_path):
    for order in ("abc", "cba"):
        (tmp_path / order).mkdir()
        for name in order:
            (tmp_path / order / name).write_text(name)
    assert packed(tmp_path / "abc", tmp_path / "store") == packed(tmp_path / "cba", tmp_path / "store")


def _archive_of(tmp_path, *infos):
    location = tmp_path / "evil.tar"
    with tarfile.open(location, "w", format=tarfile.PAX_FORMAT) as tar:
        for info in infos:
            info.size = 1 if info.isreg() else 0
            tar.addfile(info, io.BytesIO(b"x") if info.isreg() else None)
    return Archive(path=".", kind="code", digest="sha256:0", size=1, location=location)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "./x", "..", "a/.", "é/../x"])
def test_no_path_leads_outside(tmp_path, name):
    with pytest.raises(RegistryError) as caught:
        extract(_archive_of(tmp_path, tarfile.TarInfo(name)), tmp_path / "deep/out")
    assert caught.value.code == "archive_corrupt"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "evil.tar"]


def test_only_files_are_unpacked(tmp_path):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    with pytest.raises(RegistryError) as caught:
        extract(_archive_of(tmp_path, link), tmp_path / "out")
    assert caught.value.code == "archive_corrupt"


def test_nothing_is_overwritten_and_no_link_is_followed(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x").symlink_to(tmp_path / "victim")
    with pytest.raises(RegistryError) as caught:
        extract(_archive_of(tmp_path, tarfile.TarInfo("x")), tmp_path / "out")
    assert caught.value.code == "archive_unpack"
    assert not (tmp_path / "victim").exists()


def _changed(archive, data):
    archive.location.write_bytes(data)
    return archive


@pytest.mark.parametrize("read_only", [True, False])
def test_an_archive_that_holds_something_else_is_never_unpacked_as_if_it_were_right(tmp_path, read_only):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("print(1)")
    archive = packed(tmp_path / "src", tmp_path / "store")
    good = archive.location.read_bytes()
    (tmp_path / "src/b.py").write_text("import a")
    (tmp_path / "src/a.py").chmod(0o755)
    other = packed(tmp_path / "src", tmp_path / "store").location.read_bytes()
    extract(_changed(archive, good), tmp_path / "good", read_only=read_only)
    assert (tmp_path / "good/a.py").stat().st_mode & 0o777 == (0o400 if read_only else 0o644)
    for number, data in enumerate((good.replace(b"print(1)", b"print(2)"), other, good[:512] + good[1024:])):
        with pytest.raises(RegistryError) as caught:
            extract(_changed(archive, data), tmp_path / f"out{number}", read_only=read_only)
        assert caught.value.code == "archive_corrupt"


def test_no_more_is_unpacked_than_the_archive_is_to_hold(tmp_path):
    huge = tarfile.TarInfo("huge")
    with pytest.raises(RegistryError, match="does not hold what was published"):
        extract(evolve(_archive_of(tmp_path, huge), size=0), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_pipe_in_an_archives_place_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RegistryError, match="no regular file"):
        digest_of(tmp_path / "pipe")


def test_whatever_lies_in_an_archives_place_gives_way_to_it(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a")
    archive = packed(tmp_path / "src", tmp_path / "store")
    good = archive.location.read_bytes()
    for lay in (
        lambda place: os.mkfifo(place),
        lambda place: place.symlink_to(tmp_path / "src"),
        lambda place: place.mkdir(),
        lambda place: (place / "full").mkdir(parents=True),
    ):
        archive.location.unlink()
        lay(archive.location)
        assert packed(tmp_path / "src", tmp_path / "store") == archive
        assert archive.location.read_bytes() == good
        assert list((tmp_path / "store").iterdir()) == [archive.location]
    assert (tmp_path / "src" / "a.py").exists()


def test_who_was_let_in_to_read_an_archive_stays_in_when_it_is_packed_again(tmp_path):
    (tmp_path / "src").mkdir()
    archive = packed(tmp_path / "src", tmp_path / "store")
    assert archive.location.stat().st_mode & 0o777 == 0o600
    archive.location.chmod(0o646)
    assert packed(tmp_path / "src", tmp_path / "store") == archive
    assert archive.location.stat().st_mode & 0o777 == 0o644


def test_an_empty_folder_becomes_an_empty_folder(tmp_path):
    (tmp_path / "src").mkdir()
    archive = packed(tmp_path / "src", tmp_path / "store")
    extract(archive, tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    assert archive.size == 0


@pytest.mark.parametrize("swapped", ["src/a", "src/a/deep", "src/a/deep/x", "src"])
def test_nothing_is_packed_through_what_was_swapped_for_a_link_meanwhile(tmp_path, swapped):
    for name, text in (("src", "mine"), ("elsewhere", "secret")):
        (tmp_path / name / "a/deep").mkdir(parents=True)
        (tmp_path / name / "a/deep/x").write_text(text)
    (tmp_path / "src/link").symlink_to("a/deep/x")
    found = files_in(tmp_path / "src", tmp_path / "store").found
    assert pack(found, tmp_path / "store").size == 8  # a link within the folder is followed
    (tmp_path / swapped).rename(tmp_path / "aside")
    (tmp_path / swapped).symlink_to(tmp_path / "elsewhere" / Path(swapped).relative_to("src"))
    assert (tmp_path / "src/a/deep/x").read_text() == "secret"
    with pytest.raises(NotBundled) as caught:
        pack(found, tmp_path / "store")
    assert caught.value.code == "file_changed"
    (kept,) = (tmp_path / "store").iterdir()
    assert b"secret" not in kept.read_bytes()


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path):
    class Shrinking:
        def __fspath__(self):
            return str(tmp_path / "big")

    (tmp_path / "big").write_bytes(b"x" * 100)
    real = os.fstat

    def fstat(handle):
        found = real(handle)
        if found.st_size == 100:
            os.truncate(tmp_path / "big", 50)
        return found

    os.fstat, kept = fstat, os.fstat
    try:
        with pytest.raises(NotBundled, match="shorter"):
            pack([Found("big", tmp_path / "big")], tmp_path / "store")
    finally:
        os.fstat = kept
    assert list((tmp_path / "store").iterdir()) == []


_WRITER = """
import sys
with open(sys.argv[1], "r+b") as file:
    print("up", flush=True)
    number = 0
    while True:
        number += 1
        file.seek(0)
        file.write(bytes([number % 256]) * 300_000)
        file.truncate(100_000 + number % 200_000)
"""


def test_an_archive_holds_what_its_digest_says_while_files_change(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/log").write_bytes(b"x" * 300_000)
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path / "src/log"], stdout=subprocess.PIPE)
    try:
        writer.stdout.readline()
        for _ in range(20):
            try:
                archive = packed(tmp_path / "src", tmp_path / "store")
            except NotBundled as error:
                assert error.code == "file_changed"
            else:
                assert digest_of(archive.location) == (archive.digest, archive.size)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


_TAKER = """
import sys
from pathlib import Path
from penstock.snapshot.packing import pack
from penstock.snapshot.walking import files_in
print("up", flush=True)
while True:
    pack(files_in(Path(sys.argv[1]), Path(sys.argv[2])).found, Path(sys.argv[2]))
"""


def test_takers_that_are_killed_leave_nothing_wrong(tmp_path):
    source, store = Path(os.path.realpath(tmp_path)) / "src", tmp_path / "store"
    source.mkdir()
    for number in range(20):
        (source / f"f{number}").write_bytes(os.urandom(20_000))
    for _ in range(3):
        takers = [
            subprocess.Popen([sys.executable, "-c", _TAKER, source, store], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for taker in takers:
            taker.stdout.readline()
        time.sleep(0.05)
        for taker in takers:
            taker.send_signal(signal.SIGKILL)
            taker.wait()
            taker.stdout.close()
        for archive in store.glob("*.tar"):
            assert digest_of(archive)[0] == f"sha256:{archive.stem}"
    archive = packed(source, store)
    assert digest_of(archive.location) == (archive.digest, archive.size)


def test_what_the_dead_left_is_swept(tmp_path):
    (tmp_path / "src").mkdir()
    store = tmp_path / "store"
    store.mkdir()
    (store / ".dead.partial").touch()
    with draft(store, ".", ".partial") as living:
        archive = packed(tmp_path / "src", store)
        assert set(store.iterdir()) == {living, archive.location}


RULES = {
    "*.log\n!keep.log": {"a.log": False, "keep.log": True, "sub/b.log": False, "sub/keep.log": True},
    "/top\nsub/inner": {"top": False, "sub/top": True, "sub/inner/x": False, "inner": True},
    "build/": {"build/x": False, "sub/build/y": False, "deep/build": True},
    "*\n!*/\n!*.py": {"a.py": True, "a.csv": False, "sub/b.py": True, "sub/b.csv": False},
    "out/*\n!out/keep": {"out/a": False, "out/keep": True, "out/sub/x": False},
    "out/\n!out/keep": {"out/keep": False},
    "# words\n\n\\#x\n  \n": {"#x": False, "x": True},
    "a/**/z\n": {"a/z": False, "a/b/c/z": False, "z": True},
    "a/**/\n": {"a/x": True, "a/b/x": False},
    "a/**\n!*.py": {"a/x.py": True, "a/y": False, "a/b/x.py": False, "x": True},
    "!.git\n!__pycache__": {".git/HEAD": False, "sub/__pycache__/x": False, ".penstock/x": False, "ok": True},
    "x\r\ny \r\n[\n": {"x": False, "y": False, "z": True},
}


@pytest.mark.parametrize("rules", RULES)
def test_ignore_rules(tmp_path, rules):
    for path in RULES[rules]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / ".gitignore").write_bytes(rules.encode())
    travels = set(travelling(tmp_path.resolve(), tmp_path / "store")) - {".gitignore"}
    assert travels == {path for path, stays in RULES[rules].items() if stays}


def test_nearer_rules_win_and_an_ignored_folder_stays_ignored(tmp_path):
    for path in ("sub/a.log", "sub/deep/b.log", "gone/c.log", "sub/d.txt", "link.log"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / ".gitignore").write_text("*.log\n*.txt\n/gone/\nbroken\n")
    (tmp_path / "sub/.gitignore").write_text("!*.log\n/deep/b.log\n")
    (tmp_path / "gone/.gitignore").write_text("!*.log\n")
    (tmp_path / "broken").symlink_to("nowhere")
    found = travelling(tmp_path.resolve(), tmp_path / "store")
    assert found == [".gitignore", "sub/.gitignore", "sub/a.log"]


_patterns = st.sampled_from([
    "*", "!*/", "!*.py", "a", "a/", "/a", "a/b", "a/*", "a/**", "**/a", "!a", "!a/", "!b", "b/", "*.py", "!x.py", "/*",
    "!/a", "[ab]", "?", "**/", "!**/", "a/**/b", "a/**/", "b*/", "!a/b",
])  # fmt: skip


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["", "a/", "b/", "a/b/"]), st.lists(_patterns, min_size=1, max_size=5), min_size=1)
)
def test_git_agrees(rules):
    with tempfile.TemporaryDirectory() as name:
        root = Path(os.path.realpath(name))
        for folder in ("", "a/", "b/", "a/b/", "a/a/", "b/a/b/"):
            (root / folder).mkdir(exist_ok=True, parents=True)
            for file in ("x.py", "y", f"c{len(folder)}"):
                (root / folder / file).touch()
        for folder, lines in rules.items():
            (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")
        clean = {"PATH": os.environ["PATH"], "HOME": name, "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", "init", "-q", "--template="], cwd=root, env=clean, check=True)
        command = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, env=clean, check=True, capture_output=True).stdout
        ours = travelling(root, root / "store")
        assert ours == sorted(path for path in listed.decode().split("\0") if path)
