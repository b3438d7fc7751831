#!/usr/bin/env bash
# Showrunner beside its peers in one run: benches/peers/run.sh [PEER…]. The peers' own harness must lie in $SHOWRUNNER_PEERS
# (default: ../shared/peers/queue beside the project); it installs what it needs. RUNS sets how often each is run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
harness=$(cd "${SHOWRUNNER_PEERS:-$root/../shared/peers/queue}" && pwd)
(cd "$root" && cargo build --release --workspace --bin showrunner)
export SHOWRUNNER_BINARY="$root/target/release/showrunner"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$harness/." "$work" && chmod -R u+w "$work"
cat >> "$work/peers.py" <<PEERS


def with_showrunner(listed):
    def listing(*places):
        found = listed(*places)
        for name, units in (("showrunner", 100_000), ("showrunner-1m", 1_000_000)):
            found[name] = dict(servers=["redis", "pg"], n=units, timeout=900, lat_timeout=120, ready_timeout=60, cwd="$here",
                               workers=[["sleep", "3600"]], coord=["python3", "$here/showrunner.py"])
        return found
    return listing


peers = with_showrunner(peers)
PEERS
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(showrunner showrunner-1m raw-redis raw-redis-packed skip-locked-100 bullmq-bulk bullmq-flow apalis-redis-nolock graphile-worker nats-jetstream)
"$work/run-all.sh" "${names[@]}"
