"""Batch endpoints and deployments: their operations, what is invoked, and what Microsoft's client makes of them."""

from __future__ import annotations

import time

import pytest

STRING = {"type": "string"}
AT_LEAST = {"location": "westeurope", "properties": {"authMode": "AADToken"}}


def saying(emulator, e, word: str) -> str:
    """A pipeline that says a word and its parameter."""
    component = emulator.command(f"echo {word} ${{{{inputs.who}}}}", inputs={"who": {**STRING, "default": "you"}})
    nodes = {"say": e.node(component, {"who": "${{parent.inputs.who}}"})}
    return emulator.pipeline(nodes, inputs={"who": {**STRING, "default": "you"}})


@pytest.fixture(scope="module")
def endpoint(emulator, emulated):
    """An endpoint whose deployments `one` (the default) and `two` say so."""
    return emulator.endpoint(one=saying(emulator, emulated, "one"), two=saying(emulator, emulated, "two"))


def said(emulator, answer) -> str:
    """What the job of an invocation said."""
    name = answer.body["name"]
    assert emulator.wait(name)["status"] == "Completed"
    return emulator.log(emulator.children(name)["say"]["runId"])


def test_an_operation_is_not_done_at_once(emulator, emulated) -> None:
    name = emulated.unique("e")
    answer = emulator.arm("PUT", f"batchEndpoints/{name}", AT_LEAST)
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (201, "Creating")
    assert int(answer.headers["x-ms-retry-after-ms"]) > 0  # trap 4: without it, a client waits 30 seconds
    looks = [emulator.ask("GET", answer.headers["Azure-AsyncOperation"]).body["status"] for _ in range(2)]
    assert looks == ["InProgress", "Succeeded"]
    found = emulator.arm("GET", f"batchEndpoints/{name}").body["properties"]
    assert (found["provisioningState"], found["defaults"]) == ("Succeeded", {"deploymentName": None})
    again = emulator.arm("PUT", f"batchEndpoints/{name}", AT_LEAST)
    assert (again.status, again.body["properties"]["provisioningState"]) == (200, "Updating")


def test_an_operation_fails_late(faulty, emulated) -> None:
    name = emulated.unique("e")
    faulty.fault(method="batchEndpoints.put", late=True, message="no quota")
    answer = faulty.arm("PUT", f"batchEndpoints/{name}", AT_LEAST)
    assert answer.status == 201
    faulty.ask("GET", answer.headers["Azure-AsyncOperation"])
    ended = faulty.ask("GET", answer.headers["Azure-AsyncOperation"]).body
    assert (ended["status"], ended["error"]["message"]) == ("Failed", "no quota")
    assert faulty.arm("GET", f"batchEndpoints/{name}").body["properties"]["provisioningState"] == "Failed"


@pytest.mark.parametrize("cases", [("JobInputType", "Literal", "Value"), ("jobInputType", "literal", "value")])
def test_an_invocation_runs_the_default_or_what_is_asked_for(emulator, endpoint, cases) -> None:
    kind, literal, value = cases
    data = {"who": {kind: literal, value: "me"}}
    for deployment, ran in (("", "one"), ("two", "two"), ("", "one")):
        answer = emulator.invoke(endpoint, data, deployment, properties={"experimentName": "e"})
        assert (answer.status, answer.headers["azureml-model-deployment"]) == (201, ran)
        assert answer.body["properties"]["experimentName"] == "e"
        assert said(emulator, answer) == f"{ran} me\n"


def test_each_invocation_is_another_job(emulator, endpoint) -> None:
    """Trap 2: whoever repeats an invocation whose answer was lost has two jobs."""
    names = {emulator.invoke(endpoint).body["name"] for _ in range(3)}
    assert len(names) == 3
    shown = emulator.ask(
        "GET",
        f"/mferp/managementfrontend{emulator.workspace}/batchEndpoints/{endpoint}/jobs"
        "?api-version=2020-09-01-dataplanepreview&$top=500",
    )
    assert names <= {one["name"] for one in shown.body["value"]}


def test_what_cannot_be_invoked_is_refused(emulator, endpoint) -> None:
    assert emulator.invoke(emulator.endpoint()).error == (400, "UserError")
    assert emulator.invoke(endpoint, deployment="three").error == (404, "ResourceNotFound")
    assert "no such input" in emulator.invoke(endpoint, {"x": {"JobInputType": "Literal", "Value": "1"}}).message
    wrong = {"who": {"JobInputType": "UriFile", "Uri": "azureml://datastores/workspaceblobstore/paths/x"}}
    assert "a literal is needed" in emulator.invoke(endpoint, wrong).message


