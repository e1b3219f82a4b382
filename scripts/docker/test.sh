#!/usr/bin/env bash
# Builds the image and runs what needs a real engine: `make test-docker`. Arguments go to Jest. The image and its base stay with the engine
# for the next time; no container, volume or network does.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly image=shardline:test

base=$(scripts/docker/base-image.sh)
docker build --quiet --build-arg "NODE_IMAGE=$base" --tag "$image" . >/dev/null
docker image inspect --format "$image on $base: {{.Size}} bytes" "$image"
SHARDLINE_IMAGE=$image node_modules/.bin/jest --config jest.docker.config.js "$@"

readonly ours=label=io.shardline.cluster
left=$(docker ps --all --quiet --filter "$ours"; docker volume ls --quiet --filter "$ours"; docker network ls --quiet --filter "$ours")
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }
