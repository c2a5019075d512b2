"""How the suite shares the machine, and fixtures of every suite: a project, a workspace in it, no engine left."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import json
import os
import signal
import sys
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

from penstock.workspace import Workspace

# A slow moment of the machine is no finding; a failure prints how to make it happen again.
settings.register_profile("thorough", deadline=None, print_blob=True)
settings.register_profile("house", settings.get_profile("thorough"), max_examples=30)
settings.load_profile("house")

# A shell's background jobs are born deaf to Ctrl-C, and so would be what tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Modules are compiled once, and not by each of the processes that are started by the hundred.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests wait more than they compute: two cores are busy with this many workers.
WORKERS = 6

# Tests that share what is dear to make, or that ask what came of each other.
TOGETHER = (
    "tests/conformance/test_local_target.py::TestLocal::",
    "tests/demo/test_demo_play.py::",
    "tests/packaging/test_distribution.py::",
    "tests/packaging/test_stranger.py::",
)

# Where the tests of a file share a server, or all sources once they are read: on several workers each has its own.
TOGETHER_BY_FILE = (
    "tests/azureml_v1/",
    "tests/metrics/",
    "tests/server/",
    "tests/test_error_codes.py",
    "tests/test_house.py",
)

# Suites of cloud backends, and what they need of the vendors' own, which `requirements-cloud.lock` installs.
CLOUD = ("tests/azureml/", "tests/azureml_emulator/", "tests/vertex/", "tests/vertex_emulator/")
GOOGLES_OWN = ("google.cloud.aiplatform_v1", "google.cloud.logging_v2", "google.cloud.storage", "kfp")
VENDORS_OWN = ("azure.ai.ml", "trustme", *GOOGLES_OWN)

# A stranger's suite is run where the stranger's distribution is installed.
collect_ignore = ["distributions"]

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: greet
description: Writes a greeting.
parameters:
  name: {type: string, default: world, maxLength: 20}
  times: {type: integer, default: 1, minimum: 1, maximum: 5}
steps:
  write:
    command: [sh, -c, 'printf "hello %s x%s" "$1" "$2" > "$3"', sh, "${{ parameters.name }}",
      "${{ parameters.times }}", "${{ outputs.text }}"]
    outputs: {text: string}
outputs:
  text: "${{ steps.write.outputs.text }}"
"""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Folders run in several processes, single files and tests in this one, unless `-n`, `--tx` or `--pdb` is given."""
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or "PYTEST_XDIST_WORKER" in os.environ:
        return  # neither a worker shares its work, nor what its tests start
    named = any(argument.partition("::")[0].endswith(".py") for argument in config.args)
    if option.numprocesses is None and not (option.tx or option.usepdb or named):
        option.numprocesses = WORKERS


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test goes to the next worker that is free; those that belong together go to one worker, and first of all."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(TOGETHER_BY_FILE):
                return nodeid.partition("::")[0]
            return next((prefix for prefix in TOGETHER if nodeid.startswith(prefix)), nodeid)

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the machine alone comes last, when nobody else is kept waiting by it; some tests are sampled."""
    items.sort(key=_needs_the_machine_alone)
    _sample(items)
    cloud = [item for item in items if item.nodeid.startswith(CLOUD)]
    missing = ", ".join(name for name in VENDORS_OWN if not _is_installed(name)) if cloud else ""
    if missing and os.environ.get("PENSTOCK_TEST_CLOUD"):  # as CI has it, which must skip none of them
        raise pytest.UsageError(f"the suites of the cloud backends need {missing}")
    for item in cloud if missing else ():
        item.add_marker(pytest.mark.skip(reason=f"needs {missing}: see `requirements-cloud.lock`"))


