"""The README's own text is what runs: its check for another site, word for word, against a real server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMOKEPROBE = [sys.executable, "-m", "probes.cli"]


def block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return next(text for text in blocks if containing in text)


class Shop(BaseHTTPRequestHandler):
    products = 3

    def do_GET(self) -> None:
        body = json.dumps({"products": [{"id": number} for number in range(self.products)]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output clean."""


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*SMOKEPROBE, *arguments]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize(("products", "code"), [(3, 0), (2, 1)])
def test_the_check_of_the_readme_runs_as_it_stands(
    tmp_path: Path, shop: str, products: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shop, "products", products)
    (tmp_path / "shop_check.py").write_text(block("python", "CatalogueCheck"))
    head = f"env: shop\ntarget: {{ url: {shop}, private: true }}\n"
    (tmp_path / "shop.yaml").write_text(head + block("yaml", "extensions"))
    done = run(tmp_path, "run", "--config", "shop.yaml", "--json-file", "report.json")
    assert done.returncode == code, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert [check["name"] for check in report["checks"]] == ["catalogue"]


def test_the_check_of_the_readme_is_some_twenty_lines() -> None:
    lines = [line for line in block("python", "CatalogueCheck").splitlines() if line.strip()]
    assert len(lines) <= 24


def test_init_writes_at_most_fifteen_lines_that_run_at_once(tmp_path: Path, shop: str) -> None:
    assert run(tmp_path, "init", "--url", shop).returncode == 0
    text = (tmp_path / "smokeprobe.yaml").read_text()
    assert len(text.splitlines()) <= 15
    assert "password" not in text
    assert run(tmp_path, "validate", "--config", "smokeprobe.yaml").returncode == 0
    done = run(tmp_path, "run", "--config", "smokeprobe.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"^\| `smokeprobe (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    shown = subprocess.run(
        [*SMOKEPROBE, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    ).stdout
    assert named
    assert all(re.search(rf"\b{name}\b", shown) for name in named)
