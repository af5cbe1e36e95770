"""What is ours is known again, and nothing else."""

from __future__ import annotations

import pytest

from probes.monitoring.as_code.mark import Mark

MARK = Mark("production", {"team": "a", "service": "shop"})
LINE = "managed-by:smokeprobe env:production service:shop team:a key:health"


def test_what_is_marked_is_known_again() -> None:
    text = MARK.on("Up?\nFast?", "health")
    assert text == f"Up?\nFast?\n\n{LINE}"
    assert MARK.key_in(text) == "health"
    assert MARK.key_in(f"{text}\n ") == "health"
    assert MARK.on("", "health") == LINE


@pytest.mark.parametrize(
    "text",
    [
        None, "", "Up?", LINE.replace("production", "staging"), LINE.replace("team:a ", ""),
        LINE.replace("shop", "bank"),
        f"{LINE}\nand more", f"see {LINE}", LINE.removesuffix(" key:health"), LINE.replace("key:", "name:"),
    ],
)  # fmt: skip
def test_what_is_not_ours(text: str | None) -> None:
    assert MARK.key_in(text) == ""
