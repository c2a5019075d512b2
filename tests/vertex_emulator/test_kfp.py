"""What kfp's own compiler writes runs here."""

# No `from __future__ import annotations`: kfp reads the annotations of components, not their text.

import yaml


def test_kfp_compiles_what_runs_here(emulator, emulated) -> None:
    """A dag in a dag, an importer, an exit handler and optional words, as kfp itself writes them."""
    from kfp import compiler, dsl

    @dsl.container_component
    def shout(word: str, said: dsl.OutputPath(str), loud: bool = False, suffix: str = None):  # noqa: RUF013  # how kfp wants an optional one
        more = dsl.IfPresentPlaceholder(input_name="suffix", then=[suffix], else_=["none"])
        return dsl.ContainerSpec(
            image="img",
            command=["sh", "-c", 'mkdir -p "$(dirname "$0")"; printf "%s" "$*" > "$0"', said],
            args=[dsl.ConcatPlaceholder([word, "!"]), loud, more],
        )

    @dsl.container_component
    def copy(file: dsl.Input[dsl.Dataset], said: dsl.OutputPath(str)):
        return dsl.ContainerSpec(image="img", command=["cp"], args=[file.path, said])

    @dsl.container_component
    def always(status: str, said: dsl.OutputPath(str)):
        return dsl.ContainerSpec(image="img", command=["sh", "-c", 'printf %s "$0" > "$1"'], args=[status, said])

    @dsl.pipeline(name="inner")
    def inner(word: str) -> str:
        return shout(word=f"<{word}>", suffix="here").outputs["said"]

    uri = f"{emulator.staging}/imported.txt"
    emulator.bucket.blob("imported.txt").upload_from_string(b"imported")

    @dsl.pipeline(name="outer")
    def outer(word: str = "hey") -> str:
        first = inner(word=word)
        with dsl.ExitHandler(always(status="done")):
            shout(word=first.output)
            copy(file=dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset).output)
        return first.output

    file = emulator.state / "outer.yaml"
    compiler.Compiler().compile(outer, str(file))
    job = emulator.run(yaml.safe_load(file.read_text()))
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED", job
    said = {name: e["said"] for name, one in emulated.details(job).items() if "said" in (e := emulated.outputs(one))}
    assert said == {
        "inner.shout": "<hey>! false here",
        "exit-handler-1.shout": "<hey>! false here! false none",
        "exit-handler-1.copy": "imported",
        "always": "done",
    }
    assert emulated.outputs(emulated.details(job)[""]) == {"Output": "<hey>! false here"}
