"""Jobs of pipeline components: what runs, with what, and what is made of it."""

from __future__ import annotations

import time

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
    name, job = emulator.run(greeting(emulator, emulated), {"who": "me"}, experimentName="e", tags={"a": "b"})
    assert (job["status"], job["experimentName"], job["tags"]) == ("Completed", "e", {"a": "b"})
    children = emulator.children(name)
    assert {key: one["status"] for key, one in children.items()} == {"say": "Completed", "shout": "Completed"}
    assert emulator.output(children["shout"]["runId"], "loud") == b"HELLO ME"
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
