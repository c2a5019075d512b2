"""Jobs of pipeline components: what runs, with what, and what is made of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

STRING = {"type": "string"}
FILE = {"type": "uri_file"}


def greeting(emulator, e) -> str:
    """A pipeline of two steps, the second of which reads what the first writes."""
    say = emulator.command(
        "printf 'hello %s' ${{inputs.who}} > ${{outputs.text}}", inputs={"who": STRING}, outputs={"text": FILE}
    )
    shout = emulator.command(
        "tr a-z A-Z < ${{inputs.text}} > ${{outputs.loud}}; echo done", inputs={"text": FILE}, outputs={"loud": FILE}
    )
    nodes = {
        "say": e.node(say, {"who": "${{parent.inputs.who}}"}),
        "shout": e.node(
            shout,
            {"text": "${{parent.jobs.say.outputs.text}}"},
            outputs={"loud": {"type": "literal", "value": "${{parent.outputs.loud}}"}},
        ),
    }
    return emulator.pipeline(nodes, inputs={"who": {"type": "string", "default": "you"}}, outputs={"loud": FILE})


def test_steps_run_and_hand_on_what_they_make(emulator, emulated) -> None:
    name, job = emulator.run(greeting(emulator, emulated), {"who": "ada"}, experimentName="e", tags={"a": "b"})
    assert (job["status"], job["experimentName"], job["tags"]) == ("Completed", "e", {"a": "b"})
    children = emulator.children(name)
    assert {key: one["status"] for key, one in children.items()} == {"say": "Completed", "shout": "Completed"}
    assert emulator.output(children["shout"]["runId"], "loud") == b"HELLO ADA"
    assert emulator.log(children["shout"]["runId"]) == "done\n"
    assert emulator.arm("GET", f"jobs/{children['say']['runId']}").body["properties"] is None


def test_what_is_pasted_into_a_command_is_the_shells(emulator, emulated) -> None:
    """Trap 8 of the facts: an input is text of a shell's line, and nobody quotes it."""
    component = emulator.command("printf '[%s]' ${{inputs.words}} $((1+1))", inputs={"words": STRING})
    made = emulator.pipeline(
        {"n": emulated.node(component, {"words": "${{parent.inputs.words}}"})}, inputs={"words": STRING}
    )
    name, job = emulator.run(made, {"words": "a  b $(echo c); echo '*'"})
    assert job["status"] == "Completed"
    assert emulator.log(emulator.children(name)["n"]["runId"]) == "[a][b][c]* 2\n"


def test_a_failed_step_fails_the_job_and_what_needs_it_never_runs(emulator, emulated) -> None:
    bad = emulator.command("echo no >&2; exit 3", outputs={"o": FILE})
    after = emulator.command("cat ${{inputs.i}}", inputs={"i": FILE})
    other = emulator.command("echo fine")
    nodes = {
        "bad": emulated.node(bad),
        "after": emulated.node(after, {"i": "${{parent.jobs.bad.outputs.o}}"}),
        "other": emulated.node(other),
    }
    name, job = emulator.run(emulator.pipeline(nodes))
    assert job["status"] == "Failed"
    children = emulator.children(name)
    assert {key: one["status"] for key, one in children.items()} == {"bad": "Failed", "other": "Completed"}
    message = children["bad"]["error"]["error"]["message"]
    assert "exited with status code 3" in message
    assert message.endswith("Error: no")
    details = emulator.history("GET", f"runs/{name}/details").body
    assert "Failed nodes: /bad." in details["error"]["error"]["message"]


