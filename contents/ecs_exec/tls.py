"""The certificate authorities that all connections trust."""

from __future__ import annotations

import ssl
from functools import cache
from threading import Lock

_READING = Lock()


def trusting(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the TLS context for a file of certificate authorities; None: the system's. Raises OSError.

    It trusts as botocore does: it does not use the strict rules of later Pythons (ssl.create_default_context), which
    reject older certificate authorities. Reading the authorities takes longer than a handshake, so it happens once,
    also if many threads ask at the same time.
    """
    with _READING:
        return _read(ca_bundle)


@cache
def _read(ca_bundle: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_bundle is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile=ca_bundle)
    return context
