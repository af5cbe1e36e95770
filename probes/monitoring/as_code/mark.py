"""By what we know again what is ours: `managed-by:smokeprobe`, the environment, the tags of the file, and a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OWNER = "managed-by:smokeprobe"


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one environment. `tags` are those of `monitoring-integration.yaml`: two products may share an account."""

    env: str
    tags: Mapping[str, str]

    @property
    def words(self) -> tuple[str, ...]:
        """Each as `name:value`."""
        return tuple(f"{name}:{value}" for name, value in self.pairs.items())

    @property
    def pairs(self) -> dict[str, str]:
        """The same by name."""
        owner, _, us = OWNER.partition(":")
        return {owner: us, "env": self.env, **dict(sorted(self.tags.items()))}

    def on(self, text: str, key: str) -> str:
        """A description with the mark as its last line."""
        return f"{text}\n\n{' '.join(self.words)} key:{key}".lstrip()

    def key_in(self, text: str | None) -> str:
        """The key in a description that carries this mark; else nothing."""
        *words, last = (text or "").rstrip().rpartition("\n")[2].split(" ") or [""]
        return last.removeprefix("key:") if tuple(words) == self.words and last.startswith("key:") else ""
