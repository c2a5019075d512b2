"""The same calls over gRPC, and what only binary messages can hide."""

from __future__ import annotations

import threading
from typing import Any

import pytest


@pytest.fixture(scope="module")
def both(emulated, tmp_path_factory):
    """An emulator that speaks gRPC too; its client of PipelineService is Google's over gRPC."""
    running = emulated.Emulated(tmp_path_factory.mktemp("grpc") / "state", "--grpc-port", "0")
    assert running.info["target"]["transport"] == "grpc"
    rest = running.pipelines
    running.channel, running.pipelines = client(running.info["target"]["api_endpoint"])
    yield running
    running.channel.close()
    running.pipelines = rest
    assert running.stop() == 0, running.errors.read_text()


def client(address: str) -> tuple[Any, Any]:
    import grpc
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
    from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport

    channel = grpc.insecure_channel(address)
    return channel, PipelineServiceClient(transport=PipelineServiceGrpcTransport(channel=channel))


def test_a_job_from_its_creation_to_its_end(exceptions, both, emulated) -> None:
    e = emulated
    echo = e.step(
        'printf %s "$1" > "$2"',
        "sh",
        e.parameter("who"),
        e.output_file("said"),
        outputs={"parameters": {"said": e.STRING}},
        **e.from_pipeline("who"),
    )
    spec = e.pipeline({"echo": echo}, {"who": e.STRING})
    name = both.submit(spec, job="by-grpc", parameters={"who": "you"}, labels={"by": "grpc"}).name
    with pytest.raises(exceptions.AlreadyExists):
        both.submit(spec, job="by-grpc", parameters={"who": "you"})
    job = both.wait(name)
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    assert e.outputs(e.details(job)["echo"]) == {"said": "you"}
    (listed,) = both.pipelines.list_pipeline_jobs(
        request={"parent": both.parent, "filter": "labels.by=grpc"}, timeout=30
    )
    assert listed.name == name
    both.pipelines.delete_pipeline_job(name=name, timeout=30).result(timeout=30)
    with pytest.raises(exceptions.NotFound):
        both.pipelines.get_pipeline_job(name=name, timeout=30)


def test_both_transports_see_the_same_jobs(both, emulated) -> None:
    rest = emulated.rest_client(both.url)
    name = both.submit(emulated.pipeline({"long": emulated.step("sleep 600")})).name
    both.wait(name, lambda job: "long" in emulated.details(job))
    rest.cancel_pipeline_job(name=name, timeout=30)
    assert both.wait(name) == rest.get_pipeline_job(name=name, timeout=30)
    assert both.wait(name).state.name == "PIPELINE_STATE_CANCELLED"
    rest.transport.close()


def test_unknown_fields_are_refused(exceptions, both, emulated) -> None:
    import grpc
    from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest, PipelineJob

    right = PipelineJob.pb()(display_name="d").SerializeToString()
    # Field 900 of the job, a varint: what a newer client might send.
    request = CreatePipelineJobRequest.pb()(parent=both.parent, pipeline_job_id="hidden")
    hidden = right + b"\xa0\x38\x01"
    body = request.SerializeToString() + b"\x12" + bytes([len(hidden)]) + hidden
    call = both.channel.unary_unary("/google.cloud.aiplatform.v1.PipelineService/CreatePipelineJob")
    with pytest.raises(grpc.RpcError) as caught:
        call(body, timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "pipelineJob: unknown field number 900" in caught.value.details()
    with pytest.raises(exceptions.InvalidArgument, match="color"):
        both.submit({**emulated.pipeline({"t": emulated.step("true")}), "color": "red"})


def test_faults_come_by_grpc_too(exceptions, both, emulated) -> None:
    spec = emulated.pipeline({"t": emulated.step("true")})
    try:
        both.fault(method="PipelineService.CreatePipelineJob", error="PERMISSION_DENIED", message="not you")
        with pytest.raises(exceptions.PermissionDenied, match="not you"):
            both.submit(spec, job="lost-by-grpc")
        both.fault(method="PipelineService.CreatePipelineJob", lose_answer=True)
        with pytest.raises(exceptions.ServiceUnavailable):
            both.submit(spec, job="lost-by-grpc")
        with pytest.raises(exceptions.AlreadyExists):
            both.submit(spec, job="lost-by-grpc")
    finally:
        both.fault()


def test_many_at_once(both, emulated) -> None:
    spec = emulated.pipeline({f"t{n}": emulated.step("true") for n in range(3)})
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(both.submit(spec).name)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {both.wait(name).state.name for name in names} == {"PIPELINE_STATE_SUCCEEDED"}
    assert len(set(names)) == 8
