"""A repository's URL, what is written there, and what is made of its answers: without a repository."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import TargetRefused


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_yaml_reads_what_was_compiled(text: str) -> None:
    """kfp and Google's SDK read a template as YAML, and ours is JSON."""
    import yaml

    from penstock_vertex.repository import template_of

    spec = {"pipelineInfo": {"name": "greet"}, "description": text, "numbers": [1, 0.5, 1.0, True, None]}
    package, content = template_of(json.dumps({"spec": spec}).encode())
    assert package == "greet"
    assert yaml.safe_load(content) == spec == json.loads(content)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_metadata_is_ascii_and_comes_back(text: str) -> None:
    from urllib.parse import unquote

    from penstock_vertex.names import header_text

    made = header_text(text)
    assert made.isascii()
    assert made.isprintable()
    assert unquote(made) == text


@pytest.mark.parametrize(
    "url",
    [
        "https://us-central1-kfp.pkg.dev/acme/pipelines",
        "https://us-kfp.pkg.dev/acme/p",
        "https://europe-west1-kfp.pkg.dev/example.com:acme/pipelines/",
        "http://127.0.0.1:8500/acme/pipelines",
        "http://[::1]:8500/acme/pipelines",
    ],
)
def test_a_repository_is_written_as_users_know_it(url: str) -> None:
    from penstock_vertex.options import VertexOptions

    made = VertexOptions(project="acme-pipelines", staging="gs://bucket", repository=url)
    assert made.repository == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "us-central1-kfp.pkg.dev/acme/pipelines",
        "http://us-central1-kfp.pkg.dev/acme/pipelines",
        "https://us-central1-docker.pkg.dev/acme/pipelines",
        "https://us-central1-kfp.pkg.dev:444/acme/pipelines",
        "https://us-central1-kfp.pkg.dev.example.com/acme/pipelines",
        "https://me@us-central1-kfp.pkg.dev/acme/pipelines",
        "https://us-central1-kfp.pkg.dev/acme/pipelines/greet",
        "https://us-central1-kfp.pkg.dev/acme/pipelines?x=y",
        "https://us-central1-kfp.pkg.dev/acme",
        "https://us-central1-kfp.pkg.dev/acme/..",
        "http://127.0.0.1:port/acme/pipelines",
        "http://[::1/acme/pipelines",
        "http://example.com/acme/pipelines",
        "",
    ],
)
def test_another_address_is_refused(url: str) -> None:
    """Among them all that would get Google's credentials and is not Google."""
    from penstock_vertex.options import VertexOptions

    with pytest.raises(ValueError, match="is no repository of pipelines"):
        VertexOptions(project="acme-pipelines", staging="gs://bucket", repository=url)


def test_anonymous_calls_stay_on_this_machine(target: dict[str, Any]) -> None:
    from penstock_vertex.options import VertexOptions

    options = {key: value for key, value in target.items() if key != "backend"}
    with pytest.raises(ValueError, match="`repository` is not on this machine"):
        VertexOptions(**options, repository="https://us-central1-kfp.pkg.dev/acme/pipelines")


def test_googles_repository_is_asked_about_at_artifact_registry() -> None:
    from penstock_vertex.addresses import split_repository

    place = split_repository("https://europe-west1-kfp.pkg.dev/acme/pipelines")
    resource = "projects/acme/locations/europe-west1/repositories/pipelines"
    assert place.api("us-central1") == f"https://artifactregistry.googleapis.com/v1/{resource}"


def test_a_bad_answer_to_an_upload_is_refused() -> None:
    """What is no version, or one of another pipeline, is never kept."""
    from types import SimpleNamespace

    import requests

    from penstock_vertex.addresses import split_repository
    from penstock_vertex.options import VertexOptions
    from penstock_vertex.repository import Registry

    class Session:
        text = ""

        def request(self, verb: str, url: str, **given: Any) -> Any:
            if verb == "POST":
                return SimpleNamespace(ok=True, text=self.text)
            answer = requests.Response()
            answer.status_code, answer.request = 404, requests.Request(verb, url).prepare()
            return answer

    options = VertexOptions(project="acme-pipelines", staging="gs://bucket")
    registry = Registry(options, split_repository("https://us-kfp.pkg.dev/acme/p"), Session())
    for Session.text in ("", "greet/latest", f"other/sha256:{'0' * 64}", "<html>sign in</html>"):
        with pytest.raises(TargetRefused, match="is no version of `greet`"):
            registry.put("greet", b"{}", "tag")
