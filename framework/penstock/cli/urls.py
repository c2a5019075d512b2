"""The URLs that trigger an endpoint, as `penstock serve` answers them with the configuration as it is."""

from __future__ import annotations

from urllib.parse import quote

from attrs import frozen

from penstock.config import Config, server_options
from penstock.records import EndpointRecord, PublishedRecord

_V1 = "/pipelines/v1.0/subscriptions/-/resourceGroups/-/providers/Microsoft.MachineLearningServices/workspaces/-"
"""Where the wire of Azure ML v1 begins; whatever stands for subscription, group and workspace is the same to us."""


@frozen(kw_only=True)
class NativeUrl:
    """A URL of the backend's own behind the default version; unless it is `gated`, our gates do not cover it."""

    url: str
    gated: bool


@frozen(kw_only=True)
class TriggerUrls:
    """The ways to trigger an endpoint over HTTP, and the document of the first with the types of its parameters."""

    trigger: str
    openapi: str
    azureml_v1: str
    native: NativeUrl | None


def trigger_urls(config: Config, endpoint: EndpointRecord, default: PublishedRecord | None) -> TriggerUrls:
    """The URLs of an endpoint; `default` is the published pipeline behind its default version. Raises ConfigInvalid."""
    options = server_options(config, {})
    host = f"[{options.host}]" if ":" in options.host else options.host
    base = (options.public_url or f"http://{host}:{options.port}").rstrip("/")
    native = None if default is None else default.trigger_url
    here = f"{base}/v1/endpoints/{quote(endpoint.name, safe='')}"
    return TriggerUrls(
        trigger=f"{here}/runs",
        openapi=f"{here}/openapi.json",
        azureml_v1=f"{base}{_V1}/PipelineRuns/PipelineEndpointSubmit/Id/{endpoint.id}",
        native=None if native is None or default is None else NativeUrl(url=native, gated=default.gated),
    )