def test_a_deployment_runs_though_its_component_is_archived(emulator, emulated) -> None:
    component = saying(emulator, emulated, "kept")
    name = emulator.endpoint(only=component)
    path = component.partition("/workspaces/penstock/")[2]
    document = emulator.arm("GET", path).body
    document["properties"]["isArchived"] = True
    assert emulator.arm("PUT", path, {"properties": document["properties"]}).status == 200
    assert said(emulator, emulator.invoke(name)) == "kept you\n"


def test_deployments_are_held_to_what_they_need(emulator, emulated, endpoint) -> None:
    component = saying(emulator, emulated, "x")
    assert emulator.deploy(endpoint, "digits:1", component).error == (400, "UserError")
    assert emulator.deploy(endpoint, "good", component + "0").error == (400, "UserError")
    assert emulator.deploy(endpoint, "good", emulator.command("true")).error == (400, "UserError")
    assert emulator.deploy(endpoint, "good", component, default_compute="nowhere").error == (400, "UserError")
    assert emulator.deploy("nothing", "good", component).error == (404, "ResourceNotFound")
    found = emulator.deploy(endpoint, "good", component).body["properties"]["deploymentConfiguration"]
    assert found["componentId"]["assetId"] == component
    assert "settings" in found  # the SDK fails without


def test_deletes_are_operations_too(emulator, emulated) -> None:
    name = emulator.endpoint(one=saying(emulator, emulated, "one"), two=saying(emulator, emulated, "two"))
    assert emulator.arm("DELETE", f"batchEndpoints/{name}/deployments/one").error == (400, "UserError")
    answer = emulator.arm("DELETE", f"batchEndpoints/{name}/deployments/two")
    assert answer.status == 202
    assert [emulator.ask("GET", answer.headers["Location"]).status for _ in range(2)] == [202, 200]
    assert emulator.arm("DELETE", f"batchEndpoints/{name}").status == 202
    assert emulator.arm("GET", f"batchEndpoints/{name}/deployments/one").status == 404
    assert emulator.arm("DELETE", f"batchEndpoints/{name}").status == 204


def test_a_change_can_ask_for_what_it_knows(emulator, emulated) -> None:
    name = emulator.endpoint()
    tag = emulator.arm("PUT", f"batchEndpoints/{name}", AT_LEAST).headers["ETag"]
    body = {"location": "westeurope", "properties": {"authMode": "AADToken", "description": "d"}}
    assert emulator.arm("PUT", f"batchEndpoints/{name}", body, {"If-Match": '"other"'}).error[0] == 412
    assert emulator.arm("PUT", f"batchEndpoints/{name}", body, {"If-None-Match": "*"}).error[0] == 412
    assert emulator.arm("PUT", f"batchEndpoints/{name}", body, {"If-Match": tag}).status == 200


@pytest.mark.filterwarnings("ignore")  # the SDK's own, of marshmallow
def test_the_sdk_makes_deploys_and_invokes(client, emulator, emulated) -> None:
    from azure.ai.ml import Input
    from azure.ai.ml.entities import BatchEndpoint, PipelineComponentBatchDeployment

    one, two = (saying(emulator, emulated, word) for word in ("one", "two"))
    name = emulated.unique("e")
    begun = time.monotonic()
    client.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name)).result()
    for key, component in (("v-one", one), ("v-two", two)):
        made = PipelineComponentBatchDeployment(
            name=key, endpoint_name=name, component=component, settings={"default_compute": "cpu"}
        )
        client.batch_deployments.begin_create_or_update(made).result()
    assert time.monotonic() - begun < 25, "an operation is polled as the emulator says"
    endpoint = client.batch_endpoints.get(name)
    endpoint.defaults = {"deployment_name": "v-one"}
    client.batch_endpoints.begin_create_or_update(endpoint).result()
    assert client.batch_endpoints.get(name).defaults.deployment_name == "v-one"
    assert {one.name for one in client.batch_deployments.list(name)} == {"v-one", "v-two"}

    job = client.batch_endpoints.invoke(name, inputs={"who": Input(type="string", default="me")})
    assert emulator.wait(job.name)["status"] == "Completed"
    assert emulator.log(emulator.children(job.name)["say"]["runId"]) == "one me\n"
    pinned = client.batch_endpoints.invoke(name, deployment_name="v-two")
    # Trap 1 is the client's: from now on it asks for `v-two` in every call, and the emulator does as it is asked.
    leaked = client.batch_endpoints.invoke(name)
    for one in (pinned, leaked):
        emulator.wait(one.name)
        assert emulator.log(emulator.children(one.name)["say"]["runId"]) == "two you\n"
    assert {one.name for one in client.batch_endpoints.list_jobs(name)} == {job.name, pinned.name, leaked.name}
