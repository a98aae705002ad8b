#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing: system packages through apt (as root or with sudo) and the pinned Python packages into $VENV.
# Tells what it does; does nothing twice.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "setup: $("$PYTHON" --version) found; Python 3.11 to 3.13 is needed (PYTHON=/path/to/python3.12 make setup)" >&2
    exit 1
}

missing=""
need() { # need PACKAGE TEST...: the package is missing when the test fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
need iverilog command -v iverilog
need opensta command -v sta
need perl command -v perl
need g++ command -v g++
need qflow-tech-osu018 test -f /usr/share/qflow/tech/osu018/osu018_stdcells.lib
need python3-venv "$PYTHON" -c 'import ensurepip, venv'
# cocotb loads the interpreter as a shared library; Debian ships it apart from python3.
need "libpython$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
    "$PYTHON" -c '
import ctypes, sys, sysconfig
if sysconfig.get_config_var("Py_ENABLE_SHARED"):
    ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))
elif sys.prefix.startswith("/usr"):
    ctypes.CDLL("libpython%d.%d.so.1.0" % sys.version_info[:2])
'

if [ -n "$missing" ]; then
    echo "setup: installing through apt:$missing"
    if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null; then as_root=sudo; else
        echo "setup: neither root nor sudo; ask an administrator to run: apt-get install$missing" >&2
        exit 1
    fi
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of packages
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if [ ! -x "$VENV/bin/python" ]; then
    echo "setup: making $VENV with $("$PYTHON" --version)"
    "$PYTHON" -m venv "$VENV"
fi
echo "setup: installing Python packages into $VENV (some 500 MB; 3 to 15 minutes the first time)"
# pip looks into an extra of an extra late, and would fetch the newest torch before it sees which one is pinned.
"$VENV/bin/python" -c '
import tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print(*sorted({one for extra in extras.values() for one in extra if "==" in one and "[" not in one}), sep="\n")
' >"$VENV/pins.txt"
# setuptools warns of every editable installation, at length.
PYTHONWARNINGS=ignore "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$VENV/pins.txt" --editable '.[dev]'
