"""What lies around a target and is none of its own: a `.netrc`, and a proxy before this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock_vertex import client, cloud_logging, repository
from penstock_vertex.options import VertexOptions


@pytest.fixture
def project(tmp_path: Path, target: dict[str, Any]) -> Path:
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    return tmp_path


def sessions(options: VertexOptions) -> dict[str, Any]:
    """Every session of `requests` that the backend sends by, and where to."""
    connected = client.connect(options)
    logging = cloud_logging._client(options.project, options.logging_endpoint, options.credentials)
    origin = options.logging_endpoint or "https://us-kfp.pkg.dev"
    return {
        "jobs": connected._jobs.transport._session,
        "storage": connected._bucket.client._http,
        "logging": logging._http,
        "repository": repository._session(options.credentials, origin),
    }


def test_a_netrc_replaces_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any]) -> None:
    """`requests` prefers what a .netrc says to the header that it is given."""
    requests = pytest.importorskip("requests")
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, session in sessions(VertexOptions(**{k: v for k, v in target.items() if k != "backend"})).items():
        session.trust_env = True
        sent = requests.Request("GET", "https://example.invalid/", headers={"Authorization": "Bearer ours"})
        assert session.prepare_request(sent).headers["Authorization"] == "Bearer ours", name


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_before_what_listens_on_this_machine(project: Path, variable: str) -> None:
    environment = {**os.environ, variable: "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "penstock", "target", "check", "prod"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
