#!/usr/bin/env bash
# Transfers beside cp, rsync, rclone, s5cmd and the AWS command line in one run: benches/peers/transfer.sh [WORK…] with WORK one of
# big (1 x 2 GiB), mid (40 x 64 MiB), small (10,000 x 16 KiB). The peers' own harness must lie in $SHOWRUNNER_PEERS (default:
# ../shared/peers/transfer beside the project); it installs what it needs. RUNS sets how often each is run, DIRS which ways
# (fs-fs,fs-s3,s3-fs,s3-s3), TOOLS which tools, SHOWRUNNER_BINARY a build that is there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
harness=$(cd "${SHOWRUNNER_PEERS:-$root/../shared/peers/transfer}" && pwd)
export PEERS=${PEERS:-${TMPDIR:-/tmp}/peers/transfer}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=testsecret AWS_REGION=us-east-1
port=${PORT:-18333}
if [ -z "${SHOWRUNNER_BINARY:-}" ]; then
    (cd "$root" && cargo build --release --workspace --bin showrunner)
    export SHOWRUNNER_BINARY="$root/target/release/showrunner"
fi
mkdir -p "$PEERS"
[ -x "$PEERS/venv/bin/s5cmd" ] || "$harness/servers.sh" install
work=$(mktemp -d "${WORKDIR:-${TMPDIR:-/tmp}}/race.XXXXXX")
cleanup() { "$harness/servers.sh" stop weed || true; rm -rf "$work" "$PEERS/data/race"; }
trap cleanup EXIT
"$harness/bench.py" gen "$work"
rm -rf "$PEERS/data/race"
WEED_OPTS="-s3.port.iceberg=0 -s3.port.lance=0" "$harness/servers.sh" start weed "$PEERS/data/race" "$port"
ours="$here/transfer-once.sh"
cat > "$work/ours.json" <<J
{"showrunner": {"fs-fs": "$ours {src} file:{dst} {ep}", "fs-s3": "$ours {src} s3://{bucket}/{key} {ep}",
                "s3-fs": "$ours s3://{bucket}/{key} file:{dst} {ep}", "s3-s3": "$ours s3://{bucket}/{key} s3://{bucket2}/{key2} {ep}"}}
J
loads=("$@")
[ ${#loads[@]} -gt 0 ] || loads=(big mid small)
"$harness/bench.py" run "$work" --endpoint "http://127.0.0.1:$port" --server weed --server-pid "$("$harness/servers.sh" pid weed)" \
    --extra "$work/ours.json" --work "$(IFS=,; echo "${loads[*]}")" --dirs "${DIRS:-fs-fs,fs-s3,s3-fs,s3-s3}" --runs "${RUNS:-3}" \
    --tools "${TOOLS:-showrunner,cp,rsync,rclone,s5cmd,aws-classic}" --out "$work/race.jsonl"
"$harness/bench.py" table "$work/race.jsonl"
