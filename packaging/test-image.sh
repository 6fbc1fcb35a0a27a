#!/usr/bin/env bash
# test-image.sh FOLDER: builds the Containerfile in what `cargo xtask dist` has made, and runs the image. No engine, no network.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
. "$here/started.sh"
store=$(mktemp -d)
image() { buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }
container=""
end() {
    if [ -n "$container" ]; then image rm "$container" >/dev/null; fi
    rm -rf "$store"
}
trap end EXIT
image bud --quiet --isolation chroot --tag encd "$1" >/dev/null
container=$(image from encd)
run() { image run --isolation chroot "$container" -- "$@"; }
run /encd --version
run /enc --version
# Only a folder of the image's own user is there to write to.
started "the image's node" buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs run --isolation chroot \
    "$container" -- /encd --data /data --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
