"""Which tests need networks of their own, and what becomes of them where there are none."""

from __future__ import annotations

import os

import pytest

from tests.network.namespace import why_not

WHY_NOT = why_not()

REQUIRED = os.environ.get("SMOKEPROBE_TEST_NAMESPACES") == "required"
"""Whether they must not be skipped: .ci/run finds out by itself whether the kernel allows namespaces."""

needs_namespaces = pytest.mark.skipif(bool(WHY_NOT) and not REQUIRED, reason=f"no networks of our own: {WHY_NOT}")
