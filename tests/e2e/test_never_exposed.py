"""Secrets are planted in every place that one can come from, and looked for in every place that anything goes to."""

from __future__ import annotations

import base64
import html
import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import psutil
import pytest

from probes.standin.accounts import EMAILS
from probes.standin.faults.calls import LEAKED
from probes.standin.faults.pages import SECRETS_IN_CONSOLE
from probes.standin.process import StandIn
from tests.e2e.harness import LOCUST, ROOT, Ran, Runner, Running, write_config
from tests.waiting import until

PASSWORD = 'Pl4nted "päss" word/+&<7>'
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
EDGE = "edge+secret/of==the&tests"
INTERNAL = ("10.12.0.7", "ml.internal.svc.cluster.local", "hunter2")
PLANTED = (PASSWORD, SEED, EDGE, *EMAILS.values(), *LEAKED, *SECRETS_IN_CONSOLE, *INTERNAL)
TOKEN_LIKE = "eyJhbGciOi"
"""How each access token of the stand-in begins."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[StandIn]:
    env = {"SMOKE_TEST_PASSWORD": PASSWORD, "STANDIN_EDGE_SECRET": EDGE}  # its form asks for no code
    with StandIn("design", env=env) as target:
        yield target


@pytest.fixture
def secretive(guarded: StandIn, tmp_path: Path) -> Runner:
    """Runs with every kind of secret, and every reader of a report."""
    guarded.reset()
    credentials = {
        "accounts": {"basic": {"totp": {"env": "SMOKE_TEST_TOTP"}}},
        "edge_header": {"name": "X-Edge-Secret", "value": {"env": "EDGE_SECRET"}},
    }
    config = write_config(
        tmp_path / "secretive.yaml",
        {"credentials": credentials},
    )
    env = {
        "SMOKE_TEST_TOTP": SEED,
        "EDGE_SECRET": EDGE,
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "SMOKEPROBE_JUNIT_FILE": str(tmp_path / "report.xml"),
        "SMOKEPROBE_HTML_FILE": str(tmp_path / "report.html"),
    }
    return Runner(guarded, tmp_path, config, env)


def spellings(secret: str) -> set[bytes]:
    """How a secret may come out: as it is, escaped, or encoded, whatever stands before it."""
    raw = secret.encode()
    texts = {secret, secret.upper(), secret.lower(), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    texts |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    texts |= {raw.hex(), raw.hex().upper()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] : -1]  # what its neighbours have no part in
        texts |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {text.encode() for text in texts} | {secret.encode("utf-16-le")}


def everything(ran: Ran, folder: Path, state: Path) -> dict[str, bytes]:
    """All that a run has said and written, by where; open sessions apart, which are kept on purpose."""
    said = {"stdout": ran.stdout.encode(), "stderr": ran.stderr.encode()}
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    said |= {str(path): path.read_bytes() for path in files if path.parent != state / "sessions"}
    return said | {"file names": "\n".join(map(str, files)).encode()}


def assert_never_exposed(said: dict[str, bytes], secrets: tuple[str, ...]) -> None:
    for secret in secrets:
        for spelling in spellings(secret):
            found = [where for where, text in said.items() if spelling in text]
            assert not found, f"{spelling!r} in {found}"
    assert not [where for where, text in said.items() if TOKEN_LIKE.encode() in text]


@pytest.mark.parametrize(
    "faults",
    [
        (),
        ("enhance-500-internal", "profile-500-echo", "page-console-error"),
        pytest.param(
            ("enhance-500-internal", "profile-redirect-other-host", "page-missing-element"), marks=pytest.mark.slow
        ),
        pytest.param(("account-locked", "page-exception"), marks=pytest.mark.slow),
        pytest.param(("dashboard-no-logout-button", "hostile-text"), marks=pytest.mark.slow),
    ],
    ids=lambda faults: "+".join(faults) or "none",
)
def test_nothing_is_given_away(faults: tuple[str, ...], guarded: StandIn, secretive: Runner, tmp_path: Path) -> None:
    guarded.set_faults(*faults)
    state = tmp_path / "state"

    ran = secretive.run(state=state)

    said = everything(ran, tmp_path, state)
    assert {"report.xml", "report.html", "summary.md", "report.json"} <= {Path(where).name for where in said}
    assert_never_exposed(said, PLANTED)
    assert ran.code == (1 if faults else 0), ran.story()
    assert ("\n::error title=" in ran.stdout) is bool(faults)
    assert "kept back what pages would have sent: POST /analytics/collect" in ran.report["notes"][0]
    assert_pictures_of_failures(ran, state, failures=bool(PICTURED & set(faults)))


PICTURED = {"page-missing-element", "dashboard-no-logout-button"}
"""Faults of pages that answer 200 and on which something that is looked for is missing."""


def assert_pictures_of_failures(ran: Ran, state: Path, *, failures: bool) -> None:
    pictures = list((state / "screenshots").glob("*"))
    assert {str(picture) for picture in pictures} == {
        check["screenshot"] for check in ran.report["checks"] if "screenshot" in check
    }
    assert bool(pictures) is failures
    assert {stat.S_IMODE(picture.stat().st_mode) for picture in pictures} <= {0o600}


def test_tokens_of_a_session_that_stays_open(guarded: StandIn, secretive: Runner, tmp_path: Path) -> None:
    guarded.set_faults("logout-fails", "profile-500-echo")
    state = tmp_path / "state"

    ran = secretive.run("--no-browser", state=state)

    (kept,) = (state / "sessions").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert EMAILS["basic"] not in kept.name
    tokens = tuple(json.loads(kept.read_text())[0].values())
    assert len(tokens) == 2
    assert_never_exposed(everything(ran, tmp_path, state), (*PLANTED, *tokens))


def test_a_placeholder_stands_where_a_secret_was(guarded: StandIn, secretive: Runner, tmp_path: Path) -> None:
    state = tmp_path / "state"
    guarded.set_faults("page-redirect-private")

    ran = secretive.run("--check", "homepage", "--check", "login", state=state, env={"SMOKEPROBE_REGION": PASSWORD})

    said = everything(ran, tmp_path, state)
    assert_never_exposed(said, (*PLANTED, "10.0.0.1"))
    for where in ("report.json", "report.xml", "report.html"):
        (text,) = [text.decode() for path, text in said.items() if Path(path).name == where]
        assert "[redacted" in text, where
    assert "[redacted" in ran.stdout


@pytest.mark.parametrize(
    "faults", [("redirect-other-host", "page-redirect-private"), ("redirect-private", "page-redirect-other-host")]
)
def test_where_the_target_leads_is_not_named(
    faults: tuple[str, ...], guarded: StandIn, secretive: Runner, tmp_path: Path
) -> None:
    guarded.set_faults(*faults)
    state = tmp_path / "state"

    ran = secretive.run("--check", "health", "--check", "homepage", state=state)

    for check in ("health", "homepage"):
        assert "redirected to where we must not go: another host" in ran.reason(check), ran.story()
    said = everything(ran, tmp_path, state)
    assert {"report.xml", "report.html", "summary.md", "report.json"} <= {Path(where).name for where in said}
    assert_never_exposed(said, (*PLANTED, "example.org", "10.0.0.1"))


def test_a_debug_log_gives_nothing_away(guarded: StandIn, secretive: Runner, tmp_path: Path) -> None:
    guarded.set_faults("profile-500-echo", "enhance-500-internal")
    state = tmp_path / "state"
    line = [
        *(LOCUST, "-f", str(ROOT / "locustfiles" / "production_smoke.py")),
        *("--config", str(ROOT / "config" / "locust" / "scheduled.conf"), "--loglevel", "DEBUG"),
        *("--smoke-config", str(secretive.config), "--target-url", guarded.url, "--state-dir", str(state)),
    ]

    done = subprocess.run(
        line, env=secretive.environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=50
    )

    assert done.returncode == 1, done.stdout + done.stderr
    said = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    assert b"DEBUG" in said["stderr"]
    assert_never_exposed(said, PLANTED)


@pytest.mark.slow
def test_no_process_carries_a_secret(guarded: StandIn, secretive: Runner) -> None:
    guarded.set_faults("logout-slow")  # the browser is there meanwhile
    seen: dict[int, str] = {}

    with secretive.started("--check", "login") as running:

        def look() -> bool:
            seen.update(processes(running))
            return any(entry["path"] == "/dashboard" for entry in guarded.ledger())

        assert until(look)
        ran = running.end()

    assert ran.code == 0, ran.story()
    assert any("chrom" in text for text in seen.values())
    for text in seen.values():
        assert "SMOKE_TEST" not in text.partition("\0environ\0")[2]
        for secret in (PASSWORD, SEED, EDGE, *EMAILS.values()):
            assert secret not in text


def processes(running: Running) -> dict[int, str]:
    """Each process of a run: its command line, and for all but the run itself its environment."""
    found = {}
    for each in running.family():
        try:
            environ = {} if each.pid == running.process.pid else each.environ()
            shown = [f"{name}={value}" for name, value in environ.items()]
            found[each.pid] = "\0".join([*each.cmdline(), "\0environ\0", *shown])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