def test_a_cancelled_job_ends_its_steps(emulator, emulated) -> None:
    component = emulator.command("echo $$; trap '' TERM; sleep 600")
    name = emulator.submit(emulator.pipeline({"n": emulated.node(component)}))
    deadline = time.monotonic() + 30
    while not (children := emulator.children(name)) or not emulator.log(children["n"]["runId"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int(emulator.log(children["n"]["runId"]))
    assert emulated.alive(pid)
    answer = emulator.arm("POST", f"jobs/{name}/cancel")
    assert answer.status == 202
    assert emulator.ask("GET", answer.headers["Location"]).status == 202
    assert emulator.ask("GET", answer.headers["Location"]).status == 200
    assert emulator.arm("GET", f"jobs/{name}").body["properties"]["status"] in ("CancelRequested", "Canceled")
    assert emulator.wait(name)["status"] == "Canceled"
    assert emulator.children(name)["n"]["status"] == "Canceled"
    assert not emulated.alive(pid)


def test_the_same_put_again_is_the_same_job_and_another_is_refused(emulator, emulated) -> None:
    component = greeting(emulator, emulated)
    body = {
        "properties": {
            "jobType": "Pipeline",
            "componentId": component,
            "inputs": {"who": emulated.literal("me")},
            "settings": {"default_compute": "cpu"},
            "tags": {"a": "b"},
        }
    }
    name = emulated.unique("j")
    assert emulator.arm("PUT", f"jobs/{name}", body).status == 201
    again = emulator.arm("PUT", f"jobs/{name}", body)
    assert (again.status, again.body["name"]) == (200, name)
    body["properties"]["inputs"]["who"]["value"] = "her"
    refused = emulator.arm("PUT", f"jobs/{name}", body)
    assert refused.error == (400, "UserError")
    assert "A job with this name already exists" in refused.message
    assert "Inputs cannot be changed" in refused.message
    assert emulator.wait(name)["status"] == "Completed"
    assert [one["name"] for one in emulator.arm("GET", "jobs").body["value"]].count(name) == 1


def test_optional_inputs_and_what_is_in_brackets(emulator, emulated) -> None:
    inputs = {"a": {"type": "string", "optional": True}, "b": {"type": "integer", "default": "7"}}
    component = emulator.command("echo x $[[--a ${{inputs.a}}]] $[[--b ${{ inputs.b }}]]", inputs=inputs)
    nodes = {
        "without": emulated.node(component),
        "given": emulated.node(component, {"a": "w-${{parent.inputs.a}}", "b": "8"}),
    }
    made = emulator.pipeline(nodes, inputs={"a": {"type": "string", "default": "z"}})
    name, job = emulator.run(made)
    assert job["status"] == "Completed"
    logs = {key: emulator.log(one["runId"]) for key, one in emulator.children(name).items()}
    assert logs == {"without": "x --b 7\n", "given": "x --a w-z --b 8\n"}


def test_a_step_that_takes_too_long_is_ended(emulator, emulated) -> None:
    component = emulator.command("sleep 600")
    limits = {"job_limits_type": "Command", "timeout": "PT1S"}
    name, job = emulator.run(emulator.pipeline({"slow": emulated.node(component, limits=limits)}))
    assert job["status"] == "Failed"
    assert "exceeded the limit of PT1S" in emulator.children(name)["slow"]["error"]["error"]["message"]


def test_a_failed_step_can_end_all_others(emulator, emulated) -> None:
    bad, slow = emulator.command("sleep 0.3; exit 1"), emulator.command("exec sleep 600")
    nodes = {"bad": emulated.node(bad), "slow": emulated.node(slow)}
    settings = {"default_compute": "cpu", "continue_on_step_failure": False}
    name, job = emulator.run(emulator.pipeline(nodes), settings=settings)
    assert job["status"] == "Failed"
    assert {key: one["status"] for key, one in emulator.children(name).items()} == {"bad": "Failed", "slow": "Canceled"}


def test_pipelines_in_pipelines(emulator, emulated) -> None:
    inner = greeting(emulator, emulated)
    show = emulator.command("cat ${{inputs.text}}", inputs={"text": FILE})
    nodes = {
        "inner": emulated.node(inner, {"who": "${{parent.inputs.whom}}"}, type="pipeline"),
        "show": emulated.node(show, {"text": "${{parent.jobs.inner.outputs.loud}}"}),
    }
    name, job = emulator.run(emulator.pipeline(nodes, inputs={"whom": STRING}), {"whom": "us"})
    assert job["status"] == "Completed"
    children = emulator.children(name)
    assert emulator.log(children["show"]["runId"]) == "HELLO US"
    assert set(emulator.children(children["inner"]["runId"])) == {"say", "shout"}


def test_outputs_go_where_a_job_says(emulator, emulated) -> None:
    place = {
        "jobOutputType": "uri_file",
        "uri": "azureml://datastores/workspaceblobstore/paths/kept/${{output_name}}.txt",
    }
    name, job = emulator.run(greeting(emulator, emulated), {"who": "me"}, outputs={"loud": place})
    assert job["status"] == "Completed"
    assert emulator.blob("kept/loud.txt").data == b"HELLO ME"
    run = emulator.history("POST", "rundata", {"runId": name}).body["runMetadata"]
    asset = run["outputs"]["loud"]["assetId"]
    resolve = f"/data/v1.0{emulator.workspace}/dataversion/batchGetResolvedUris"
    found = emulator.ask("POST", resolve, {"values": [asset, "nothing"]}).body["values"]
    assert list(found) == [asset]
    assert found[asset]["uri"].endswith("/datastores/workspaceblobstore/paths/kept/loud.txt")


def test_what_a_step_did_not_write_is_not_there(emulator, emulated) -> None:
    component = emulator.command("true", outputs={"file": FILE, "folder": {"type": "uri_folder"}})
    name, job = emulator.run(emulator.pipeline({"n": emulated.node(component)}))
    assert job["status"] == "Completed"
    run = emulator.children(name)["n"]["runId"]
    assert emulator.blob(f"azureml/{run}/file").status == 404
    assert emulator.blob(f"azureml/{run}/folder").status == 404


def test_tags_are_added_and_never_taken_away(emulator, emulated) -> None:
    name, _ = emulator.run(greeting(emulator, emulated), tags={"a": "b"})
    body = emulator.arm("GET", f"jobs/{name}").body
    body["properties"]["tags"] = {"c": "d"}
    body["properties"]["displayName"] = "shown"
    told = {key: value for key, value in body["properties"].items() if key not in ("status", "services")}
    answer = emulator.arm("PUT", f"jobs/{name}", {"properties": told})
    assert answer.status == 200
    assert answer.body["properties"]["tags"] == {"a": "b", "c": "d"}  # azure-sdk-for-python issue 30671
    assert emulator.history("GET", f"runs/{name}").body["displayName"] == "shown"


def test_a_job_may_hold_its_nodes_itself(emulator, emulated) -> None:
    component = emulator.command("echo ${{inputs.x}}", inputs={"x": STRING})
    body = {
        "jobType": "Pipeline",
        "jobs": {"n": emulated.node(component, {"x": "${{parent.inputs.y}}"})},
        "inputs": {"y": emulated.literal("inline")},
        "settings": {"default_compute": "azureml:cpu"},
    }
    name = emulated.unique("j")
    assert emulator.arm("PUT", f"jobs/{name}", {"properties": body}).status == 201
    assert emulator.wait(name)["status"] == "Completed"
    assert emulator.log(emulator.children(name)["n"]["runId"]) == "inline\n"


@pytest.mark.parametrize("way", ["deterministic", "not deterministic", "forced"])
def test_a_deterministic_step_is_not_run_again(emulator, emulated, tmp_path, way: str) -> None:
    spec = {"is_deterministic": False} if way == "not deterministic" else {}
    ports = {"inputs": {"who": STRING}, "outputs": {"text": FILE}}
    component = emulator.command(
        f"echo ran >> {tmp_path}/ran; echo ${{{{inputs.who}}}} | tee ${{{{outputs.text}}}}", **ports, **spec
    )
    made = emulator.pipeline({"n": emulated.node(component, {"who": "${{parent.inputs.who}}"})}, inputs={"who": STRING})
    settings = {"default_compute": "cpu", **({"force_rerun": True} if way == "forced" else {})}
    runs = []
    for who in ("me", "me", "you"):
        name, job = emulator.run(made, {"who": who}, settings=settings)
        assert job["status"] == "Completed"
        runs.append(emulator.children(name)["n"])
        assert emulator.log(runs[-1]["runId"]) == f"{who}\n"
    reused = way == "deterministic"
    assert (tmp_path / "ran").read_text().count("ran") == (2 if reused else 3)
    assert [one["properties"]["azureml.isreused"] for one in runs] == ["false", "true" if reused else "false", "false"]
    assert runs[1]["properties"].get("azureml.reusedrunid") == (runs[0]["runId"] if reused else None)
    place = f"/data/v1.0{emulator.workspace}/dataversion/batchGetResolvedUris"
    asset = runs[1]["outputs"]["text"]["assetId"]
    uri = emulator.ask("POST", place, {"values": [asset]}).body["values"][asset]["uri"]
    assert uri.endswith(f"/azureml/{runs[0 if reused else 1]['runId']}/text")


def test_blobs_that_cannot_be_files_are_said(emulator, emulated) -> None:
    folder = emulated.unique("odd")
    for path in ("a", "a/b"):
        told = {"x-ms-blob-type": "BlockBlob"}
        assert emulator.blob(f"{folder}/{path}", verb="PUT", data=b"x", **told).status == 201
    component = emulator.command("ls ${{inputs.d}}", inputs={"d": {"type": "uri_folder"}})
    made = emulator.pipeline(
        {"n": emulated.node(component, {"d": "${{parent.inputs.d}}"})}, inputs={"d": {"type": "uri_folder"}}
    )
    uri = f"azureml://datastores/workspaceblobstore/paths/{folder}"
    name, job = emulator.run(made, {"d": {"jobInputType": "uri_folder", "uri": uri}})
    assert job["status"] == "Failed"
    assert "cannot be a file here" in emulator.children(name)["n"]["error"]["error"]["message"]


def test_many_puts_at_once_are_one_job(emulator, emulated) -> None:
    """Also while it runs and as it ends: nobody waits for anybody for ever."""
    component = emulator.pipeline({"n": emulated.node(emulator.command("true", is_deterministic=False))})
    body = {"properties": {"jobType": "Pipeline", "componentId": component, "settings": {"default_compute": "cpu"}}}

    def put(name: str) -> int:
        return emulator.arm("PUT", f"jobs/{name}", body).status

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            name = emulated.unique("j")
            statuses = list(pool.map(put, [name] * 24))
            assert sorted(statuses) == [200] * 23 + [201]
            assert emulator.wait(name)["status"] == "Completed"


def test_scalars_are_pasted_as_they_were_sent(emulator, emulated) -> None:
    """Trap 5: what was a boolean or a number is text, as the SDK writes it."""
    kinds = {"b": "boolean", "i": "integer", "n": "number"}
    inputs = {key: {"type": kind} for key, kind in kinds.items()}
    component = emulator.command("echo ${{inputs.b}} ${{inputs.i}} ${{inputs.n}}", inputs=inputs)
    bound = {key: f"${{{{parent.inputs.{key}}}}}" for key in kinds}
    made = emulator.pipeline({"n": emulated.node(component, bound)}, inputs=inputs)
    name, _ = emulator.run(made, {"b": "True", "i": "007", "n": "1E-05"})
    assert emulator.log(emulator.children(name)["n"]["runId"]) == "True 007 1E-05\n"
