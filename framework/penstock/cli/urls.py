"""The URLs that trigger an endpoint, as `penstock serve` answers them with the configuration as it is."""

from __future__ import annotations

from urllib.parse import quote

from attrs import frozen

from penstock.config import Config, server_options
from penstock.contract.target import NativeTrigger
from penstock.records import EndpointRecord, PublishedRecord

_V1 = "/pipelines/v1.0/subscriptions/-/resourceGroups/-/providers/Microsoft.MachineLearningServices/workspaces/-"
"""Where the wire of Azure ML v1 begins; whatever stands for subscription, group and workspace is the same to us."""


@frozen(kw_only=True)
class TriggerUrls:
    """The ways to trigger an endpoint over HTTP, and the document of the first with the types of its parameters."""

    trigger: str
    openapi: str
    azureml_v1: str
    native: NativeTrigger | None


def trigger_urls(config: Config, endpoint: EndpointRecord, default: PublishedRecord | None) -> TriggerUrls:
    """The URLs of an endpoint; `default` is the published pipeline behind its default version. Raises ConfigInvalid.

    A target may have a URL of its own for the endpoint, or for the pipeline alone.
    """
    options = server_options(config, {})
    host = f"[{options.host}]" if ":" in options.host else options.host
    base = (options.public_url or f"http://{host}:{options.port}").rstrip("/")
    here = f"{base}/v1/endpoints/{quote(endpoint.name, safe='')}"
    return TriggerUrls(
        trigger=f"{here}/runs",
        openapi=f"{here}/openapi.json",
        azureml_v1=f"{base}{_V1}/PipelineRuns/PipelineEndpointSubmit/Id/{endpoint.id}",
        native=endpoint.native or _of_pipeline(default),
    )


def _of_pipeline(default: PublishedRecord | None) -> NativeTrigger | None:
    url = None if default is None else default.trigger_url
    return None if url is None or default is None else NativeTrigger(url=url, gated=default.gated)