def _sample(items: list[pytest.Item]) -> None:
    """Of the cases of a test that is marked `sampled`, leave all but some to `thorough`; another test keeps others."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sampled"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for name, found in cases.items():
        kept = found[0].get_closest_marker("sampled").args[0]
        first = zlib.crc32(name.encode())
        spread = {(first + len(found) * number // kept) % len(found) for number in range(kept)}
        for number, item in enumerate(found):
            if number not in spread:
                item.add_marker("thorough")


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _needs_the_machine_alone(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("serial", "benchmark"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that needs the machine alone has it, fixtures included; waiting for it is no part of anybody's timeout."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with _share_of_machine(Path(item.config.option.basetemp).parent, alone=_needs_the_machine_alone(item)):
        return (yield)


@contextmanager
def _share_of_machine(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the run's lock, with others or alone. Who waits for it stands in the turnstile, so that nobody overtakes."""
    with (folder / "turnstile.lock").open("w") as turnstile, (folder / "machine.lock").open("w") as machine:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Closing is not enough: a forked child that a test left behind has the same open file.
            fcntl.flock(machine, fcntl.LOCK_UN)


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch):
    """No test sees the configuration of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def bound_by_permissions():
    """What to put before a command so that permissions hold for it: root without its right to pass over them."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a spec and two targets, the current folder of the test; its engines end with it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "greet.yaml").write_text(SPEC)
    (folder / "penstock.yaml").write_text(
        "target: laptop\n"
        "targets:\n"
        "  laptop: {backend: local, idle: 2s, slots: 4}\n"
        "  spare: {backend: local, idle: 2s, slots: 4}\n"
    )
    monkeypatch.chdir(folder)
    yield folder
    end_engines(folder)


@pytest.fixture
def workspace(project):
    with Workspace.open(project, actor="ada") as opened:
        yield opened


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Install a little distribution: `distribution("penstock-x", {"penstock.plugins": {"x": "mod:X"}}, mod=source)`."""

    imported: list[str] = []

    def install(name: str, entry_points: dict[str, dict[str, str]], **modules: str) -> Path:
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, entries in entry_points.items()
            for line in [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(textwrap.dedent(source))
            monkeypatch.delitem(sys.modules, module, raising=False)
            imported.append(module)
        monkeypatch.syspath_prepend(site)
        return site

    yield install
    for module in imported:  # another test's module of that name is another one
        sys.modules.pop(module, None)


@pytest.fixture
def far(distribution):
    """The backend `far`, fresh for each test; its lists and sets are what a test looks at and changes."""
    source = (Path(__file__).parent / "distributions/penstock_far/penstock_far.py").read_text()
    distribution("penstock-far", {"penstock.backends": {"far": "penstock_far"}}, penstock_far=source)
    module = importlib.import_module("penstock_far")
    yield module
    module.go_on.set()


@pytest.fixture(scope="session")
def engines_end():
    """`end_engines`, for fixtures that live longer than a test."""
    return end_engines


def end_engines(folder: Path) -> None:
    """Kill every engine whose root lies below the folder, and wait until it is gone."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"penstock_local.engine" in arguments and any(str(folder).encode() in one for one in arguments):
            os.kill(int(process.name), signal.SIGTERM)
            for _ in range(200):
                if not process.exists() or b"penstock_local.engine" not in (process / "cmdline").read_bytes():
                    break
                time.sleep(0.05)
            else:
                os.kill(int(process.name), signal.SIGKILL)


def module_at(file: Path) -> ModuleType:
    """Import a file that lies beside the tests under its own name."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def importing() -> Callable[[Path], ModuleType]:
    """`module_at`, for what lies in the folder of a suite."""
    return module_at


@pytest.fixture(scope="session")
def shell_environment():
    """The environment of somebody who put the virtual environment's `bin` first in PATH."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "PENSTOCK_ACTOR": "ada"}


@pytest.fixture(scope="session")
def serving():
    """The module of `tests/serving.py`; without the extra `server` its tests are skipped by name."""
    pytest.importorskip("uvicorn", reason="needs the extra `server`")
    return module_at(Path(__file__).with_name("serving.py"))


@pytest.fixture(scope="session")
def answered() -> Callable[[str, object], None]:
    """Hold what a command printed with `--json` to `specs/schema/output.schema.json`, by the command's name."""
    jsonschema = pytest.importorskip("jsonschema", reason="needs the group `suite`")
    definitions = json.loads((Path(__file__).parents[1] / "specs/schema/output.schema.json").read_text())["$defs"]

    def check(name: str, document: object) -> None:
        schema = {"$ref": f"#/$defs/{name}", "$defs": definitions}
        formats = jsonschema.FormatChecker()
        errors = list(jsonschema.Draft202012Validator(schema, format_checker=formats).iter_errors(document))
        assert errors == [], f"{name}: {errors[0].json_path}: {errors[0].message}"

    return check
