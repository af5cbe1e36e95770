"""By what we know again what is ours: `managed-by:smokeprobe` with the environment and the key."""

from __future__ import annotations

import re

OWNER = "managed-by:smokeprobe"
_MARK = re.compile(rf"{OWNER} env:(\S+) key:(\S+)\s*$")


def with_mark(text: str, env: str, key: str) -> str:
    """A description with our mark as its last line."""
    return f"{text}\n\n{OWNER} env:{env} key:{key}".lstrip()


def key_in(text: str | None, env: str) -> str:
    """The key in a description that carries our mark of this environment; else nothing."""
    match = _MARK.search(text or "")
    return match[2] if match and match[1] == env else ""
