"""What a step gets and what becomes of what it leaves: arguments, environment, code, outputs, logs, failures."""

import json
import os
import pwd
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import NotFound
from penstock.spec import Defaults, Parameter, Retry, Step
from penstock_local import hooks

SHOW = "import json, sys; json.dump(sys.argv[1:], sys.stdout)"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
HOSTILE = st.sampled_from(
    [
        "",
        " ",
        "a b",
        "$(id)",
        "`id`",
        "; rm x",
        "'\"",
        "\\",
        "${{ parameters.a0 }}",
        "*",
        "-x",
        "\n",
        "\r\n",
        "é\u202e",
        "$HOME",
    ]
)


@pytest.mark.thorough
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXT | HOSTILE, min_size=1, max_size=8))
def test_a_value_arrives_byte_exact_in_its_own_argument(place, texts):
    names = [f"a{number}" for number in range(len(texts))]
    command = ["python", "-c", SHOW, *(f"${{{{ parameters.{name} }}}}" for name in names)]
    parameters = {name: Parameter("string") for name in names}
    run = place.submit(
        {"show": Step(command=command)}, parameters=parameters, values=dict(zip(names, texts, strict=True))
    )
    assert place.wait(run).state == "succeeded"
    assert json.loads(place.log(run, "show")) == texts


def test_a_value_replaces_its_placeholder_inside_one_argument(place):
    step = Step(command=["python", "-c", SHOW, "--a=${{ parameters.a }}:${{ parameters.a }}", "$${{ parameters.a }}"])
    run = place.submit({"show": step}, parameters={"a": Parameter("string")}, values={"a": "x ${{ parameters.b }}"})
    place.wait(run)
    shown = "x ${{ parameters.b }}"
    assert json.loads(place.log(run, "show")) == [f"--a={shown}:{shown}", "${{ parameters.a }}"]


def test_a_large_value_arrives(place):
    value = "x" * 64 * 1024
    step = Step(command=["python", "-c", "import sys; print(len(sys.argv[1]))", "${{ parameters.a }}"])
    run = place.submit({"show": step}, parameters={"a": Parameter("string")}, values={"a": value})
    place.wait(run)
    assert place.log(run, "show").strip() == b"65536"


def test_the_environment_is_exactly_what_is_promised(places, monkeypatch):
    monkeypatch.setenv("PASSED", "one\ntwo")
    monkeypatch.setenv("OTHER", "secret")
    place = places(pass_env=["PASSED", "ABSENT"])
    step = Step(command=["env", "-0"], env={"MODE": "fast ${{ parameters.a }}", "LANG": "C"})
    run = place.submit({"show": step}, parameters={"a": Parameter("string")}, values={"a": "$HOME"})
    assert place.wait(run).state == "succeeded"
    lines = place.log(run, "show").decode().split("\0")
    found = dict(line.split("=", 1) for line in lines if line)
    token, temporary = found.pop("PENSTOCK_STEP_TOKEN"), found.pop("TMPDIR")
    standard = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found == {
        "PATH": f"{Path(sys.executable).parent}:{standard}",
        "HOME": pwd.getpwuid(os.getuid()).pw_dir,
        "PASSED": "one\ntwo",
        "LANG": "C",
        "MODE": "fast $HOME",
    }
    assert len(token) == 32
    place.until(lambda: not os.path.lexists(temporary), "the folder stays")


def test_values_of_the_submitter_are_taken_when_it_submits(places, monkeypatch):
    place = places(pass_env=["PASSED"])
    publication = place.publish({"show": Step(command=["sh", "-c", 'printf "%s" "$PASSED"'])})
    monkeypatch.setenv("PASSED", "first")
    first = place.start(publication)
    monkeypatch.setenv("PASSED", "second")
    second = place.start(publication)
    place.wait(first)
    place.wait(second)
    assert (place.log(first, "show"), place.log(second, "show")) == (b"first", b"second")


def test_interrupts_and_standard_input_are_as_a_program_expects(place):
    check = "import signal, sys; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, sys.stdin.read())"
    run = place.submit({"show": Step(command=["python", "-c", check])})
    place.wait(run)
    assert place.log(run, "show") == b"True \n"


