#!/usr/bin/env bash
# Prints the name of an image to build ours on: Node.js on Debian. It is NODE_IMAGE where that is set, else the Dockerfile's own where the
# engine has it or its registry gives it. Where no registry can be reached, root on Debian makes one: debootstrap's smallest system with this
# machine's Node.js in it. The engine keeps it for the next time.
set -euo pipefail

readonly official=node:22-bookworm-slim
readonly pull_deadline_s=120

if [ -n "${NODE_IMAGE:-}" ]; then
  echo "$NODE_IMAGE"
  exit
fi
node=$(readlink -f "$(command -v node)")
made=shardline-node-base:$(node --version)-bookworm

has() {
  docker image inspect "$1" >/dev/null 2>&1
}

for image in "$official" "$made"; do
  if has "$image"; then
    echo "$image"
    exit
  fi
done
echo "fetching $official" >&2
if timeout "$pull_deadline_s" docker pull -q "$official" >/dev/null 2>&1; then
  echo "$official"
  exit
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "$official cannot be fetched, and only root on Debian can make an image instead: set NODE_IMAGE" >&2
  exit 69
fi

echo "$official cannot be fetched: making $made (a few minutes, once)" >&2
command -v debootstrap >/dev/null || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >/dev/null
}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,libstdc++6 bookworm "$root" >"$root.log" 2>&1 || {
  tail -5 "$root.log" >&2
  exit 69
}
rm -f "$root.log"
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*.log

modules=$(dirname "$(dirname "$node")")/lib/node_modules
[ -d "$modules/npm" ] || modules=$(npm root --global)
mkdir -p "$root/usr/local/lib/node_modules"
cp "$node" "$root/usr/local/bin/node"
cp -r "$modules/npm" "$root/usr/local/lib/node_modules/"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
# Where packages come through a proxy with a certificate of its own, npm must know it inside a build, too.
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
chroot "$root" useradd --create-home --uid 1000 node
tar -C "$root" --create . |
  docker import --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - "$made" >/dev/null
echo "$made"
