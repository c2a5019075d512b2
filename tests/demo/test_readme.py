"""README's commands are run as they are written, and what it claims is compared with the code."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock import errors
from penstock.config import build_plugin, load_config
from penstock.spec.values import OpenedPath
from penstock_azureml_v1.hooks import AzuremlV1
from penstock_azureml_v1.submissions import parameters_of

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """The text under a heading; under the title itself, what comes before the first heading."""
    return next(part for part in re.split(r"^##? ", README, flags=re.M) if part.startswith(f"{title}\n"))


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, without those that set a fresh machine up."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)
    return [block for block in found if not block.startswith("python3.11 -m venv")]


def script(lines: str) -> str:
    """The lines as a script that stops at the first that does not end as its comment says (`exit N`)."""
    checked = re.sub(
        r"^(penstock .*?)\s+# .*\bexit (\d+)\b.*$", r"code=0; \1 || code=$?; test $code -eq \2", lines, flags=re.M
    )
    return f"set -e\n{checked}"


@pytest.fixture
def shell(project, shell_environment):
    """Run a script in the test's folder and answer its standard output."""

    def run(lines: str, folder: Path = project) -> str:
        done = subprocess.run(
            ["bash", "-c", script(lines)],
            cwd=folder,
            env=shell_environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def digits(project):
    """A copy of the example, as README says."""
    return Path(shutil.copytree(ROOT / "specs" / "digits", project / "digits"))


def test_the_first_screen_is_a_real_play():
    table = blocks(section("penstock"), "text")[0].splitlines()
    assert table[0].split() == ["RUN", "VERSION", "RESOLVED", "ESTIMATOR", "MAX_DEPTH", "TREES", "STATE", "ACCURACY"]
    versions = [re.split(r"\s{2,}", line)[1:3] for line in table[1:6]]
    assert versions == [
        ["digits@0", "default"],
        ["digits@1", "pinned"],
        ["digits@1", "pinned"],
        ["digits@1", "default"],
        ["digits@0", "default"],
    ]


@pytest.mark.usefixtures("serving")
@pytest.mark.skipif(shutil.which("curl") is None, reason="the trigger by URL is sent with curl")
def test_the_five_lines_and_the_trigger_by_url_after_them(shell, digits):
    five, by_url = blocks(section("penstock"), "sh")
    assert len(five.splitlines()) == 5
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "127.0.0.1:8642" in by_url
    served = (
        by_url.replace(":8642", f":{port}").replace("curl ", "curl -s -D head ").replace("serve &", "serve 2>log &")
    )
    ended = "trap 'kill $(jobs -p); wait' EXIT"
    said = shell(f"{ended}\nexport PENSTOCK_SERVER_PORT={port}\n{five}{served}", digits)
    assert "digits@0" in said and "digits@1" in said and "dirty scanner" in said
    assert (digits / "head").read_text().splitlines()[0].split()[1] == "201"
    assert '"max_depth":12' in said and '"replayed":false' in said


def test_the_kit_is_asked_for_a_target_that_init_makes(shell, project):
    (asked,) = re.findall(r"^penstock conformance (\w+)", section("Conformance"), flags=re.M)
    assert f'"{asked}"' in shell("rm penstock.yaml; penstock init; penstock target list --json")


def test_your_own_pipeline(shell):
    said = shell("\n".join(blocks(section("Your own pipeline in five minutes"), "sh")))
    for text in ("30.0", "15.0", "20.0", "prices are being corrected", "a median was not asked for", "minimum"):
        assert text in said


def test_digits_by_hand(shell, project):
    shutil.copytree(ROOT / "specs" / "digits", project / "specs" / "digits")
    said = shell(blocks(section("Digits by hand"), "sh")[0])
    assert "confusion_matrix" in said


def test_from_python(digits, shell_environment):
    (code,) = blocks(section("From Python"), "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=digits,
        env=shell_environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    accuracy, picture = done.stdout.split()
    assert 0.8 < float(accuracy) <= 1
    assert Path(picture).is_file()


def test_the_exit_codes_are_those_of_the_errors():
    shown = {int(code) for code in re.findall(r"\| (\d+) (?=\|)", section("For scripts"))}
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PenstockError)
    ]
    assert shown == {0, 130, 141} | {kind.exit_code for kind in classes}


def test_the_configuration_is_valid(project):
    (project / "penstock.yaml").write_text(blocks(section("Configuration"), "yaml")[0])
    config = load_config(project, env={"PENSTOCK_TARGETS_LAPTOP_SLOTS": "3"})
    assert config.targets["laptop"].options["slots"].value == 3


def test_a_mapped_datastore_is_opened_as_readme_configures_it(project):
    (yaml,) = blocks(section("Come from Azure ML v1"), "yaml")
    (project / "penstock.yaml").write_text(yaml.replace("/data/blob", str(project / "blob")))
    door = build_plugin(load_config(project, env={}), "azureml_v1", AzuremlV1)
    named = {"DataStoreName": "workspaceblobstore", "RelativePath": "monday/table.csv"}
    given = parameters_of({"DataPathAssignments": {"table": named}}, door)
    assert given == {"table": OpenedPath(project / "blob" / "monday" / "table.csv")}
    assert isinstance(given["table"], OpenedPath)


def test_the_tests_and_the_demo_are_set_up_by_the_same_line():
    first, second, cloud = re.findall(r"^`?(python3\.11 -m venv [^`\n]*)`?$", README, flags=re.M)
    same = first.removesuffix("penstock demo")
    assert second.removesuffix("python -m pytest") == same
    other = same.replace(".venv", ".venv-cloud").replace("requirements.lock", "requirements-cloud.lock")
    suites = "tests/azureml tests/azureml_emulator tests/vertex tests/vertex_emulator"
    assert cloud == f"{other}python -m pytest {suites}"
