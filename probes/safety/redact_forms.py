"""Every form that a known secret can take in a text: as it is, escaped, percent-encoded, in base64, in hexadecimal.

What an encoder does to a character depends on the encoder and on where the text has been before (JSON within JSON,
a URL within a URL). So there is no list of variants: a secret's pattern allows each of its characters in each spelling.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.entities import codepoint2name
from urllib.parse import quote, quote_plus

SHORT = 4
"""Below this many characters a secret is hidden only where it stands alone: hidden everywhere, it would empty every
text of, say, the letter `a`, and the holes would spell it out. Its encodings, shorter than many a word, are left alone.
"""

LONGEST_SPELLED = 512
"""Up to so many characters a secret is found in each mixture of spellings; a longer one only where all of it is spelled
in one way, as a pattern of all mixtures would take seconds to make."""

LONGEST_CODED = 16384
"""A still longer one is found only as it is. No text of a report is as long: such a one is not shown at all."""

_ANY_CASE = 8  # from this length on a secret is also found in capitals; a shorter one is often a word
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")  # what no encoder changes
_BASE64_RUN = re.compile(r"(?:[A-Za-z0-9+/_-]|%2[BbFf])+=*")
_BACKSLASH = r"(?:\\|%(?:25){0,3}5[Cc])"
_CONTROLS = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a secret is written. `needle` is lower-case text without which the pattern cannot match."""

    needle: str
    pattern: re.Pattern[str]
    placeholder: str
    in_base64: bool = False

    def hide(self, text: str) -> str:
        """`text` with the placeholder in place of every match, or of the whole base64 text around a match."""
        if self.in_base64:
            return _BASE64_RUN.sub(lambda run: self.placeholder if self.pattern.search(run[0]) else run[0], text)
        return self.pattern.sub(lambda _match: self.placeholder, text)


def forms_of(secret: str, placeholder: str) -> Iterator[Form]:
    """All forms of `secret`, which is not empty."""
    if len(secret) < SHORT:
        yield Form(secret.lower() if secret.isascii() else "", _standing_alone(secret), placeholder)
        return
    if len(secret) > LONGEST_CODED:
        yield Form(_longest_plain(secret), re.compile(re.escape(secret)), placeholder)
        return
    if len(secret) > LONGEST_SPELLED:
        yield from _literal(secret, placeholder)
    else:
        yield _escaped(secret, placeholder)
    for raw in sorted({_utf8(secret), *_latin1(secret)}):
        for mark in ("", "%", r"\x"):
            digits = "".join(f"{mark}{byte:02x}" for byte in raw)
            yield Form(digits, re.compile(re.escape(digits), re.IGNORECASE), placeholder)
    for raw in sorted({_utf8(secret), *_latin1(secret), *(_utf8(text) for text in _as_json(secret))}):
        yield from _base64(raw, placeholder)


def _literal(secret: str, placeholder: str) -> Iterator[Form]:
    """A long secret as each encoder in use writes it."""
    ways = {secret, *_as_json(secret), quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    for way in sorted(ways, key=len, reverse=True):
        yield Form(_longest_plain(way), re.compile(re.escape(way)), placeholder)


def _standing_alone(secret: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _latin1(text: str) -> list[bytes]:
    """What HTTP libraries send of a non-ASCII user name or password where they follow the older rule."""
    try:
        return [text.encode("latin-1")]
    except UnicodeEncodeError:
        return []


def _as_json(text: str) -> list[str]:
    return [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]


def _longest_plain(text: str) -> str:
    return max(_PLAIN.findall(text), key=len, default="").lower()


# --- as text --------------------------------------------------------------------------------------------------------


def _escaped(secret: str, placeholder: str) -> Form:
    """Backslashes are what encoders add and multiply, so those of the secret itself are not counted, only required."""
    parts = []
    slashes = 0
    for char in secret.lstrip("\\"):
        if char == "\\":
            slashes += 1
            continue
        parts.append(_spellings(char, after_slash=slashes > 0))
        slashes = 0
    if slashes:
        parts.append(_BACKSLASH)
    pattern = "".join(parts) or f"{_BACKSLASH}{{{len(secret)},}}+"
    flags = re.IGNORECASE if len(secret) >= _ANY_CASE else re.NOFLAG
    return Form(_longest_plain(secret), re.compile(pattern, flags), placeholder)


def _spellings(char: str, *, after_slash: bool) -> str:
    if _PLAIN.fullmatch(char):
        return f"{_BACKSLASH}{{1,64}}+{re.escape(char)}" if after_slash else re.escape(char)
    code = ord(char)
    percent = [_percent(raw) for raw in sorted({_utf8(char), *_latin1(char)})]
    names = [f"#0{{0,4}}{code}", f"#[Xx]0{{0,4}}(?i:{code:x})"]
    if code in codepoint2name:
        names.append(codepoint2name[code])
    if char == "'":
        names.append("apos")
    bare = [
        *percent,
        rf"&(?:amp;){{0,3}}(?:{'|'.join(names)});",
        re.escape(char) + ("(?:amp;){0,3}" if char == "&" else ""),
    ]
    if char == " ":
        bare.append(r"\+")
        bare.append(r"%(?:25){0,3}2[Bb]")
    escapes = [f"(?i:{escape})" for escape in _backslash_escapes(char)]
    slashed = rf"{_BACKSLASH}{{1,64}}+(?:{'|'.join([*escapes, *bare])})"
    return slashed if after_slash else rf"(?:{slashed}|{'|'.join(bare)})"


def _percent(raw: bytes) -> str:
    return "".join(rf"%(?:25){{0,3}}(?i:{byte:02x})" for byte in raw)


def _backslash_escapes(char: str) -> list[str]:
    """What may follow a backslash in place of `char`, in JSON, JavaScript or Python."""
    code = ord(char)
    escapes = [f"U{code:08x}"]
    if code < 0x100:
        escapes.append(f"x{code:02x}")
    if code < 0x10000:
        escapes.append(f"u{code:04x}")
    else:
        high, low = divmod(code - 0x10000, 0x400)
        escapes.append(f"u{0xD800 + high:04x}{_BACKSLASH}{{1,64}}u{0xDC00 + low:04x}")
    if code >= 0x80:
        escapes.append(f"{_BACKSLASH}{{1,64}}".join(f"x{byte:02x}" for byte in _utf8(char)))
    if char in _CONTROLS:
        escapes.append(_CONTROLS[char])
    return escapes


# --- in base64 ------------------------------------------------------------------------------------------------------


def _base64(raw: bytes, placeholder: str) -> Iterator[Form]:
    """The three forms in which `raw` lies within a longer base64 text.

    Three bytes become four characters, so what a byte becomes depends on its place. Characters that hold bits of a
    neighbour are left out.
    """
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        first = -(-8 * offset // 6)
        last = 8 * (offset + len(raw)) // 6
        core = encoded[first:last]
        spelled = "".join(
            "(?:[+-]|%2[Bb])" if char == "+" else "(?:[/_]|%2[Ff])" if char == "/" else char for char in core
        )
        yield Form(_longest_base64_plain(core), re.compile(spelled), placeholder, in_base64=True)


def _longest_base64_plain(core: str) -> str:
    return max(re.split(r"[+/]", core), key=len).lower()
