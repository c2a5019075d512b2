"""Components, environments, code and data: versions that cannot be changed, and how they are listed and hidden."""

from __future__ import annotations

import pytest

SDK = pytest.mark.filterwarnings("ignore")  # it warns of itself
FILE, FOLDER = {"type": "uri_file"}, {"type": "uri_folder"}


def published(emulator, e, versions: int) -> str:
    """A name with so many versions of a component."""
    name = e.unique("many")
    emulator.command("true")  # the environment
    for number in range(1, versions + 1):
        spec = {"type": "command", "command": "true", "environment": emulator.id("environments/sh/versions/1")}
        body = {"properties": {"componentSpec": {**spec, "name": name, "version": str(number)}}}
        assert emulator.arm("PUT", f"components/{name}/versions/{number}", body).status == 201
    return name


def names(answer) -> list[str]:
    return [one["name"] for one in answer.body["value"]]


def test_a_version_is_put_once_and_the_same_again(emulator, emulated) -> None:
    name = published(emulator, emulated, 1)
    document = emulator.arm("GET", f"components/{name}/versions/1").body
    again = emulator.arm("PUT", f"components/{name}/versions/1", {"properties": document["properties"]})
    assert again.status == 200
    document["properties"]["tags"] = {"a": "b"}
    assert emulator.arm("PUT", f"components/{name}/versions/1", {"properties": document["properties"]}).status == 200
    assert emulator.arm("GET", f"components/{name}/versions/1").body["properties"]["tags"] == {"a": "b"}
    document["properties"]["componentSpec"]["command"] = "false"
    refused = emulator.arm("PUT", f"components/{name}/versions/1", {"properties": document["properties"]})
    assert refused.error == (400, "UserError")
    assert "componentSpec cannot be changed" in refused.message


def test_lists_have_pages(emulator, emulated) -> None:
    name = published(emulator, emulated, 5)
    answer = emulator.arm("GET", f"components/{name}/versions", **{"$top": "2"})
    found = names(answer)
    while "nextLink" in answer.body:
        answer = emulator.ask("GET", answer.body["nextLink"])
        found += names(answer)
    assert found == ["5", "4", "3", "2", "1"]
    oldest = emulator.arm("GET", f"components/{name}/versions", **{"$orderBy": "createdtime%20asc"})
    assert names(oldest)[0] == "1"
    assert emulator.arm("GET", f"components/{name}/versions/azureml_default").body["name"] == "5"
    container = emulator.arm("GET", f"components/{name}").body["properties"]
    assert (container["latestVersion"], container["nextVersion"]) == ("5", "6")
    assert emulator.arm("GET", "components", **{"$top": "x"}).status == 400


def test_what_is_archived_is_hidden_and_not_gone(emulator, emulated) -> None:
    name = published(emulator, emulated, 2)
    document = emulator.arm("GET", f"components/{name}/versions/2").body["properties"]
    emulator.arm("PUT", f"components/{name}/versions/2", {"properties": {**document, "isArchived": True}})
    assert names(emulator.arm("GET", f"components/{name}/versions")) == ["1"]
    assert names(emulator.arm("GET", f"components/{name}/versions", listViewType="ArchivedOnly")) == ["2"]
    assert names(emulator.arm("GET", f"components/{name}/versions", listViewType="All")) == ["2", "1"]
    assert emulator.arm("GET", f"components/{name}/versions/2").status == 200
    assert emulator.arm("GET", f"components/{name}/versions", listViewType="Some").status == 400


@SDK
def test_the_sdk_archives_and_restores(client, emulator, emulated) -> None:
    name = published(emulator, emulated, 1)
    client.components.archive(name, version="1")  # trap 7: it reads the whole component and writes it again
    assert emulator.arm("GET", f"components/{name}/versions/1").body["properties"]["isArchived"]
    client.components.restore(name, version="1")
    assert not emulator.arm("GET", f"components/{name}/versions/1").body["properties"]["isArchived"]
    client.components.archive(name)
    assert name not in {one.name for one in client.components.list()}
    client.components.restore(name)
    assert name in {one.name for one in client.components.list()}


