"""What looks like a secret or an internal address although nobody told us of it: one pattern a rule.

Every pattern runs in time linear in the text, whatever a hostile target writes: repeats are possessive or bounded, and
each begins at a literal or at the edge of a run. A rule is tried only where one of its `gates`, lower-case words, is
in the text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

Replace = Callable[[re.Match[str], frozenset[str]], str]

SHAPE = r"\[redacted: [a-z0-9 _-]{1,40}\]"
"""What a placeholder looks like; no rule takes one for a value."""

LABELS = (
    "password", "secret", "token", "cookie", "session", "key", "private key", "authorization", "credentials", "e-mail",
    "query", "card number", "internal address",
)  # fmt: skip
"""Every label that a rule writes, and that `Redactor.learn` may be given as well."""

_SHAPE = re.compile(SHAPE)
_TRAILING = ",;.:)}"  # what ends a clause rather than a value
_I = re.IGNORECASE


def placeholder(label: str) -> str:
    """What is written in place of a secret: it says what stood there and nothing more."""
    return f"[redacted: {label}]"


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, the words without which it cannot match, and what its matches become."""

    gates: tuple[str, ...]
    pattern: re.Pattern[str]
    replace: Replace

    def hide(self, text: str, allowed: frozenset[str]) -> str:
        """`text` with every match replaced; `allowed` are the hosts that may be shown, as `host_key` writes them."""
        return self.pattern.sub(lambda match: self.replace(match, allowed), text)


def _whole(label: str) -> Replace:
    return lambda _match, _allowed: placeholder(label)


# --- name=value, "name": "value", Name: value -----------------------------------------------------------------------

_SEPARATOR = r"(?:\\{0,8}[\"']|%2[27]|&quot;|&\#3[49];)?\]?\s{0,4}(?:=>|[:=]|%3[AD])\s{0,4}"
_QUOTED = r"(?P<open>\\{0,8}[\"']|%2[27]|&quot;|&\#3[49];)(?P<quoted>(?:(?!(?<!\\)(?P=open))(?:\\[^\r\n]|[^\r\n]))*+)"
# After "name: ", these words are a sentence about the value and not the value.
_PROSE = (
    "missing|expired|invalid|refused|wrong|absent|present|empty|unknown|unset|required|rejected|accepted|revoked|valid|"
    "not|no|is|was|are|must|still|set|ok|expected|string|number|object|array|boolean"
)
_NOT_PROSE = rf"(?!(?:none|null|true|false)(?![\w-]))(?!(?<=:\s)(?:{_PROSE})(?![\w-]))"
_PLAIN = rf"(?:{SHAPE}|[^\s&\"'<>])++"

_NAME_LABELS = (
    ("authorization", "authorization"),
    ("pass", "password"),
    ("pwd", "password"),
    ("key", "key"),
    ("secret", "secret"),
    ("cred", "credentials"),
    ("cookie", "cookie"),
    ("sess", "session"),
    ("sid", "session"),
)


def _label_of(name: str) -> str:
    lowered = name.lower()
    return next((label for part, label in _NAME_LABELS if part in lowered), "token")


def _hide_value(match: re.Match[str], _allowed: frozenset[str]) -> str:
    name, separator, opening = match["name"], match["separator"], match["open"] or ""
    value = match["quoted"] if opening else match["plain"]
    kept = value if opening else value.rstrip(_TRAILING)
    if not kept or _SHAPE.fullmatch(kept):
        return match[0]
    return f"{name}{separator}{opening}{placeholder(_label_of(name))}{value[len(kept) :]}"


def _pair(names: str, plain: str = _PLAIN) -> re.Pattern[str]:
    return re.compile(rf"(?P<name>{names})(?P<separator>{_SEPARATOR})(?:{_QUOTED}|{_NOT_PROSE}(?P<plain>{plain}))", _I)


