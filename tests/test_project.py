"""What holds for the tree as a whole: nothing in it names a machine, nothing is switched off without a reason."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from probes import __version__

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
TOP_LEVEL = {
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "config",
    "deploy",
    "docs",
    "locustfiles",
    "probes",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "tests",
}

# Registries' addresses and one machine's paths. Each has a bracket in it, so that it does not match itself.
FORBIDDEN = re.compile(
    r"py[p]i\.org|pythonhoste[d]\.org|registry\.npm[j]s|deb\.debia[n]\.org|cdn\.playwrigh[t]"
    r"|--(?:extra-)?index-ur[l]|--find-link[s]\b|https?://[^\s\"']*/(?:simpl[e]|package[s])/|\"resolved\": \"htt[p]"
    r"|/wor[k]/|/tm[p]/|/roo[t]/|/hom[e]/\w|/User[s]/\w|/opt/(?:pyp[i]|wheel[s])"
)
# Comments that switch a tool off. What follows them must be words.
SWITCHED_OFF = re.compile(
    r"(?:noqa(?::\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?|type:\s*ignore(?:\[[^]]*\])?|pragma:\s*no cover"
    r"|shellcheck disable=[A-Z\d,]+)(?P<reason>.*)"
)
SKIPPING = {"skip", "skipif", "xfail", "importorskip"}


def git_files() -> list[Path]:
    """All files that are tracked, or would be with the next `git add`; relative to the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")
    return [Path(name) for name in listed if (ROOT / name).is_file()]


def text_of(path: Path | str) -> str:
    return (ROOT / path).read_bytes().decode(errors="replace")


def unexplained_comments(path: Path, text: str) -> list[str]:
    """The comments of a file that switch something off and do not say why."""
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    else:
        comments = [(number, line) for number, line in enumerate(text.splitlines(), 1) if "#" in line]
    return [
        f"{path}:{number}: {comment.strip()}"
        for number, comment in comments
        if (match := SWITCHED_OFF.search(comment)) and not re.search("[A-Za-z]{2}", match["reason"])
    ]


def unexplained_skips(path: Path, text: str) -> list[str]:
    """The skips and expected failures of a test file without `reason=`, or without any words for `pytest.skip`."""
    found = []
    tree = ast.parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in SKIPPING and id(node) not in called and is_pytest(node):
            found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SKIPPING:
            bare = node.func.attr == "skip" and bool(node.args)
            if is_pytest(node.func) and not bare and all(keyword.arg != "reason" for keyword in node.keywords):
                found.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    return found


def is_pytest(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) in {"pytest", "pytest.mark"}


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in git_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize(
    "line",
    [
        "https://py" + "pi.org/project/x",
        "--index" + "-url https://mirror.example",
        "see https://mirror.example/sim" + "ple/x",
        "/ho" + "me/somebody/project",
        "/wo" + "rk/project",
    ],
)
def test_such_a_line_would_be_found(line: str) -> None:
    assert FORBIDDEN.search(line)


def test_only_the_agreed_entries_stand_at_the_top() -> None:
    assert {path.parts[0] for path in git_files()} <= TOP_LEVEL


def test_whatever_is_switched_off_says_why() -> None:
    found = []
    for path in git_files():
        if path.suffix in {".py", ".sh"} or path == Path(".ci/run"):
            found += unexplained_comments(path, text_of(path))
        if path.suffix == ".py":
            found += unexplained_skips(path, text_of(path))
    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize(
    ("line", "explained"),
    [
        ("x = 1  # no" + "qa", False),
        ("x = 1  # no" + "qa: BLE001", False),
        ("x = 1  # no" + "qa: BLE001, S110", False),
        ("x = 1  # no" + "qa: BLE001 - a plugin may raise anything", True),
        ("x = 1  # no" + "qa: BLE001, S110  # a plugin may raise anything", True),
        ("x = 1  # type: ig" + "nore[attr-defined]", False),
        ("x = 1  # type: ig" + "nore[attr-defined]  # the stubs lack it", True),
        ("x = '# no" + "qa'", True),
    ],
)
def test_a_comment_that_switches_off_is_judged_by_the_words_after_it(line: str, explained: bool) -> None:
    assert (unexplained_comments(Path("x.py"), f"{line}\n") == []) is explained


@pytest.mark.parametrize(
    ("line", "explained"),
    [
        ("pytest.mark.skip", False),
        ("pytest.mark.skipif(windows)", False),
        ("pytest.mark.xfail(strict=True)", False),
        ("pytest.mark.xfail(reason='their bug 12')", True),
        ("pytest.skip()", False),
        ("pytest.skip('no nginx here')", True),
        ("pytest.importorskip('boto3')", False),
        ("budget.skip()", True),
    ],
)
def test_a_skip_is_judged_by_its_reason(line: str, explained: bool) -> None:
    assert (unexplained_skips(Path("x.py"), line) == []) is explained


def test_version_and_changelog_agree() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "probes/__init__.py"
    sections = re.findall(r"^## \[(.+?)\]", text_of("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "Unreleased"
    newest = sections[1] if len(sections) > 1 else "0.1.0"  # what the first release will be called
    assert newest == __version__


def locked(name: str) -> dict[str, list[str]]:
    """Package and version of a lock file, as written, each with its hashes."""
    entries = re.split(r"\n(?=\S)", text_of(name))
    requirements = [entry for entry in entries if not entry.startswith("#")]
    return {entry.split(" \\")[0].strip(): re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in requirements}


def without_markers(entries: dict[str, list[str]]) -> dict[str, list[str]]:
    return {entry.split(" ;")[0]: hashes for entry, hashes in entries.items()}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_pins_every_package_by_hash_and_names_no_address(name: str) -> None:
    assert "://" not in text_of(name)
    entries = locked(name)
    assert len(entries) > 20
    loose = [
        entry for entry, hashes in entries.items() if not re.match(r"[a-z0-9.-]+==\S+( ; .+)?$", entry) or not hashes
    ]
    assert loose == []


def test_the_lock_files_agree_with_each_other() -> None:
    runtime, everything = (locked(name) for name in LOCKS)
    assert without_markers(runtime).items() <= without_markers(everything).items()


@pytest.mark.parametrize(("name", "with_extra"), [(LOCKS[0], False), (LOCKS[1], True)])
def test_the_lock_files_hold_what_the_project_asks_for(name: str, with_extra: bool) -> None:
    project = tomllib.loads(text_of("pyproject.toml"))
    wanted = project["project"]["dependencies"] + project["build-system"]["requires"] * with_extra
    wanted += project["project"]["optional-dependencies"]["dev"] * with_extra
    pins = [Requirement(entry) for entry in locked(name)]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    asked = [Requirement(text) for text in wanted]
    missing = [str(one) for one in asked if not one.specifier.contains(versions.get(canonicalize_name(one.name), "0"))]
    assert missing == [], "run: make lock"


def test_every_change_must_pass_all_tests_and_a_smoke_run() -> None:
    listed = re.search(
        r"(?m)^for target in (.+); do\n.*\n    make --no-print-directory \"\$target\"$", text_of(".ci/run")
    )
    assert listed
    assert listed[1].split() == ["test", "smoke", "test-tools", "test-fleet", "slow"]


def test_locusts_pytest_plugin_is_not_loaded(pytestconfig: pytest.Config) -> None:
    assert not pytestconfig.pluginmanager.hasplugin("locust")