def test_each_attempt_works_in_its_own_copy_of_the_code(place):
    code = place.spec / "src"
    code.mkdir()
    (code / "main.sh").write_text("#!/bin/sh\nls > seen\ncat seen\ntouch left\necho x >> main.sh\nexit 1\n")
    (code / "main.sh").chmod(0o755)
    step = Step(command=["./main.sh"], code="./src", retry=Retry(attempts=2))
    run = place.submit({"one": step})
    assert place.wait(run).state == "failed"
    assert place.log(run, "one") == (
        b"main.sh\nseen\n--- attempt 2 of 2 after: exited with code 1 ---\nmain.sh\nseen\n"
    )
    assert (code / "main.sh").read_text().count("echo x") == 1


def test_outputs_travel_from_step_to_step_and_to_the_run(place):
    steps = {
        "make": Step(
            command=[
                "sh",
                "-c",
                'echo rows > "$1"; mkdir "$2"; touch "$2/model"; printf " 0.50\n" > "$3"; printf 7 > "$4"',
                "sh",
            ]
            + [f"${{{{ outputs.{name} }}}}" for name in ("table", "folder", "score", "count")],
            outputs={"table": "file", "folder": "directory", "score": "number", "count": "integer"},
        ),
        "use": Step(
            command=["sh", "-c", 'cat "$1"; ls "$2"; printf "%s %s" "$3" "$4"', "sh"]
            + [f"${{{{ inputs.{name} }}}}" for name in ("table", "folder", "score", "count")],
            inputs={name: f"${{{{ steps.make.outputs.{name} }}}}" for name in ("table", "folder", "score", "count")},
        ),
    }
    outputs = {"score": "${{ steps.make.outputs.score }}", "model": "${{ steps.make.outputs.folder }}"}
    run = place.submit(steps, outputs=outputs)
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "use") == b"rows\nmodel\n0.5 7"
    found = place.outputs(run)
    assert found["score"] == "0.5"
    assert (Path(found["model"]) / "model").exists()
    assert place.steps(run)["make"].outputs["count"] == "7"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("declared", "script", "code", "message"),
    [
        ("file", "true", "output_missing", "the output `x` was not written"),
        ("directory", "true", "output_missing", "the output `x` was not written"),
        ("file", 'mkdir "$1"', "output_invalid", "not a regular file"),
        ("file", 'ln -s /etc/passwd "$1"', "output_invalid", "is a link"),
        ("number", 'printf abc > "$1"', "output_invalid", "expected number"),
        ("integer", 'mkfifo "$1"', "output_invalid", "not a regular file"),
        ("number", 'printf nan > "$1"', "output_invalid", "NaN"),
        ("string", 'printf "\\377" > "$1"', "output_invalid", "UTF-8"),
        ("string", 'head -c 65537 /dev/zero | tr "\\0" x > "$1"', "output_invalid", "65,536"),
    ],
)
def test_an_output_that_is_not_what_was_declared_fails_the_step(place, declared, script, code, message):
    step = Step(command=["sh", "-c", script, "sh", "${{ outputs.x }}"], outputs={"x": declared})
    report = place.wait(place.submit({"one": step}))
    assert (report.state, report.error.code, report.error.step) == ("failed", code, "one")
    assert message in report.error.message
    assert report.steps[0].exit_code == 0


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("command", "code", "exit_code", "message"),
    [
        (["sh", "-c", "exit 3"], "step_failed", 3, "step `one`: exited with code 3"),
        (["sh", "-c", "kill -9 $$"], "step_failed", 137, "step `one`: ended by signal SIGKILL"),
        (
            ["no-such-command"],
            "step_not_started",
            None,
            "`no-such-command`, or the interpreter it names, was not found",
        ),
        (["./absent.sh"], "step_not_started", None, "was not found in its working folder"),
        (["/etc/passwd"], "step_not_started", None, "is not executable"),
    ],
)
def test_a_step_that_fails_says_how(place, command, code, exit_code, message):
    report = place.wait(place.submit({"one": Step(command=command)}))
    step = report.steps[0]
    assert (report.state, step.state, step.error.code, step.exit_code) == ("failed", "failed", code, exit_code)
    assert message in report.error.message
    assert report.error == step.error


def test_what_a_failure_makes_impossible_is_skipped_and_the_rest_goes_on(place):
    run = place.submit(
        {
            "bad": "false",
            "good": "true",
            "after_bad": Step(command="true", after=("bad",)),
            "after_that": Step(command="true", after=("after_bad", "good")),
            "after_good": Step(command="true", after=("good",)),
        },
    )
    report = place.wait(run)
    assert report.state == "failed"
    assert report.error.step == "bad"
    assert place.states(run) == {
        "bad": "failed",
        "good": "succeeded",
        "after_bad": "skipped",
        "after_that": "skipped",
        "after_good": "succeeded",
    }
    skipped = hooks.penstock_read_logs(place.target, run, "after_bad", 0)
    assert (skipped.data, skipped.next_offset, skipped.complete) == (b"", 0, True)


