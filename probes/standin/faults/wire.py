"""Faults below HTTP, and answers that never end: resets, silence, drips and floods."""

import gzip
import json
import zlib
from collections.abc import Iterator

import gevent
from flask import Response

from probes.standin.faults.base import Before, Fault, Rule, Unanswered, answer, every_check, everything, on, one
from probes.standin.health import EDGE, health_body
from probes.standin.target import Exchange

BIG_BODY_BYTES = 2 * 1024**3
BOMB_BYTES = 1024**3
HANG_S = 600.0
DRIP_S = 1.0
_BLOCK = b"a" * 64 * 1024
_HEALTH = on(f"GET {EDGE}")
_HTTP = one("health", "failed", "http")
_BODY = one("health", "failed", "body")


def hang(exchange: Exchange) -> Response:
    """Keep the connection open and say nothing, until the faults change."""
    released, wire = exchange.target.released, exchange.wire

    def silence() -> Iterator[bytes]:
        released.wait(HANG_S)
        wire.drop(reset=False)
        yield b""

    return Unanswered(silence())


def _close(*, reset: bool) -> Before:
    def act(exchange: Exchange) -> Response:
        def nothing() -> Iterator[bytes]:
            exchange.wire.drop(reset=reset)
            yield b""

        return Unanswered(nothing())

    return act


def _raw(data: bytes) -> Before:
    """Send these bytes for an answer, whatever they are, and close."""

    def act(exchange: Exchange) -> Response:
        def sent() -> Iterator[bytes]:
            exchange.wire.send(data)
            exchange.wire.drop(reset=False)
            yield b""

        return Unanswered(sent())

    return act


def _cut_short(*, reset: bool) -> Before:
    """Promise the whole body, send half of it, and end the connection."""

    def act(exchange: Exchange) -> Response:
        body = _health_json(exchange)

        def half() -> Iterator[bytes]:
            yield body[: len(body) // 2]
            gevent.sleep(0.02)  # so that the half arrives before its end does
            exchange.wire.drop(reset=reset)

        return _streamed(half(), len(body))

    return act


def _drip(exchange: Exchange) -> Response:
    body, released = _health_json(exchange), exchange.target.released

    def dripping() -> Iterator[bytes]:
        for byte in body:
            yield bytes([byte])
            if released.wait(DRIP_S):
                exchange.wire.drop(reset=False)

    return _streamed(dripping(), len(body))


def _drip_headers(exchange: Exchange) -> Response:
    body, released = _health_json(exchange), exchange.target.released
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    def dripping() -> Iterator[bytes]:
        for byte in head.encode() + body:
            exchange.wire.send(bytes([byte]))
            if released.wait(DRIP_S):
                break
        exchange.wire.drop(reset=False)
        yield b""

    return Unanswered(dripping())


def _flood(_exchange: Exchange) -> Response:
    def blocks() -> Iterator[bytes]:
        opening, end = b'{"status":"healthy","padding":"', b'"}'
        yield opening
        left = BIG_BODY_BYTES - len(opening) - len(end)
        while left > 0:
            yield _BLOCK[:left]
            left -= len(_BLOCK)
            gevent.sleep(0)  # a fast reader must not keep the others waiting
        yield end

    return _streamed(blocks(), BIG_BODY_BYTES)


def _bomb(_exchange: Exchange) -> Response:
    def compressed() -> Iterator[bytes]:
        squeeze = zlib.compressobj(9, wbits=31)
        yield squeeze.compress(b'{"status":"healthy","padding":"')
        for _ in range(BOMB_BYTES // len(_BLOCK)):
            yield squeeze.compress(_BLOCK)
            gevent.sleep(0)
        yield squeeze.compress(b'"}') + squeeze.flush()

    answer = Response(compressed(), content_type="application/json")
    answer.headers["Content-Encoding"] = "gzip"
    return answer


def _chunked(exchange: Exchange) -> Response:
    body = _health_json(exchange)
    return Response((bytes([byte]) for byte in body), content_type="application/json")


def _zipped(exchange: Exchange) -> Response:
    answer = Response(gzip.compress(_health_json(exchange)), content_type="application/json")
    answer.headers["Content-Encoding"] = "gzip"
    return answer


def _health_json(exchange: Exchange) -> bytes:
    return json.dumps(health_body(exchange.target)).encode()


def _streamed(parts: Iterator[bytes], length: int) -> Response:
    answer = Response(parts, content_type="application/json")
    answer.headers["Content-Length"] = str(length)
    return answer


_BAD_CHUNK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n{}\r\n"

FAULTS = (
    Fault("hang", "accepts every request and never answers", every_check("failed"), (Rule(everything, hang),)),
    Fault("hang-health", "never answers GET /health; the rest works", _HTTP, (Rule(_HEALTH, hang),)),
    Fault(
        "reset-on-accept",
        "answers every request with a RST as soon as it is there",
        every_check("failed"),
        (Rule(everything, _close(reset=True)),),
    ),
    Fault(
        "close-before-answer",
        "closes the connection of GET /health in good order, without an answer",
        _HTTP,
        (Rule(_HEALTH, _close(reset=False)),),
    ),
    Fault(
        "reset-mid-body",
        "sends half the body of GET /health, then a RST",
        _BODY,
        (Rule(_HEALTH, _cut_short(reset=True)),),
    ),
    Fault(
        "close-mid-body",
        "sends half the body of GET /health, then closes",
        _BODY,
        (Rule(_HEALTH, _cut_short(reset=False)),),
    ),
    Fault("slow-drip-body", "sends the body of GET /health at 1 byte a second", _BODY, (Rule(_HEALTH, _drip),)),
    Fault(
        "slow-drip-headers",
        "sends the headers of GET /health at 1 byte a second",
        _HTTP,
        (Rule(_HEALTH, _drip_headers),),
    ),
    Fault("big-body", "sends 2 GiB for GET /health, as fast as they are read", _BODY, (Rule(_HEALTH, _flood),)),
    Fault("gzip-bomb", "sends 1 GiB for GET /health, compressed to about 1 MiB", _BODY, (Rule(_HEALTH, _bomb),)),
    Fault(
        "gzip-broken",
        "calls the body of GET /health gzip, which it is not",
        _BODY,
        (Rule(_HEALTH, answer(200, '{"status":"healthy"}', Content_Encoding="gzip")),),
    ),
    Fault("gzip-body", "compresses the body of GET /health", one("health", "passed"), (Rule(_HEALTH, _zipped),)),
    Fault(
        "chunked-body",
        "sends the body of GET /health in chunks of one byte",
        one("health", "passed"),
        (Rule(_HEALTH, _chunked),),
    ),
    Fault("bad-chunk", "sends a broken chunk for GET /health", _BODY, (Rule(_HEALTH, _raw(_BAD_CHUNK)),)),
    Fault(
        "not-http",
        "answers GET /health in another protocol",
        _HTTP,
        (Rule(_HEALTH, _raw(b"SSH-2.0-OpenSSH_9.6\r\n")),),
    ),
    Fault(
        "big-headers",
        "sends a header of 1 MiB with GET /health",
        _HTTP,
        (Rule(_HEALTH, answer(200, '{"status":"healthy"}', X_Padding="a" * 1024**2)),),
    ),
)
