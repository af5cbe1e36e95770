"""Whom we trust over TLS, requests and the browser's process alike; light, as the latter starts with it."""

from __future__ import annotations

import os
import ssl


def trusting_context() -> ssl.SSLContext:
    """A client context that verifies against certifi's roots, or what SSL_CERT_FILE or SSL_CERT_DIR name instead."""
    import certifi  # what plain HTTP need not pay for

    own = bool(os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"))
    context = ssl.create_default_context(cafile=None if own else certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
