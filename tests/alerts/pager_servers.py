"""Slack, PagerDuty and Opsgenie on the loopback: strict about what is documented, else as a test wants them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.monitoring.loopback import Loopback, LoopbackHandler, serving

TOKEN, WEBHOOK = "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy", "/services/T0001/B0001/kXgq2hnCzwtfKsbyb3Txq"
ROUTING_KEY = "e93facc04764012d7bfb002500d5d1a6"
GENIE_KEY = "eb243592-faa2-4ba2-a551q-1afdf565c889"


class PagerServer(Loopback):
    """All of them on one port, each under its own paths; `mode` is how to answer, instead of heeding what came.

    A mode is a status, or one of hang, slow, drip, drip head, cut, garbage, moved, and for Slack an error's name.
    """

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.mode: str | int = "up"
        self.complaints: list[str] = []
        self.slack: list[dict[str, Any]] = []
        self.given: list[str] = []
        self.pagerduty: list[dict[str, Any]] = []
        self.opsgenie: list[tuple[str, dict[str, Any]]] = []
        self.requests = 0

    def expect(self, what: str, holds: object) -> bool:
        """Complain of what is not as documented."""
        if not holds:
            self.complaints.append(what)
        return bool(holds)


class _Handler(LoopbackHandler):
    server: PagerServer

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self.server.complaints.append(f"GET {self.path}")  # a redirect that was followed
        self.answer(404, b"", {})

    def post(self, body: bytes) -> None:
        mode = self.server.mode
        self.server.requests += 1
        if mode == "hang":
            self.server.closing.wait(30)
        elif mode == "slow":
            self.server.closing.wait(3)
            self._heed(json.loads(body))
        elif mode == "drip":
            self.drip(200)
        elif mode == "drip head":
            self._drip_head()
        elif mode == "cut":
            self.cut()
        elif mode == "garbage":
            self.answer(200, b"<html>log in to the hotel's network</html>", {"Content-Type": "text/html"})
        elif mode == "moved":
            self.answer(302, b"", {"Location": f"{self.server.url}/elsewhere"})
        elif isinstance(mode, int):
            self.answer(mode, b"secret-in-an-answer", {"Retry-After": "42"} if mode == 429 else {})
        else:
            self._heed(json.loads(body))

    def _drip_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.server.closing.wait(0.2):
            try:
                self.wfile.write(b"a")
            except OSError:
                return

    def _heed(self, said: dict[str, Any]) -> None:
        path = urlsplit(self.path)
        self.server.expect("json", self.headers["Content-Type"].split(";")[0] == "application/json")
        if path.path == "/api/chat.postMessage":
            self._say(200, self._slack(said))
        elif path.path == WEBHOOK:
            right = self._looks_like_slack(said) and self.server.expect("webhook's channel", "channel" not in said)
            self.server.slack.append(said)
            self.answer(200 if right else 400, b"ok" if right else b"invalid_payload", {})
        elif path.path == "/v2/enqueue":
            self._pagerduty(said)
        elif path.path.startswith("/v2/alerts"):
            self._opsgenie(said)
        else:
            self.server.complaints.append(self.path)
            self.answer(404, b"no_service", {})

    def _say(self, status: int, said: object) -> None:
        self.answer(status, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def _slack(self, said: dict[str, Any]) -> dict[str, Any]:
        if self.server.mode != "up":
            return {"ok": False, "error": self.server.mode}
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        if not said.get("channel"):
            return {"ok": False, "error": "channel_not_found"}
        if not self._looks_like_slack(said):
            return {"ok": False, "error": "invalid_blocks"}
        if "thread_ts" in said and said["thread_ts"] not in self.server.given:
            return {"ok": False, "error": "thread_not_found"}
        self.server.slack.append(said)
        self.server.given.append(f"1796040003.{len(self.server.given):06}")
        return {"ok": True, "channel": "C024BE91L", "ts": self.server.given[-1], "message": {}}

    def _looks_like_slack(self, said: dict[str, Any]) -> bool:
        """https://docs.slack.dev/reference/block-kit/blocks."""
        expect = self.server.expect
        known = {"channel", "text", "blocks", "thread_ts", "reply_broadcast", "unfurl_links", "unfurl_media"}
        right = expect(f"unknown keys {set(said) - known}", set(said) <= known)
        right &= expect("text", isinstance(said.get("text"), str) and said["text"])
        blocks = said.get("blocks", [])
        right &= expect("blocks", 1 <= len(blocks) <= 50)
        for block in blocks:
            text = block["text"]
            if block["type"] == "header":
                right &= expect("header", text["type"] == "plain_text" and 1 <= len(text["text"]) <= 150)
            else:
                right &= expect("section", block["type"] == "section" and text["type"] == "mrkdwn")
                right &= expect("section's text", 1 <= len(text["text"]) <= 3000)
        return right

    def _pagerduty(self, said: dict[str, Any]) -> None:
        """https://developer.pagerduty.com/docs/send-alert-event."""
        expect = self.server.expect
        known = {"routing_key", "event_action", "dedup_key", "payload", "links", "images", "client", "client_url"}
        right = expect(f"unknown keys {set(said) - known}", set(said) <= known)
        if said.get("routing_key") != ROUTING_KEY:
            self._say(400, {"status": "invalid event", "errors": ["Invalid routing key"]})
            return
        right &= expect("event_action", said.get("event_action") in {"trigger", "acknowledge", "resolve"})
        right &= expect("dedup_key", 1 <= len(said.get("dedup_key", "")) <= 255)
        if said.get("event_action") == "trigger":
            payload = said.get("payload", {})
            fields = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
            right &= expect(f"unknown fields {set(payload) - fields}", set(payload) <= fields)
            right &= expect("summary", 1 <= len(payload.get("summary", "")) <= 1024)
            right &= expect("source", payload.get("source"))
            right &= expect("severity", payload.get("severity") in {"critical", "error", "warning", "info"})
            right &= expect("links", all(link["href"].startswith("https://") for link in said["links"]))
        if right:
            self.server.pagerduty.append(said)
        answer = {"status": "success", "message": "Event processed", "dedup_key": said.get("dedup_key")}
        self._say(202 if right else 400, answer if right else {"status": "invalid event", "errors": ["…"]})

    def _opsgenie(self, said: dict[str, Any]) -> None:
        """https://docs.opsgenie.com/docs/alert-api."""
        expect = self.server.expect
        if self.headers["Authorization"] != f"GenieKey {GENIE_KEY}":
            self._say(401, {"message": "Could not authenticate"})
            return
        path = urlsplit(self.path)
        if path.path == "/v2/alerts":
            fields = {
                "message", "alias", "description", "responders", "visibleTo", "actions", "tags", "details", "entity",
                "source", "priority", "user", "note",
            }  # fmt: skip
            right = expect(f"unknown fields {set(said) - fields}", set(said) <= fields)
            right &= expect("message", 1 <= len(said.get("message", "")) <= 130)
            right &= expect("alias", 1 <= len(said.get("alias", "")) <= 512)
            right &= expect("description", len(said.get("description", "")) <= 15000)
            right &= expect("priority", said.get("priority") in {"P1", "P2", "P3", "P4", "P5"})
            right &= expect("tags", len(said["tags"]) <= 20 and all(len(tag) <= 50 for tag in said["tags"]))
            right &= expect("details", all(isinstance(text, str) for text in said["details"].values()))
            kept = ("create", said)
        else:
            alias = unquote(path.path.removeprefix("/v2/alerts/").removesuffix("/close"))
            right = expect("close", path.path.endswith("/close"))
            right &= expect("identifierType", parse_qs(path.query) == {"identifierType": ["alias"]})
            right &= expect("fields of close", set(said) <= {"user", "source", "note"})
            kept = ("close", {**said, "alias": alias})
        if right:
            self.server.opsgenie.append(kept)
        self._say(202 if right else 422, {"result": "Request will be processed", "took": 0.1, "requestId": "43a29c5c"})


@contextmanager
def pager_server() -> Iterator[PagerServer]:
    """A server in a thread, gone with the context."""
    with serving(PagerServer()) as server:
        yield server