def test_outputs_that_were_never_produced_are_left_out(place):
    steps = {
        "good": Step(command=["sh", "-c", 'printf 1 > "$1"', "sh", "${{ outputs.x }}"], outputs={"x": "integer"}),
        "bad": Step(command="false", outputs={"x": "integer"}),
    }
    outputs = {"good": "${{ steps.good.outputs.x }}", "bad": "${{ steps.bad.outputs.x }}"}
    run = place.submit(steps, outputs=outputs)
    assert place.wait(run).state == "failed"
    assert place.outputs(run) == {"good": "1"}


def test_a_step_is_tried_again_after_a_delay(place, tmp_path):
    script = f'echo "$TMPDIR" >> {tmp_path}/tries; test $(wc -l < {tmp_path}/tries) -ge 3 && printf 1 > "$1"'
    step = Step(
        command=["sh", "-c", script, "sh", "${{ outputs.x }}"],
        outputs={"x": "integer"},
        retry=Retry(attempts=3, delay=0.2),
    )
    run = place.submit({"one": step})
    assert place.wait(run).state == "succeeded"
    one = place.steps(run)["one"]
    assert (one.attempt, one.exit_code, one.error) == (3, 0, None)
    assert (one.ended - one.started).total_seconds() >= 0.4
    assert len(set((tmp_path / "tries").read_text().split())) == 3


def test_a_step_that_takes_too_long_is_ended(place):
    run = place.submit({"one": Step(command="sleep 60", timeout=0.2), "two": "true"})
    report = place.wait(run)
    one = place.steps(run)["one"]
    assert (report.state, one.state, one.error.code) == ("failed", "failed", "step_timeout")
    assert "0.2 s" in one.error.message
    assert one.exit_code == 128 + signal.SIGTERM
    assert place.states(run)["two"] == "succeeded"


def test_a_travelling_default_is_read_by_path(place):
    (place.spec / "data").mkdir()
    (place.spec / "data" / "digits.csv").write_text("1,2\n")
    parameters = {
        "images": Parameter("file", default="./data/digits.csv"),
        "all": Parameter("directory", default="./data"),
    }
    step = Step(
        command=["sh", "-c", 'cat "$1"; ls "$2"; basename "$1"', "sh", "${{ inputs.images }}", "${{ inputs.all }}"],
        inputs={"images": "${{ parameters.images }}", "all": "${{ parameters.all }}"},
    )
    archives = place.snapshot(place.pipeline({"a": step}, parameters=parameters)).archives
    bundled = {name: path for name in parameters for path in archives if parameters[name].default == path}
    run = place.submit({"a": step, "b": step}, parameters=parameters, bundled=bundled)
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "a") == place.log(run, "b") == b"1,2\ndigits.csv\ndigits.csv\n"


def test_an_artifact_given_at_trigger_is_used_where_it_is(place, tmp_path):
    (tmp_path / "mine.csv").write_text("3\n")
    parameters = {"images": Parameter("file")}
    step = Step(command=["echo", "${{ inputs.images }}"], inputs={"images": "${{ parameters.images }}"})
    run = place.submit({"a": step}, parameters=parameters, artifacts={"images": str(tmp_path / "mine.csv")})
    place.wait(run)
    assert place.log(run, "a").decode() == f"{tmp_path}/mine.csv\n"


def test_logs_are_read_by_offset_while_they_grow(place, tmp_path):
    script = f"echo one; echo two >&2; while ! test -e {tmp_path}/go; do sleep 0.02; done; echo three"
    run = place.submit({"one": Step(command=["sh", "-c", script])})
    place.until(lambda: place.log(run, "one") == b"one\ntwo\n", "the first lines do not come")
    first = hooks.penstock_read_logs(place.target, run, "one", 0)
    assert (first.next_offset, first.complete) == (8, False)
    (tmp_path / "go").touch()
    place.wait(run)
    rest = hooks.penstock_read_logs(place.target, run, "one", first.next_offset)
    assert (rest.data, rest.next_offset, rest.complete) == (b"three\n", 14, True)


def test_a_long_log_comes_in_pieces(place):
    run = place.submit({"one": Step(command=["sh", "-c", "head -c 2500000 /dev/zero"])})
    place.wait(run)
    first = hooks.penstock_read_logs(place.target, run, "one", 0)
    assert len(first.data) == 1024 * 1024
    assert not first.complete
    assert len(place.log(run, "one")) == 2_500_000


