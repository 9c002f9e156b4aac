#!/usr/bin/env bash
# Jobs on two hosts that are network namespaces of this machine, with their own addresses, names, mounts and /dev/shm.
# Usage: network_hosts.sh GRANULE SMALL_RUN   (the program, and a folder with run.toml and data/)
# Needs root. Exits with 77 (skipped) if there can be no namespaces.
set -uo pipefail
granule=$1 small_run=$2
place=$(mktemp -d)
name=granule$$

skip() {
  echo "skipped: $1" >&2
  exit 77
}
fail() {
  echo "FAILED: $1" >&2
  cat "$place/said" >&2
  exit 1
}

# The processes of a host, found by the namespace of its name.
processes_on() {
  local names
  names=$(readlink "/proc/$(cat "$place/process-$1")/ns/uts")
  find /proc/[0-9]*/ns/uts -maxdepth 0 -lname "${names//[\[\]]/?}" 2>/dev/null | cut -d/ -f3
}
clean_up() {
  for host in 1 2; do kill -KILL $(processes_on $host) 2>/dev/null; done
  for space in 1 2 hub; do ip netns del "$name-$space" 2>/dev/null; done
  rm -rf "$place" "/tmp/ompi.$name-"*
}

start_host() {
  ip netns add "$name-$1" && ip link add "v$1" netns "$name-hub" type veth peer name eth0 netns "$name-$1" &&
    ip -n "$name-hub" link set "v$1" master bridge up && ip -n "$name-$1" address add "10.77.0.$1/24" dev eth0 &&
    ip -n "$name-$1" link set eth0 up && ip -n "$name-$1" link set lo up || return 1
  mkdir -p "$place/own-$1"
  setsid ip netns exec "$name-$1" unshare --uts --mount sh -c "
    hostname $name-$1 && mount -t tmpfs tmpfs /dev/shm && mount --bind '$place/own-$1' /mnt &&
    echo \$\$ > '$place/process-$1' && exec sleep 1000" </dev/null >/dev/null 2>&1 &
  disown
  for ((i = 0; i < 50; ++i)); do
    [ -s "$place/process-$1" ] && return 0
    sleep 0.1
  done
  return 1
}
on() {
  local host=$1
  shift
  nsenter -t "$(cat "$place/process-$host")" -n -u -m --wd="$PWD" "$@"
}
# mpirun calls this instead of ssh, with an address and a shell command.
write_agent() {
  cat >"$place/agent" <<AGENT
#!/bin/bash
while [[ \$1 == -* ]]; do shift; done
host=\${1##*.}
shift
exec nsenter -t "\$(cat "$place/process-\$host")" -n -u -m --wd="$PWD" sh -c "\$*"
AGENT
  chmod +x "$place/agent"
  printf '10.77.0.1 slots=1\n10.77.0.2 slots=1\n' >"$place/hosts"
}
train() {  # steps, options of granule train
  local steps=$1
  shift
  on 1 env TMPDIR="$place" mpirun --allow-run-as-root --oversubscribe --bind-to none \
    --mca plm_rsh_agent "$place/agent" --hostfile "$place/hosts" --mca mpi_yield_when_idle 1 \
    --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 -np 2 \
    "$granule" train /mnt/run.toml "train.steps=$steps" train.micro_batch_size=1 eval.every=0 "$@" >"$place/said" 2>&1
}
expect() {  # exit code, texts in the output
  local code=$?
  [ "$code" = "$1" ] || fail "exit code $code, $1 was expected"
  shift
  for text in "$@"; do grep -qF -- "$text" "$place/said" || fail "'$text' was not said"; done
}

[ "$(id -u)" = 0 ] || skip "network namespaces need root"
for tool in ip nsenter unshare mpirun; do command -v $tool >/dev/null || skip "there is no $tool"; done
ip netns add "$name-hub" 2>/dev/null || skip "network namespaces cannot be made here"
trap clean_up EXIT
ip -n "$name-hub" link add bridge type bridge 2>/dev/null || skip "a bridge cannot be made here"
ip -n "$name-hub" link set bridge up
start_host 1 && start_host 2 || skip "hosts cannot be made here"
write_agent
for host in 1 2; do cp -r "$small_run/run.toml" "$small_run/data" "$place/own-$host"; done

echo "the hosts train what one host trains" >&2
train 4 --out "$place/both"
expect 0 "2 ranks on 2 hosts, of 1 thread"
mpirun --allow-run-as-root --oversubscribe -np 2 "$granule" train "$place/own-1/run.toml" train.steps=4 \
  train.micro_batch_size=1 eval.every=0 --out "$place/one" >"$place/said" 2>&1
expect 0
cmp "$place"/both/checkpoints/step-00000004/model-00001-of-00001.safetensors \
  "$place"/one/checkpoints/step-00000004/model-00001-of-00001.safetensors || fail "other weights"

echo "a run directory of one host is told" >&2
train 4 --out /mnt/run
expect 0 "warning: the run directory is not shared: rank 1 on host $name-2 does not see"
train 6 --out /mnt/run --resume
expect 2 "the run directory is not shared"

echo "damage on the second host is found" >&2
printf 'x' | dd of="$place/own-2/data/train-00000.h5" bs=1 seek=5000 conv=notrunc 2>/dev/null
train 4 --out "$place/damaged"
expect 2 "rank 1 on host $name-2: " "train-00000.h5"
cp "$small_run/data/train-00000.h5" "$place/own-2/data"

echo "a host that is frozen ends the job, mpirun too" >&2
train 1000000 --out "$place/frozen" checkpoint.every=0 parallel.watchdog_seconds=2 &
job=$!
for ((i = 0; i < 300; ++i)); do
  grep -q "memory:" "$place/said" && break
  sleep 0.1
done
kill -STOP $(processes_on 2)
start=$SECONDS
wait $job
expect 137 "the watchdog found a hang" "is killed in 20 s if it still waits for a host"
[ $((SECONDS - start)) -lt 40 ] || fail "mpirun ended after $((SECONDS - start)) s"
echo "all held" >&2
