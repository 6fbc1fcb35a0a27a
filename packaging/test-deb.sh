#!/usr/bin/env bash
# test-deb.sh FILE.deb: installs it in a chroot, starts it as the unit does, upgrades it onto itself, removes and purges it.
# The chroot is a copy of this very system that forgets what is done to it: an overlay whose changes are in memory. Needs root.
set -euo pipefail
deb=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
if [ "${2:-}" != inside ]; then
    exec unshare --mount --propagation private "$0" "$deb" inside
fi
. "$here/started.sh"

top=$(mktemp -d)
trap 'umount --recursive --lazy "$top"; rmdir "$top"' EXIT
mount -t tmpfs tmpfs "$top"
mkdir "$top/changes" "$top/work" "$top/all"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/changes,workdir=$top/work" "$top/all"
mount -t proc proc "$top/all/proc"
mount --bind /dev "$top/all/dev"
mount -t tmpfs tmpfs "$top/all/run"
mkdir -p "$top/all/tmp"
cp "$deb" "$top/all/tmp/encd.deb"
mkdir "$top/all/tmp/handed-out"
cp "$deb" "$top/all/tmp/handed-out/"
inside() { chroot "$top/all" "$@"; }
gone() { if inside test -e "$1"; then echo "$1 is still there"; return 1; fi; }

# The lines of docs/operations.md, as somebody would type them.
lines=$(awk '/^```sh package$/ {on = 1; next} /^```$/ {on = 0} on' "$here/../docs/operations.md")
[ -n "$lines" ] || { echo "docs/operations.md does not say how the package is installed"; exit 1; }
inside bash -eu -o pipefail -c "cd /tmp/handed-out; $lines" >/dev/null
for file in /usr/bin/encd /usr/bin/enc /lib/systemd/system/encd.service /etc/encd/encd.toml /etc/encd/admin-token \
    /usr/share/man/man8/encd.8.gz /usr/share/man/man1/enc-commit.1.gz /usr/share/bash-completion/completions/enc; do
    inside test -s "$file" || { echo "$file is not there"; exit 1; }
done
[ "$(inside stat -c %a /etc/encd/admin-token)" = 600 ] || { echo "others may read the admin token"; exit 1; }
if command -v systemd-analyze >/dev/null; then
    # What this system lacks besides (a boot target, say) is told too, and is not ours.
    faults=$(inside systemd-analyze verify /lib/systemd/system/encd.service 2>&1 | grep -F encd.service || true)
    [ -z "$faults" ] || { echo "$faults"; exit 1; }
fi

# As systemd does: the token as a credential, the folder by STATE_DIRECTORY, a user without rights.
inside mkdir -p /run/credentials/encd.service
inside cp /etc/encd/admin-token /run/credentials/encd.service/admin-token
inside install -d -m 0700 -o 65534 -g 65534 /var/lib/encd
inside chown -R 65534:65534 /run/credentials/encd.service
node() {
    started "$1" env STATE_DIRECTORY=/var/lib/encd chroot --userspec=65534:65534 "$top/all" \
        /usr/bin/encd --config /etc/encd/encd.toml --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
}
node "the package's node"
key=$(inside sha256sum /var/lib/encd/keys/node.key)
token=$(inside sha256sum /etc/encd/admin-token)

inside dpkg --install /tmp/encd.deb >/dev/null
[ "$(inside sha256sum /etc/encd/admin-token)" = "$token" ] || { echo "an upgrade made another token"; exit 1; }
node "the node after an upgrade"
[ "$(inside sha256sum /var/lib/encd/keys/node.key)" = "$key" ] || { echo "the node has another key"; exit 1; }

inside dpkg --remove encd >/dev/null
gone /usr/bin/encd
inside test -s /etc/encd/encd.toml || { echo "removing took the configuration"; exit 1; }
inside dpkg --purge encd >/dev/null
gone /etc/encd
gone /usr/share/man/man8/encd.8.gz
inside test -s /var/lib/encd/keys/node.key || { echo "purging took the keys"; exit 1; }
echo "   $(basename "$deb"): installed, upgraded, removed, purged; the keys are kept"
