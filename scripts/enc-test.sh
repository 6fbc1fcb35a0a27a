#!/usr/bin/env bash
# Runs a workflow of numbered checks against a node: one that is started here, or a running one.
#
#   scripts/enc-test.sh --workflow personal|group [--remote URL] [--json]
#
# Exit code 0 if every check holds, 1 if one does not, 2 for a wrong command line.
set -euo pipefail

usage() {
  sed -n 's/^# \{0,1\}//p' "$0" | sed -n '2,6p' >&2
  exit 2
}

workflow=""
remote=""
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --workflow) [ $# -ge 2 ] || usage; workflow=$2; shift 2 ;;
    --remote) [ $# -ge 2 ] || usage; remote=$2; shift 2 ;;
    --json) options+=(--json); shift ;;
    *) usage ;;
  esac
done
case "$workflow" in personal | group) ;; *) usage ;; esac

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
if [ -n "$remote" ]; then
  cargo build --release --quiet -p enc
  options+=(--remote "$remote")
else
  cargo build --release --quiet -p enc -p encd
  options+=(--encd "$target/release/encd")
fi
exec "$target/release/enc" workflow "$workflow" "${options[@]}"