_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret(?:[_-]?access)?(?:[_-]?key)?|token"
    r"|(?:api|access|private|signing|encryption)[ _-]?key(?:[_-]?id)?"
    r"|(?<![a-z])(?:php|j)?sess(?:ion)?(?:[_-]?id)?|credentials?|[cx]srf|signature"
    r"|(?<![a-z])(?:pass|sid|t?otp|sig|jwt|auth)(?=[\"'=]))\d{0,3}"
)
_SCHEMED = (
    r"(?:(?:Digest|AWS4-HMAC-SHA256|OAuth|Negotiate|NTLM|Hawk)\s[^\r\n]*"
    rf"|(?:(?:Bearer|Basic|Token|ApiKey)\s{{1,4}})?(?:{SHAPE}|[^\s\"'<>])++)"
)

# --- Bearer …, Basic … ----------------------------------------------------------------------------------------------

_BEARER_PROSE = (
    r"tokens?|auth\w*|schemes?|realm|errors?|headers?|challenges?|format|credentials?"
    r"|missing|required|expected|from|with"
)


def _hide_bearer(match: re.Match[str], _allowed: frozenset[str]) -> str:
    return f"{match['scheme']}{placeholder('token')}"


def _hide_basic(match: re.Match[str], _allowed: frozenset[str]) -> str:
    """`Basic` is an English word too: only what is no word, or decodes to user:password, is taken for credentials."""
    value = match["value"]
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        decoded = b""
    wordlike = re.fullmatch(r"[A-Z]?[a-z]+(?:[-/][a-z]+)*", value) is not None
    return match[0] if wordlike and b":" not in decoded else f"{match['scheme']}{placeholder('credentials')}"


# --- URLs -----------------------------------------------------------------------------------------------------------

_VALUE = re.compile(rf"=({SHAPE}|[^&;]*)")


def _hide_query(match: re.Match[str], _allowed: frozenset[str]) -> str:
    query = match["query"].rstrip(_TRAILING)
    hidden = _VALUE.sub(
        lambda pair: pair[0] if _SHAPE.match(pair[1]) or not pair[1] else f"={placeholder('query')}", query
    )
    return f"?{hidden}{match['query'][len(query) :]}"


# --- addresses and hosts --------------------------------------------------------------------------------------------


def host_key(text: str) -> str:
    """How a host, with or without a port, is compared: in lower case, without the brackets of IPv6."""
    return text.lower().replace("[", "").replace("]", "")


def _hide_address(match: re.Match[str], allowed: frozenset[str]) -> str:
    return match[0] if host_key(match[0]) in allowed else placeholder("internal address")


_PORT = r"(?::\d{1,5}(?!\d))?"
_PRIVATE_V4 = re.compile(
    r"1(?<![\d.]1)(?:(?:0|27)\.\d{1,3}|92\.168|69\.254|72\.(?:1[6-9]|2\d|3[01])|00\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))"
    r"(?:\.\d{1,3}){2}(?!\d|\.\d)" + _PORT
)
_PRIVATE_V6 = re.compile(
    r"\[?(?<![\w:.])(?:::1(?![\w:])|(?:fe[89ab][0-9a-f]|f[cd][0-9a-f]{2}):(?=[0-9a-f]{0,4}:)[0-9a-f:]{1,35}(?:%\w{1,16})?)"
    rf"(?:\]{_PORT})?",
    _I,
)
_HOST = re.compile(
    r"(?<![\w.-])(?:(?:[\w-]++\.)+(?:internal(?:\.[\w-]+){0,8}|local|localdomain|lan|corp|intranet|svc|home\.arpa)"
    rf"|ip-\d{{1,3}}-\d{{1,3}}-\d{{1,3}}-\d{{1,3}}(?:\.[\w-]+){{0,8}}|localhost(?=:\d))(?![\w-]|\.\w){_PORT}",
    _I,
)

# --- payment cards --------------------------------------------------------------------------------------------------


