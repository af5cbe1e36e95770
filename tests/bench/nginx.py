"""An nginx of our own, on loopback or in a namespace: the yardstick, and an edge in front of the stand-in."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.measurement import CannotMeasureError

STATIC_PATH = "/bench.json"
STATIC_BODY = '{"status":"ok"}'
START_TIMEOUT_S = 5.0

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {address}:{port};
    location = {static} {{ root {folder}; }}
    location / {{ proxy_pass {behind}; proxy_http_version 1.1; proxy_set_header Connection ""; {hidden} }}
  }}
}}
"""


class Nginx:
    """Answers `STATIC_PATH` from a file and hands all else on to `behind`. For a with-block.

    `hide_limits` takes the X-RateLimit headers away, which would lower the ceilings of a configuration without limits.
    """

    def __init__(self, behind: str, address: str = "127.0.0.1", *, hide_limits: bool = False) -> None:
        self._behind, self._address = behind, address
        names = ("Limit", "Remaining", "Reset") if hide_limits else ()
        self._hidden = " ".join(f"proxy_hide_header X-RateLimit-{name};" for name in names)
        self._child: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise CannotMeasureError("nginx is not installed: make bench-tools (Debian: nginx-light)")
        self._folder = tempfile.TemporaryDirectory(prefix="smokeprobe-bench-")
        folder = Path(self._folder.name)
        folder.chmod(0o755)  # its worker is another user when it is started by root
        self.port = _free_port(self._address)
        (folder / STATIC_PATH.removeprefix("/")).write_text(STATIC_BODY)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                address=self._address,
                port=self.port,
                static=STATIC_PATH,
                behind=self._behind,
                hidden=self._hidden,
            )
        )
        command = [program, "-c", str(configuration), "-p", str(folder), "-e", str(folder / "error.log")]
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            self._wait(folder / "error.log")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child.wait(10)
        if self._folder is not None:
            self._folder.cleanup()

    def _wait(self, log: Path) -> None:
        ends = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection((self._address, self.port), timeout=1.0).close()
            except OSError:
                if time.monotonic() > ends or (self._child is not None and self._child.poll() is not None):
                    said = log.read_text(errors="replace").strip()[-200:] if log.exists() else ""
                    raise CannotMeasureError(f"nginx did not start: {said}") from None
                time.sleep(0.01)
            else:
                return


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        port: int = listener.getsockname()[1]
        return port