def test_a_step_nobody_has_is_not_found(place):
    run = place.submit({"one": "true"})
    with pytest.raises(NotFound, match="no step `two`") as caught:
        hooks.penstock_read_logs(place.target, run, "two", 0)
    assert caught.value.code == "step_not_found"


def test_defaults_of_the_pipeline_count(place):
    run = place.submit(
        {"one": Step(command=["sh", "-c", 'printf "%s" "$A$B"'], env={"B": "2"})},
        defaults=Defaults(env={"A": "1", "B": "1"}),
    )
    place.wait(run)
    assert place.log(run, "one") == b"12"


def written(place, script, declared, outputs=("x",)):
    step = Step(
        command=["sh", "-c", script, "sh", *(f"${{{{ outputs.{name} }}}}" for name in outputs)],
        outputs=dict.fromkeys(outputs, declared),
    )
    return place.wait(place.submit({"one": step}))


@pytest.mark.parametrize("script", ['mkdir "$1"', 'mkdir -p "$1"', 'mkdir "$1"; touch "$1/a"; rm "$1/a"'])
def test_an_empty_folder_that_the_step_made_is_an_output(place, script):
    report = written(place, script, "directory")
    assert report.state == "succeeded"
    assert list(Path(report.steps[0].outputs["x"]).iterdir()) == []


def test_a_folder_output_that_was_never_made_was_not_written(place):
    report = written(place, "true", "directory")
    assert (report.state, report.error.code) == ("failed", "output_missing")
    assert report.error.message == "step `one`: the output `x` was not written"


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ('echo 1 > "$1.npy"', "; the step wrote `x.npy` beside it"),
        ('mkdir "$1.zarr"', "; the step wrote `x.zarr` beside it"),
        (
            'cd "$(dirname "$1")"; touch a b c x.npy x.txt',
            "; the step wrote `x.npy`, `x.txt`, `a` and more beside it",
        ),
        ('touch "$1$(printf "\\033[2J\\nz")"', "; the step wrote `x\\x1b[2J\\nz` beside it"),
        ('touch "$1$(printf "\\377")"', "; the step wrote `x\\xff` beside it"),
        ('touch "$1$(printf "%0200d" 0)"', f"; the step wrote `x{'0' * 59}...` beside it"),
    ],
)
def test_a_missing_output_names_what_lies_beside_it(place, script, shown):
    report = written(place, script, "file")
    assert (report.state, report.error.code) == ("failed", "output_missing")
    assert f"the output `x` was not written{shown}, and the path of an output is taken as it stands" in (
        report.error.message
    )
    assert report.error.message.isprintable()


def test_outputs_that_were_declared_are_not_named_beside_a_missing_one(place):
    report = written(place, 'echo 1 > "$2"', "file", ("x", "y"))
    assert report.error.message == "step `one`: the output `x` was not written"


def test_a_folder_full_of_files_beside_a_missing_output_is_not_listed_whole(place):
    report = written(place, 'cd "$(dirname "$1")"; seq 3000 | xargs touch', "file")
    assert report.error.code == "output_missing"
    assert "` and more beside it" in report.error.message
    assert len(report.error.message) < 250


def test_a_file_of_the_caller_is_read_where_it_lies_as_it_is_when_its_step_runs(place, tmp_path):
    """As docs/reference.md says: no copy is taken when a run is accepted."""
    given, gone = tmp_path / "given", tmp_path / "gone"
    given.write_text("then")
    gone.touch()
    wait = f"until test -e {tmp_path}/go; do sleep 0.02; done"
    read = {"a": Parameter(type="file"), "b": Parameter(type="file")}
    steps = {
        "wait": ["sh", "-c", wait],
        "read": Step(command=["cat", "${{ inputs.a }}"], inputs={"a": "${{ parameters.a }}"}, after=("wait",)),
        "name": Step(command=["echo", "${{ inputs.a }}"], inputs={"a": "${{ parameters.a }}"}),
        "open": Step(command=["cat", "${{ inputs.b }}"], inputs={"b": "${{ parameters.b }}"}, after=("wait",)),
    }
    run = place.submit(steps, parameters=read, artifacts={"a": str(given), "b": str(gone)})
    given.write_text("now")
    gone.unlink()
    (tmp_path / "go").touch()
    assert place.wait(run).state == "failed"
    assert (place.log(run, "read"), place.log(run, "name")) == (b"now", f"{given}\n".encode())
    assert b"No such file" in place.log(run, "open")
