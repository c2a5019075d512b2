"""A certificate authority of the emulator's own, in its state, and a certificate for loopback."""

from __future__ import annotations

import os
import ssl
from pathlib import Path


def ready(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The authority's certificate, which callers must trust, and what to serve with.

    The authority is made once and kept, so that who trusted it goes on doing so; each emulator has a new certificate.
    """
    import trustme

    authority, key = folder / "ca.pem", folder / "ca.key"
    if authority.is_file() and key.is_file():
        issuer = trustme.CA.from_pem(authority.read_bytes(), key.read_bytes())
    else:
        issuer = trustme.CA(organization_name="penstock emulator")
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(issuer.private_key_pem.bytes())
        authority.write_bytes(issuer.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return authority.resolve(), context
