#!/usr/bin/env bash
# Asks everything of the API that its own description allows, and much that it does not, by schemathesis (from PyPI):
#   scripts/check-api.sh target/release/nightsweep [EXAMPLES]
# makes a small study with the given binary, serves it on a port of this machine, and ends with the number of cases.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "${1:?the binary to check}")
examples=${2:-100}
schemathesis=${SCHEMATHESIS:-schemathesis}

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cat > "$folder/tiny.toml" <<'TOML'
[study]
name = "tiny"
metric = "val_accuracy"
seed = 1
trials = 4
[data]
path = "fashion-mnist-mini"
[recipe]
model = { kind = "mlp", width = 8, depth = 1 }
epochs = 1
[space]
batch_size = [512, 1024]
optimizer.lr = { low = 1e-3, high = 1.0, log = true }
[confirm]
top = 0
TOML
(cd "$folder" && "$binary" run tiny.toml --listen 127.0.0.1:0 >run.log 2>&1) || { cat "$folder/run.log"; exit 1; }
(cd "$folder" && exec "$binary" serve --listen 127.0.0.1:0 >serve.log 2>&1) &
server=$!
for _ in $(seq 100); do
    address=$(sed -n 's/^leaderboard: //p' "$folder/serve.log")
    [ -z "$address" ] || break
    sleep 0.1
done
# What a filter or a sort says is judged by the space of each study, which no schema knows.
cat > "$folder/schemathesis.toml" <<'TOML'
[checks.positive_data_acceptance]
expected-statuses = [200, 202, 400, 403, 404, 409, 413]
TOML
# From there, as it leaves a cache where it runs. Asked as this very site does: writes from others are refused whatever they
# ask for.
cd "$folder"
"$schemathesis" --config-file "$folder/schemathesis.toml" run "${address}api/v1/openapi.json" \
    --header "Origin: ${address%/}" \
    --checks all --max-examples "$examples" --seed 1 --workers 1
