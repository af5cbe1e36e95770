#!/bin/sh
# Sets the project up: a virtual environment in .venv, its hash-pinned packages, the project itself, a Chromium.
# Needs Python 3.11 or newer. Costs nothing when all is there; whatever was interrupted is done anew.
set -eu
cd -P "$(dirname "$0")/.."
PATH=${PATH#"$PWD/.venv/bin:"} # an activated .venv cannot make itself anew
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
# Debian's tools ask on a terminal unless told not to.
apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" </dev/null >/dev/null; }

# What .venv was made from. Its own path is in it, because the scripts inside name it.
packages_stamp() { pwd; .venv/bin/python -V; cksum <requirements-dev.lock; }
project_stamp() { cksum <pyproject.toml; }
is_stamped() { [ -f ".venv/$1" ] && [ "$("$2" 2>/dev/null)" = "$(cat ".venv/$1")" ]; }
stamp() { "$2" >".venv/$1.new" && mv ".venv/$1.new" ".venv/$1"; }

# ---------------------------------------------------------------------------------------------------- Python

find_python() {
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    die "Python 3.11 or newer is needed, and $(python3 -V 2>/dev/null || echo none) was found:" \
        "install one (Debian 12, Ubuntu 24.04 and newer have it: apt-get install python3)."
}

# Debian keeps ensurepip in a package of its own, so a bare `python3 -m venv` fails there, and has left half an
# environment behind. Each way out sets $install to the command that installs into .venv.
make_venv() {
    install='.venv/bin/python -m pip -qq install'
    try_venv "$python" -m venv .venv && return
    try_venv virtualenv --python "$python" .venv && return
    if try_venv uv venv --python "$python" .venv; then
        install='uv --quiet pip install --python .venv/bin/python'
        return
    fi
    if try_venv "$python" -m venv --without-pip .venv && "$python" -m pip --python .venv/bin/python --version >/dev/null 2>&1; then
        install="$python -m pip -qq --python .venv/bin/python install"
        return
    fi
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if is_root && command -v apt-get >/dev/null; then
        say "installing $package"
        apt-get update -qq && apt_install "$package" && try_venv "$python" -m venv .venv && return
    fi
    rm -rf .venv
    die "$python cannot make a virtual environment with pip: apt-get install $package (as root), then once more."
}

try_venv() {
    rm -rf .venv
    "$@" >/dev/null 2>&1 && [ -x .venv/bin/python ]
}

install_packages() {
    python=$(find_python)
    say "making .venv with $("$python" -V)"
    make_venv
    say "installing the packages of requirements-dev.lock"
    # shellcheck disable=SC2086  # $install is a command with its arguments
    with_uv || $install --require-hashes -r requirements-dev.lock
    echo "$install" >.venv/install-command
    stamp packages packages_stamp
}

# uv is among the locked packages, and installs the others in a tenth of pip's time; it asks PyPI, whatever pip is told
# of other indexes, so where that cannot be had pip does it all.
with_uv() {
    awk '/^uv==/ { uv = 1; print; next } uv && /^ / { print; next } { uv = 0 }' requirements-dev.lock >.venv/uv.txt
    # shellcheck disable=SC2086  # the same
    $install --require-hashes -r .venv/uv.txt >/dev/null 2>&1 &&
        .venv/bin/uv --quiet --system-certs pip install --python .venv/bin/python \
            --require-hashes -r requirements-dev.lock 2>/dev/null
}

install_project() {
    # The build backend is among the locked packages, so nothing is fetched for it.
    # shellcheck disable=SC2046  # the recorded command with its arguments
    $(cat .venv/install-command) --no-deps --no-build-isolation -e .
    stamp project project_stamp
}

# -------------------------------------------------------------------------------------------------- Chromium

find_chromium() { .venv/bin/python -m probes.clients.chromium "$@"; }
runs() { timeout 60 "$1" --version </dev/null >/dev/null 2>&1; }
is_from_playwright() { [ "$(find_chromium --source 2>/dev/null)" = playwright ]; }
found_runs() { chromium=$(find_chromium 2>/dev/null) && runs "$chromium"; }
playwright() { timeout 300 .venv/bin/python -m playwright "$@" </dev/null >/dev/null 2>&1; }

# Playwright drives the browser with a Node of its own, which wants libatomic; a minimal Debian has none.
install_driver() {
    playwright --version && return
    if is_root && command -v apt-get >/dev/null; then
        say "installing libatomic1"
        apt-get update -qq && apt_install libatomic1 && playwright --version && return
    fi
    die "Playwright's driver does not start (try .venv/bin/python -m playwright --version): apt-get install libatomic1"
}

install_chromium() {
    if [ -n "${SMOKEPROBE_CHROMIUM:-}" ]; then
        chromium=$(find_chromium) || exit 1
        runs "$chromium" || die "SMOKEPROBE_CHROMIUM names $chromium, which does not start: try $chromium --version"
        return
    fi
    playwright_chromium
    found_runs && return
    if ! is_from_playwright && is_root && command -v apt-get >/dev/null; then
        say "installing chromium"
        apt-get update -qq && apt_install chromium && found_runs && return
    fi
    chromium=$(find_chromium) || exit 1
    die "$chromium does not start (try $chromium --version); name another one in SMOKEPROBE_CHROMIUM."
}

# Playwright's own build comes before the system's, but only if it runs: its libraries may be missing.
playwright_chromium() {
    if is_from_playwright; then own=no; else own=yes; fi
    if [ $own = yes ]; then
        say "asking Playwright for its Chromium"
        playwright install --no-shell chromium || { say "it cannot be had here; trying the system's"; return 0; }
    fi
    found_runs && return
    is_root && playwright install-deps chromium && found_runs && return
    # A download of ours that cannot run would stand before the system's; somebody else's is not ours to remove.
    [ $own = no ] || playwright uninstall || true
}

# ------------------------------------------------------------------------------------------------------ steps

is_ready() { is_stamped packages packages_stamp && is_stamped project project_stamp && is_stamped chromium find_chromium; }

is_ready && exit
# Two at once (make test beside make smoke) would tear down each other's work.
if command -v flock >/dev/null; then
    exec 9<"$0"
    flock 9
fi
is_stamped packages packages_stamp || install_packages
is_stamped project project_stamp || install_project
is_stamped chromium find_chromium || { install_driver; install_chromium; stamp chromium find_chromium; }
say "ready: .venv/bin/smokeprobe, with $(find_chromium)"
