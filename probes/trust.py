"""Whom we trust over TLS, whatever is asked or told; light, as the browser's process starts with it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence


def trusting_context(protocols: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """A client context that verifies against certifi's roots, or what SSL_CERT_FILE or SSL_CERT_DIR name instead.

    `protocols` are those of the application that are offered (ALPN).
    """
    import certifi  # what plain HTTP need not pay for

    own = bool(os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"))
    context = ssl.create_default_context(cafile=None if own else certifi.where())
    if protocols:
        context.set_alpn_protocols(protocols)
    return context
