#!/usr/bin/env bash
# A SLURM of one node, this machine, that keeps all it has in FOLDER:
#   slurm.sh up FOLDER      start it and wait until the node is idle
#   slurm.sh down FOLDER    cancel its jobs, stop it and remove FOLDER
# Needs root, and munge and slurm-wlm installed. While it is up, /etc/slurm/slurm.conf points to
# it: jobs lose SLURM_CONF on their way. One that was left there, as whoever started it was killed,
# is taken down first.
set -euo pipefail
folder=$(realpath -m "${2:?slurm.sh up|down FOLDER}")
conf=$folder/slurm.conf
site=/etc/slurm/slurm.conf
mark="# slurm.sh of process "

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

up() {
    local host left
    left=$(sed -n "s/^$mark//p" "$site" 2> /dev/null || true)
    if [ -n "$left" ] && ! kill -0 "$left" 2> /dev/null; then
        (conf=$(readlink "$site") && folder=${conf%/*} && down)
    fi
    if [ -e "$site" ]; then
        echo "$site exists: this machine has a SLURM already" >&2
        return 1
    fi
    host=$(hostname -s)
    # Others pass through to the socket, and read nothing else.
    mkdir -p -m 711 "$folder"
    mkdir -m 700 "$folder/state" "$folder/spool" "$folder/munge"
    # What the node has is declared, not found (config_overrides): most of a small job is waiting.
    cat > "$conf" <<END
$mark$PPID
ClusterName=one-node
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    mkdir -p "${site%/*}"
    ln -sfn "$conf" "$site"
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge/key")
    munged --key-file="$folder/munge/key" --seed-file="$folder/munge/seed" \
        --log-file="$folder/munge/log" --pid-file="$folder/munged.pid" \
        --socket="$folder/munge.socket"
    slurmctld
    slurmd -N "$host"
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && return
        sleep 1
    done
    echo "the node is not idle after 60 s: $(sinfo --noheader --long 2>&1)" >&2
    tail -n 5 "$folder/slurmctld.log" "$folder/slurmd.log" >&2 || true
    return 1
}

down() {
    local pidfile pid
    if [ "$(readlink "$site")" = "$conf" ]; then
        timeout 20 scancel --user=root || true
        rm "$site"
    fi
    for pidfile in slurmd slurmctld munged; do
        pid=$(cat "$folder/$pidfile.pid" 2> /dev/null) || continue
        kill "$pid" 2> /dev/null || continue
        for _ in $(seq 100); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
    done
    rm -rf "$folder"
}

case $1 in
    up) up ;;
    down) down ;;
    *) echo "slurm.sh up|down FOLDER" >&2; exit 2 ;;
esac
