#!/usr/bin/env bash
# Runs the suites of transfers and QC under strace and judges every file that their processes open: see
# tests/trace/allowed.txt.
# Usage: ops/trace.sh [FILTER]   (a filter expression of nextest)
set -euo pipefail

# As the runner of one program: it gets a temporary directory of its own, which holds its roots and data directories.
if [ -n "${TRACE_INTO:-}" ]; then
  # nextest asks each test program for its tests first.
  for argument; do [ "$argument" != --list ] || exec "$@"; done
  into=$(mktemp -d "$TRACE_INTO/XXXXXX")
  mkdir "$into/t"
  # PostgreSQL runs as another user, below this directory.
  chmod 755 "$into"
  printf '%s ' "${@##*/}" > "$into/name"
  # -y adds the path behind each descriptor, that of an opened file included: links do not hide where they lead.
  calls=open,openat,openat2,creat,execve,execveat,clone,clone3,fork,vfork
  TMPDIR="$into/t" exec strace -f -ff --seccomp-bpf -y -qq -s 4096 -e "trace=$calls" -e signal=none -o "$into/trace" "$@"
fi

cd "$(dirname "$0")/.."
# One test traces by itself, and a process has one tracer.
product='package(tests) and binary(it) and test(/^(roots|folder|canary|media|sources|bucket|slices|archive|disk|demo|rework|page)::/)'
units='(package(worker) or package(qc) or package(storage) or package(mhl)) and kind(lib)'
suites="(package(worker) and binary(it)) or ($product) or ($units)"
filter=${1:-"($suites) and not test(programs_open_the_file)"}
for program in strace cargo-nextest python3; do
  command -v "$program" >/dev/null || { echo "trace: $program is not installed: run ops/setup.sh test" >&2; exit 1; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/trace.XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT

judge() { python3 ops/trace.py "$1" tests/trace/allowed.txt; }

# Traces what a shell under another name does, and judges that.
planted() {
  local into="$work/planted" name=$1 script=$2
  rm -rf "$into"
  mkdir "$into"
  cp "$(command -v bash)" "$work/$name"
  TRACE_INTO="$into" ops/trace.sh "$work/$name" -c "$script" "$work/$name"
  judge "$into"
}

# The judge is tried first: it finds a planted open outside of the roots, and nothing else.
inside='mkdir "$TMPDIR/lib"; : > "$TMPDIR/lib/a"; : < "$TMPDIR/lib/a"'
for name in showrunner it-planted; do
  if ! planted "$name" "$inside" >"$work/said"; then
    cat "$work/said"
    echo "trace: a file below the roots is refused" >&2
    exit 1
  fi
  if planted "$name" "$inside; : < \"\$0\"" >"$work/said"; then
    echo "trace: an open outside of the roots is not found" >&2
    exit 1
  fi
done
if planted showrunner 'mkdir -p "$TMPDIR/x/outside"; : > "$TMPDIR/x/outside/a"' >"$work/said"; then
  echo "trace: an open in a directory outside is not found" >&2
  exit 1
fi

cargo nextest run --workspace --no-run -E "$filter"
triple=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${triple}_RUNNER=$PWD/ops/trace.sh"
mkdir "$work/traces"
tested=0
TRACE_INTO="$work/traces" cargo nextest run --workspace --profile trace -E "$filter" || tested=$?
judge "$work/traces"
exit "$tested"
