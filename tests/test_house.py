"""The rules of the house, as far as a program can see them."""

import ast
import functools
import importlib
import inspect
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from attrs import frozen

import penstock
from penstock import codes, errors
from penstock.contract import hooks as hookspecs

ROOT = Path(__file__).parents[1]
IMPORT_ROOTS = [
    folder.parent
    for floor in ("framework", "backends", "plugins")
    for folder in sorted((ROOT / floor).glob("*/__init__.py"))
]
SOURCES = sorted(file for root in IMPORT_ROOTS for file in root.rglob("*.py"))
EVERYTHING = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "specs").rglob("*.py"))]
TESTS = [file for file in sorted((ROOT / "tests").rglob("*.py")) if "planted" not in file.parts]
VENDORS = ("google", "azure", "kfp")
SLOW = ("rich", "sqlite_utils", "sqlite3", "yaml", "attr", "cattrs", "pluggy", "re2", "importlib.metadata")


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def module_of(file: Path) -> str:
    root = next(root for root in IMPORT_ROOTS if root in file.parents)
    parts = file.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def module_file(module: str) -> Path:
    """Where a module lies, without the end of its name; for a package its folder."""
    root = next(root for root in IMPORT_ROOTS if module.partition(".")[0] == root.name)
    return root.parent.joinpath(*module.split("."))


MODULES = [module_of(file) for file in SOURCES if file.name != "__main__.py"]


@frozen
class Seen:
    """What the rules ask of a file, which is parsed once for all of them."""

    lines: int
    docstring: str
    names: frozenset[str]
    """Every identifier that it defines, takes or uses."""
    docstrings: tuple[str, ...]
    imports: tuple[str, ...]
    """The modules that it imports at its top."""


@functools.cache
def seen(file: Path) -> Seen:
    text = file.read_text()
    tree = ast.parse(text)
    names, docstrings = set[str](), list[str]()
    for node in ast.walk(tree):
        names |= {found for field in NAMING if isinstance(found := getattr(node, field, None), str)}
        if isinstance(node, DOCUMENTED):
            docstrings.append(ast.get_docstring(node) or "")
    imports = list[str]()
    for node in tree.body:
        imports += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imports += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return Seen(
        lines=len(text.splitlines()),
        docstring=docstrings[0],
        names=frozenset(names),
        docstrings=tuple(docstrings),
        imports=tuple(imports),
    )


