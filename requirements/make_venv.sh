#!/bin/sh
# Makes .venv and installs requirements/dev.txt and this package into it. Does nothing if that is done already;
# starts over if the lock, the interpreter or the path changed, or an earlier run was interrupted.
#
#   PYTHON=python3.12 sh requirements/make_venv.sh
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
lock=requirements/dev.txt
venv=.venv
stamp=$venv/made-from

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# What the stamp holds: which interpreter, at which path, with which packages.
identity() {
  "$venv/bin/python" -c 'import sys; print(sys.prefix, *sys.version_info[:2])' && cat "$lock"
}

is_made() { [ -f "$stamp" ] && identity 2>/dev/null | cmp -s - "$stamp"; }

has_ensurepip() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

check_python() {
  command -v "$python" >/dev/null ||
    fail "'$python' was not found; kvstore needs Python 3.11 or newer (on Debian: apt-get install python3)"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old; kvstore needs Python 3.11 or newer (choose one: make setup PYTHON=python3.12)"
}

# Debian and Ubuntu keep ensurepip, without which no virtual environment gets pip, in a package of its own.
install_ensurepip() {
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if ! command -v apt-get >/dev/null; then
    fail "$python has no ensurepip: install the part of Python that provides 'python3 -m venv'"
  elif [ "$(id -u)" = 0 ]; then
    as_root=
  elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  else
    fail "Python's venv package is missing; type: sudo apt-get install $package"
  fi
  say "installing $package, which 'python3 -m venv' needs"
  # An unreachable package source is no reason to stop: the installation itself decides.
  $as_root apt-get update -qq </dev/null >&2 || say "apt-get update failed; continuing anyway"
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o Dpkg::Use-Pty=0 "$package" </dev/null >&2 || fail "apt-get could not install $package"
  has_ensurepip || fail "$python still has no ensurepip after installing $package"
}

make_venv() {
  say "installing the pinned packages into $venv (about a minute)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes --only-binary :all: -r "$lock"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --no-build-isolation --editable .
  identity >"$stamp"
}

if ! is_made; then
  check_python
  has_ensurepip || install_ensurepip
  make_venv
fi
