"""What Microsoft's own SDK does with the emulator: authoring, upload, jobs, logs, downloads."""

import pytest

# The SDK warns of itself: of marshmallow's options that are old, and of files that it leaves open.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "src"
    (folder / "below").mkdir(parents=True)
    (folder / "say.py").write_text(
        "import pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[2])\n"
        "(folder / 'deep').mkdir()\n"
        "text = pathlib.Path('below/word.txt').read_text() + ' ' + sys.argv[1]\n"
        "(folder / 'deep' / 'said.txt').write_text(text)\n"
        "print('said', text)\n"
    )
    (folder / "below" / "word.txt").write_text("hello")
    (folder / "large.bin").write_bytes(bytes(range(256)) * 40_000)  # more than one block
    return folder


@pytest.fixture
def components(client, emulated, code):
    """Two command components that the SDK made, with code that it uploaded."""
    from azure.ai.ml import Input, Output
    from azure.ai.ml.entities import CommandComponent, Environment

    environment = client.environments.create_or_update(Environment(name="sh", version="1", image="busybox"))
    say = CommandComponent(
        name=emulated.unique("say"),
        version="1",
        command="python say.py ${{inputs.who}} ${{outputs.folder}}",
        code=str(code),
        environment=environment.id,
        inputs={"who": Input(type="string", default="world")},
        outputs={"folder": Output(type="uri_folder")},
    )
    count = CommandComponent(
        name=emulated.unique("count"),
        version="1",
        command="wc -c < ${{inputs.folder}}/deep/said.txt > ${{outputs.number}}",
        environment=environment.id,
        inputs={"folder": Input(type="uri_folder")},
        outputs={"number": Output(type="uri_file")},
    )
    return [client.components.create_or_update(one) for one in (say, count)]


@pytest.fixture
def pipeline(components):
    from azure.ai.ml import dsl

    say, count = components

    @dsl.pipeline(default_compute="cpu")
    def made(who: str = "you"):
        said = say(who=who)
        counted = count(folder=said.outputs.folder)
        return {"number": counted.outputs.number}

    return made


def test_a_pipeline_that_the_sdk_makes_is_run_and_its_outputs_are_downloaded(
    client, pipeline, tmp_path, capsys
) -> None:
    job = client.jobs.create_or_update(pipeline(who="me"), experiment_name="trials")
    client.jobs.stream(job.name)
    found = client.jobs.get(job.name)
    assert (found.status, found.experiment_name) == ("Completed", "trials")
    children = {child.display_name: child for child in client.jobs.list(parent_job_name=job.name)}
    assert {name: child.status for name, child in children.items()} == {"said": "Completed", "counted": "Completed"}
    client.jobs.download(job.name, download_path=tmp_path, output_name="number")
    assert (tmp_path / "named-outputs" / "number" / "number").read_text().strip() == "8"
    client.jobs.download(children["said"].name, download_path=tmp_path, all=True)
    assert (tmp_path / "named-outputs" / "folder" / "deep" / "said.txt").read_text() == "hello me"
    assert (tmp_path / "artifacts" / "user_logs" / "std_log.txt").read_text() == "said hello me\n"
    assert client.jobs.get(children["said"].name).status == "Completed"


def test_code_that_is_uploaded_once_is_found_again(client, components, code, emulated) -> None:
    from azure.ai.ml.entities import CommandComponent

    say = components[0]
    again = CommandComponent(
        name=emulated.unique("again"), command="ls", code=str(code), environment=say.environment, version="1"
    )
    assert client.components.create_or_update(again).code == say.code


def test_the_sdk_cancels(client, emulator, emulated) -> None:
    name = emulator.submit(emulator.pipeline({"n": emulated.node(emulator.command("exec sleep 600"))}))
    client.jobs.begin_cancel(name).result()
    assert emulator.wait(name)["status"] == "Canceled"
    assert client.jobs.get(name).status == "Canceled"