def _hide_card(match: re.Match[str], _allowed: frozenset[str]) -> str:
    digits = [int(char) for char in match[0] if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return match[0] if (sum(doubled) + sum(digits[-1::-2])) % 10 else placeholder("card number")


_CARD = re.compile(
    r"(?:[2-6](?<![\w.-].)\d{3}([ -]?)\d{4}\1\d{4}\1\d{1,7}|3(?<![\w.-].)[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-]|\.\d)",
    re.ASCII,
)

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_SERVICE_KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:A(?:KIA|SIA|ROA|IDA)[A-Z0-9]{16}(?![A-Z0-9])|gh[opsur]_\w{20,}|github_pat_\w{20,}"
    r"|xox[abeprs]-[\w-]{10,}|sk-[\w-]{20,}|[rs]k_(?:live|test)_\w{10,}|AIza[\w-]{30,}|glpat-[\w-]{15,}|npm_\w{30,})"
    r"|(?<=hooks\.slack\.com/services/)[\w/-]+"
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]++(?:@|%40|\\u0040|&\#64;)(?!\d+x\.)(?:[\w-]++\.){1,10}(?=[^\W\d_])[\w-]{2,}", _I
)

RULES: tuple[Rule, ...] = (
    Rule(("private key-----",), _PEM, _whole("private key")),
    Rule(("eyj",), re.compile(r"eyJ[\w-]{8,}+(?:\.[\w-]*+){0,4}", re.ASCII), _whole("token")),
    Rule(("authorization",), _pair("(?:proxy-)?authorization", _SCHEMED), _hide_value),
    Rule(("cookie",), _pair("(?:set-)?cookies?2?", r"[^\r\n]+"), _hide_value),
    Rule(("<cookie ",), re.compile(r"(?<=<Cookie )(?!\[)[^>\r\n]*"), _whole("cookie")),
    Rule(
        (
            "pass",
            "pwd",
            "secret",
            "token",
            "key",
            "sess",
            "sid",
            "otp",
            "sig",
            "jwt",
            "auth",
            "credential",
            "csrf",
            "xsrf",
        ),
        _pair(_NAMES),
        _hide_value,
    ),
    Rule(
        ("bearer",),
        re.compile(
            rf"(?P<scheme>\bBearer(?:\s|%20|\+){{1,4}})(?!(?:{_BEARER_PROSE})(?![\w.~+/-]))[\w.~+/-]{{4,}}=*", _I
        ),
        _hide_bearer,
    ),
    Rule(
        ("basic",),
        re.compile(r"(?P<scheme>\bBasic(?:\s|%20|\+){1,4})(?P<value>[A-Za-z0-9+/_-]{4,}={0,2})", _I),
        _hide_basic,
    ),
    Rule(
        ("akia", "asia", "aroa", "aida", "gh", "xox", "sk-", "k_", "aiza", "glpat-", "npm_", "hooks.slack.com"),
        _SERVICE_KEYS,
        _whole("key"),
    ),
    Rule(("://",), re.compile(r"(?<=://)[^\s/?#\"'<>]{1,512}(?=@)"), _whole("credentials")),
    Rule(("?",), re.compile(rf"\?(?=[^\s?#\"'<>=&]{{1,128}}=)(?P<query>(?:{SHAPE}|[^\s#\"'<>])++)"), _hide_query),
    Rule(("@", "%40", "u0040", "&#64;"), _EMAIL, _whole("e-mail")),
    Rule(("10.", "127.", "192.168.", "169.254.", "172.", "100."), _PRIVATE_V4, _hide_address),
    Rule(("::", "fe8", "fe9", "fea", "feb", "fc", "fd"), _PRIVATE_V6, _hide_address),
    Rule(
        (".internal", ".local", ".lan", ".corp", ".intranet", ".svc", ".home.arpa", "ip-", "localhost:"),
        _HOST,
        _hide_address,
    ),
    Rule((), _CARD, _hide_card),
)
"""In this order: a rule that knows the context, such as the name before a value, comes before one that does not."""