@SDK
def test_jobs_are_listed_archived_and_deleted(client, emulator, emulated) -> None:
    component = emulator.pipeline({"n": emulated.node(emulator.command("true"))})
    mark = emulated.unique("tag")
    name, _ = emulator.run(component, tags={mark: "1"})
    other, _ = emulator.run(component)
    assert names(emulator.arm("GET", "jobs", tag=mark, jobType="Pipeline")) == [name]
    assert names(emulator.arm("GET", "jobs", tag=mark, jobType="Command")) == []
    client.jobs.archive(name)
    assert names(emulator.arm("GET", "jobs", tag=mark)) == []
    client.jobs.restore(name)
    assert names(emulator.arm("GET", "jobs", tag=mark)) == [name]
    answer = emulator.arm("DELETE", f"jobs/{other}")
    assert answer.status == 202
    assert emulator.arm("GET", f"jobs/{other}").error == (404, "ResourceNotFound")
    assert emulator.arm("DELETE", f"jobs/{other}").status == 204


def test_data_is_named_by_its_asset(emulator, emulated) -> None:
    told = {"x-ms-blob-type": "BlockBlob"}
    for path in ("in/one.txt", "in/deep/two.txt"):
        assert emulator.blob(path, verb="PUT", data=path.encode(), **told).status == 201
    name = emulated.unique("d")
    uri = "azureml://datastores/workspaceblobstore/paths/in"
    emulator.arm("PUT", f"data/{name}/versions/1", {"properties": {"dataType": "uri_folder", "dataUri": uri}})
    component = emulator.command("cd ${{inputs.data}}; cat one.txt deep/two.txt", inputs={"data": FOLDER})
    made = emulator.pipeline(
        {"n": emulated.node(component, {"data": "${{parent.inputs.data}}"})}, inputs={"data": FOLDER}
    )
    store = emulator.arm("GET", "datastores/workspaceblobstore").body["properties"]["containerName"]
    place = emulator.workspace.replace("providers/Microsoft.MachineLearningServices/", "").lower()
    ways = [uri, f"azureml:/{place}/datastores/workspaceblobstore/paths/in", f"azureml:{name}:1"]
    ways += [emulator.id(f"data/{name}/versions/1"), f"{emulator.url}/penstockstore/{store}/in/"]
    for way in ways:
        job, found = emulator.run(made, {"data": {"jobInputType": "uri_folder", "uri": way}})
        assert found["status"] == "Completed", (way, emulator.children(job))
        assert emulator.log(emulator.children(job)["n"]["runId"]) == "in/one.txtin/deep/two.txt"


@pytest.mark.parametrize("uri", ["https://example.invalid/x", "azureml://datastores/other/paths/x", "file:///etc"])
def test_data_from_elsewhere_is_not_fetched(emulator, emulated, uri) -> None:
    component = emulator.command("cat ${{inputs.data}}", inputs={"data": {"type": "uri_file"}})
    made = emulator.pipeline(
        {"n": emulated.node(component, {"data": "${{parent.inputs.data}}"})}, inputs={"data": {"type": "uri_file"}}
    )
    name, job = emulator.run(made, {"data": {"jobInputType": "uri_file", "uri": uri}})
    assert job["status"] == "Failed"
    assert "fetches nothing from elsewhere" in emulator.children(name)["n"]["error"]["error"]["message"]


def test_computes_are_there_or_not(emulator) -> None:
    assert {"cpu", "gpu"} <= set(names(emulator.arm("GET", "computes")))
    body = {"location": "westeurope", "properties": {"computeType": "AmlCompute"}}
    answer = emulator.arm("PUT", "computes/more", body)
    assert answer.status == 201
    assert emulator.arm("GET", "computes/more").body["properties"]["provisioningState"] == "Succeeded"
    assert emulator.arm("DELETE", "computes/more").status == 202
    assert emulator.arm("GET", "computes/more").error == (404, "ResourceNotFound")
