#!/usr/bin/env bash
# Runs a command with a Docker engine at hand, and leaves none behind that was not there before.
#
#   scripts/docker/engine.sh COMMAND [ARGUMENT...]
#
# An engine that answers is used as it is. Where none does, this machine's own is started for as long as the command runs; on Debian, as
# root, it is installed first (docker.io). Its images stay in its data folder for the next time. One run at a time on a machine: the
# second waits, since the first may end the engine.
set -euo pipefail

readonly lock=${TMPDIR:-/tmp}/shardline-docker-engine.lock
readonly log=${TMPDIR:-/tmp}/shardline-dockerd.log
readonly start_deadline_s=60
readonly wait_deadline_s=3600
engine=

fail() {
  echo "no Docker engine: $*" >&2
  exit 69
}

answers() {
  timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

is_debian_root() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

install_engine() {
  is_debian_root || fail 'none answers, dockerd is not installed, and only root on Debian can be helped with that'
  echo 'installing docker.io' >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io >/dev/null ||
    fail 'docker.io cannot be installed'
}

start_engine() {
  [ -z "${DOCKER_HOST:-}" ] || fail "none answers at DOCKER_HOST ($DOCKER_HOST)"
  command -v dockerd >/dev/null || install_engine
  [ "$(id -u)" = 0 ] || fail 'none answers, and only root can start one'
  # A session of its own: Ctrl-C at the terminal must reach the command before its engine goes. It must not keep our lock.
  setsid dockerd >"$log" 2>&1 </dev/null 9>&- &
  engine=$!
  for _ in $(seq $((start_deadline_s * 2))); do
    answers && return
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  tail -5 "$log" >&2
  fail "dockerd does not come up; see $log"
}

stop_engine() {
  [ -n "$engine" ] || return 0
  kill "$engine" 2>/dev/null || return 0
  wait "$engine" || echo "dockerd ended with status $?; see $log" >&2
}

[ $# -gt 0 ] || fail 'which command?'
exec 9>"$lock"
flock --timeout "$wait_deadline_s" 9 || fail "another run holds $lock"
trap stop_engine EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
answers || start_engine
"$@" 9>&-