NAMING = ("name", "id", "arg", "attr", "asname")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def python(code: str, *flags: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_imports_keep_to_their_floors() -> None:
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([script, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_import_root_is_typed() -> None:
    assert [root.name for root in IMPORT_ROOTS if not (root / "py.typed").is_file()] == []
    assert {"penstock", "penstock_local", "penstock_audit"} <= {root.name for root in IMPORT_ROOTS}


def test_the_public_surface_is_complete_and_sorted() -> None:
    assert penstock.__all__ == sorted(penstock.__all__)
    for name in penstock.__all__:
        assert getattr(penstock, name).__module__.startswith("penstock") or name == "hookimpl"
    front = ast.parse((ROOT / "framework/penstock/__init__.py").read_text())
    checked = next(node for node in front.body if isinstance(node, ast.If))
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    for_type_checkers = {alias.name for node in imports for alias in node.names}
    assert for_type_checkers == set(penstock.__all__) == set(dir(penstock))
    with pytest.raises(AttributeError, match="no attribute `Pipelin`"):
        _ = penstock.Pipelin


def test_what_a_module_offers_is_there_and_listed_once() -> None:
    for module in MODULES:
        loaded = importlib.import_module(module)
        offered = getattr(loaded, "__all__", [])
        assert len(set(offered)) == len(offered), module
        assert [name for name in offered if not hasattr(loaded, name)] == [], module


HOOKS = [
    (holder, name)
    for holder in (hookspecs.BackendHooks, hookspecs.WorkspaceHooks)
    for name in vars(holder)
    if name.startswith("penstock_")
]


def _words(folder: str) -> dict[str, set[str]]:
    return {
        named(file): set(re.findall(r"\w+", file.read_text()))
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file != Path(__file__)
    }


def test_every_hook_is_documented_tested_and_implemented_or_told() -> None:
    tested, backends = _words("tests"), _words("backends")
    framework = {**_words("framework"), **_words("plugins")}
    framework.pop("framework/penstock/contract/hooks.py")
    for holder, name in HOOKS:
        assert inspect.getdoc(getattr(holder, name)), f"{name} has no docstring"
        assert [file for file, words in tested.items() if name in words], f"{name} is in no test"
        users = backends if holder is hookspecs.BackendHooks else framework
        assert [file for file, words in users.items() if name in words], f"nobody implements or tells {name}"


def test_help_imports_nothing_slow_and_no_vendor() -> None:
    code = (
        "import sys\nfrom penstock.cli import main\nmain(['--help'])\n"
        f"print([name for name in {(*VENDORS, *SLOW)!r} if name in sys.modules], file=sys.stderr)"
    )
    done = python(code)
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


def test_importing_penstock_imports_nothing() -> None:
    code = f"import sys, penstock\nprint([name for name in {(*VENDORS, *SLOW)!r} if name in sys.modules])"
    assert python(code).stdout.strip() == "[]"


ALONE = """
import gc, importlib, os, sys, traceback
import attrs, cattrs, click, hypothesis, hypothesis.stateful, logging, pluggy, pytest, sqlite3, sqlite_utils, yaml
gc.disable()
waiting, children, covered = sys.argv[1:], {}, set()
while waiting or children:
    if not waiting or len(children) == 2 * os.cpu_count():
        child, failed = os.wait()
        module, pipe = children.pop(child)
        covered.update(pipe.read().split())
        if failed:
            print(module)
        continue
    module = waiting.pop(0)
    if module in covered:
        continue
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        children[child] = module, open(reading)
        continue
    try:
        importlib.import_module(module)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os.write(writing, " ".join(name for name in sys.modules if name.startswith(module + ".")).encode())
    os._exit(0)
"""


@pytest.mark.thorough
def test_every_module_imports_alone_and_without_a_warning() -> None:
    # A fork of an interpreter that has imported only libraries is as good as a new one, and much quicker. Whoever
    # imports a module imports its packages first: what those have imported by then has nothing more to do.
    packages = sorted((module for module in MODULES if (module_file(module) / "__init__.py").exists()), key=len)
    rest = sorted(set(MODULES) - set(packages))
    done = python(ALONE, "-W", "error", arguments=[*packages, *rest])
    assert done.stdout.split() == [], done.stderr


def _is_longer(file: Path, lines: int) -> bool:
    return seen(file).lines > lines and "Longer than" not in seen(file).docstring


def test_a_module_is_short_and_says_why_it_exists() -> None:
    assert [named(file) for file in SOURCES if not seen(file).docstring] == [], "no module docstring"
    assert [named(file) for file in SOURCES if _is_longer(file, 300)] == [], "too long, and no sentence says why"
    assert [named(file) for file in SOURCES if file.name == "utils.py"] == []


def test_a_test_file_is_short_enough_or_says_why_not() -> None:
    assert [named(file) for file in TESTS if _is_longer(file, 400)] == [], "too long, and no sentence says why"


# Words that were ours alone, and what the trade calls it. The kit has its own, still.
NOT_OUR_WORDS = {
    "anew": "fresh",
    "burnt": "reserved",
    "care": "admin",
    "crowd": "concurrency",
    "crowds": "concurrency",
    "foresee": "check_can_add",
    "itself": "system",
    "orders": "messages",
    "printing": "text",
    "story": "recorder",
    "tally": "attempts",
    "travelling": "bundled",
    "unlucky": "failed",
    "untravelled": "not_bundled",
}


def _parts(name: str) -> list[str]:
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def test_words_that_were_put_right_do_not_come_back() -> None:
    assert _parts("HTTPStatus.story_OfOrders") == ["http", "status", "story", "of", "orders"]
    back = {
        f"{named(file)}: {name}: {NOT_OUR_WORDS[part]}"
        for file in SOURCES
        if "testing" not in file.relative_to(ROOT).parts
        for name in (*file.relative_to(ROOT).with_suffix("").parts, *seen(file).names)
        for part in _parts(name)
        if part in NOT_OUR_WORDS
    }
    assert back == set()


EXCEPTIONS = ("type: ignore", "noqa")


def _comments(file: Path) -> Iterator[str]:
    text = file.read_text()
    if not any(word in text for word in EXCEPTIONS):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def test_every_exception_to_a_rule_has_its_reason() -> None:
    reasoned = re.compile(r"#\s*(type: ignore\[[\w, -]+\]|noqa: [A-Z0-9, ]+?)\s+(#\s*)?\S+ \S+")
    bare = [
        f"{named(file)}: {comment}"
        for file in EVERYTHING
        for comment in _comments(file)
        if any(word in comment for word in EXCEPTIONS) and not reasoned.search(comment)
    ]
    assert bare == []


def test_no_docstring_hides_code() -> None:
    """A line that was to do something and slipped into the text above it does nothing, and nobody notices."""
    code = re.compile(r"^(\w+ = \S+|@\w+[\w.]*(\(.*\))?|import \w+|from [\w.]+ import \w+)$", re.MULTILINE)
    assert code.search("Text.\n\npytestmark = slow\n\nMore text.")
    found = [
        f"{named(file)}: {line.group()}"
        for file in EVERYTHING
        for docstring in seen(file).docstrings
        for line in code.finditer(docstring)
    ]
    assert found == []


def test_no_module_imports_a_vendor_at_its_top() -> None:
    found = [(named(file), name) for file in SOURCES for name in seen(file).imports if name.split(".")[0] in VENDORS]
    assert found == []


def test_each_class_of_errors_has_a_code_and_an_exit_status_of_its_own() -> None:
    classes = {
        name: (found.code, found.exit_code, found.http_status)
        for name, found in vars(errors).items()
        if inspect.isclass(found) and issubclass(found, errors.PenstockError) and not name.startswith("_")
    }
    assert classes == {name: (row.code, row.exit_code, row.http_status) for name, row in codes.KINDS.items()}
    assert len({exit_code for _, exit_code, _ in classes.values()}) == len(classes)


@pytest.mark.parametrize("file", sorted((ROOT / "specs/schema").glob("*.json")), ids=named)
def test_a_schema_is_the_one_its_types_give(file: Path) -> None:
    from penstock.cli.schemas import output_schema
    from penstock.codec import KINDS, schema
    from penstock.config import workspace_schema

    made = {f"{kind.lower()}.schema.json": schema(kind) for kind in KINDS}
    made |= {"workspace.schema.json": workspace_schema(), "output.schema.json": output_schema()}
    assert json.loads(file.read_text()) == made[file.name]


def test_every_kind_of_document_has_its_schema_file() -> None:
    from penstock.codec import KINDS

    expected = {f"{kind.lower()}.schema.json" for kind in (*KINDS, "Workspace", "Output")}
    assert {file.name for file in (ROOT / "specs/schema").glob("*.json")} == expected


def test_no_text_names_this_machine() -> None:
    own = str(ROOT)
    texts = [*EVERYTHING, ROOT / "pyproject.toml", ROOT / "requirements.lock", ROOT / "README.md", ROOT / ".ci/run"]
    assert [named(file) for file in texts if own in file.read_text()] == []


CLOUD = {"extras": {"azureml", "vertex", "vertex-logs"}, "groups": {"cloud"}}
"""What is in the lock of the cloud suites, and not in the one that README's test command installs."""


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-cloud.lock"])
def test_a_lock_pins_everything_by_hash_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert re.search(r"^#\s+uv pip compile .*--universal.*--generate-hashes", text, re.MULTILINE)
    pins = re.findall(r"^([\w.-]+)==\S+[^\n]*\\\n((?:\s+--hash=sha256:[0-9a-f]{64}[ \\]*\n?)+)", text, re.MULTILINE)
    names = {name.lower() for name, _ in pins}
    assert len(pins) == len(re.findall(r"^[\w.-]+==", text, re.MULTILINE))
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    is_cloud = lock == "requirements-cloud.lock"
    wanted = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *(each for name, extra in extras.items() if (name in CLOUD["extras"]) == is_cloud for each in extra),
        *(
            each
            for name, group in groups.items()
            if (name in CLOUD["groups"]) == is_cloud
            for each in group
            if isinstance(each, str)
        ),
    ]
    assert {re.split(r"[<>=!~;\[ ]", each)[0].lower() for each in wanted} <= names
