"""A real issuer of OpenID Connect on loopback: its document, its keys, and tokens that it or somebody else signs."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "api://penstock"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: bytes, claims: bytes, alg: str, key: Key) -> str:
    """Any bytes as a token, really signed."""
    text = f"{b64(header)}.{b64(claims)}"
    return f"{text}.{b64(JWSRegistry.algorithms[alg].sign(text.encode(), key))}"


def _held_port() -> int:
    """A port that is ours until this process ends: while an issuer is away nobody else takes it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        os.dup(holder.fileno())  # bound and not listening: who connects is refused, and who reuses it may listen
    return port


class Issuer:
    """An issuer with an HTTP server of its own. `path` comes after its address in its name."""

    def __init__(self, path: str = "") -> None:
        self.keys: dict[str, Key] = {}
        self.published: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.hang = threading.Event()
        self.hang.set()
        self._server: ThreadingHTTPServer | None = None
        self.port = _held_port()
        self.start()
        self.address = f"http://127.0.0.1:{self.port}"
        self.name = self.address + path
        self.path = path.rstrip("/")
        self.document: dict[str, Any] = {"issuer": self.name, "jwks_uri": f"{self.address}/keys"}

    def start(self) -> None:
        """Answer, on the same port as before."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                issuer.hang.wait(60)
                status, headers, body = issuer.answer(self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Somebody did not wait for the answer."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        self.hang.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == f"{self.path}/.well-known/openid-configuration":
            return 200, {"Content-Type": "application/json"}, json.dumps(self.document).encode()
        if path == "/keys":
            return 200, {"Content-Type": "application/json"}, json.dumps({"keys": self.published}).encode()
        return 404, {}, b""

    def key(self, kid: str, kind: str = "RSA", size: int = 2048, **parameters: Any) -> Key:
        """Make a key and publish it."""
        key = self.secret(kid, kind, size)
        self.published.append({**key.as_dict(private=False), "kid": kid, **parameters})
        return key

    def secret(self, kid: str, kind: str = "RSA", size: int = 2048) -> Key:
        """Make a key that nobody is told of."""
        made: Key
        if kind == "RSA":
            with warnings.catch_warnings(action="ignore"):
                made = RSAKey.generate_key(size)
        else:
            made = ECKey.generate_key(kind) if kind.startswith("P-") else OKPKey.generate_key("Ed25519")
        self.keys[kid] = made
        return made

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a good token claims; what is None in `changed` is left out."""
        now = int(time.time())
        claims = {"iss": self.name, "aud": AUDIENCE, "sub": "nightly", "roles": ["Run"]}
        claims |= {"iat": now, "nbf": now, "exp": now + 3600, **changed}
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, kid: str = "one", alg: str = "RS256", header: dict[str, Any] | None = None, by: str = "", **changed: Any
    ) -> str:
        """A token, signed with the key `by`, else with the one that it names."""
        said = {"alg": alg, "kid": kid, "typ": "JWT", **(header or {})}
        said = {name: value for name, value in said.items() if value is not None}
        claims = json.dumps(self.claims(**changed)).encode()
        return signed(json.dumps(said).encode(), claims, alg, self.keys[by or kid])

    def option(self, **changed: Any) -> dict[str, Any]:
        """The issuer as the option `oidc` of the server lists it."""
        scopes = [{"claim": "roles", "value": "Run", "scope": "submit", "endpoints": ["hello"]}]
        return {"issuer": self.name, "audience": AUDIENCE, "scopes": scopes, **changed}


@contextmanager
def running(folder: Any, serving: Any, options: list[Any]) -> Iterator[Any]:
    """A server that takes the tokens of some issuers."""
    started = serving.Served(folder, "--no-dispatch", env={"PENSTOCK_SERVER_OIDC": json.dumps(options)})
    try:
        yield started
    finally:
        assert started.stop() == 0


def eventually(check: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)
