#!/usr/bin/env bash
# One transfer as a whole job, from nothing: transfer-once.sh FROM TO ENDPOINT, FROM a folder or s3://, TO file: or s3://.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" > "$dir/credentials"
chmod 600 "$dir/credentials"
cat > "$dir/storage.yaml" <<Y
endpoints:
  - { prefix: "s3:", url: "$3", credentials_file: "$dir/credentials", copy_condition: true }
Y
cat > "$dir/job.yaml" <<Y
job: race
library: { folder: "$1" }
partition: { max_assets: 500, max_bytes: 256MiB }
steps:
  - { id: land, transfer: { to: "$2/{path}", verify: xxh128 } }
Y
"$SHOWRUNNER_BINARY" run "$dir/job.yaml" --data "$dir/data" --storage "$dir/storage.yaml" --quiet -o name
