#!/usr/bin/env bash
# A command on a Ray cluster of the nodes that Slurm gives, which ends with the command:
#   sbatch --nodes=4 --gpus-per-node=2 cluster/slurm.sh raypipe run run.yaml --address auto
#SBATCH --job-name=raypipe
#SBATCH --output=raypipe-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --time=24:00:00
# Ray starts once on a node, and at the end stops all of your Rays there.
#SBATCH --exclusive
# The run goes on without a node that was lost, and after a preemption where it was.
#SBATCH --no-kill
#SBATCH --requeue
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: sbatch [OPTIONS] cluster/slurm.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi

# On a file system that all nodes see. Others are in this network: without the token they stay out.
token=$HOME/.raypipe-$SLURM_JOB_ID.token
ended=$HOME/.raypipe-$SLURM_JOB_ID.ended
trap 'rm -f "$token" "$ended"' EXIT
(umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$token")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$token
export RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID # of this job; short, for the sockets in it
export RAY_USAGE_STATS_ENABLED=0
export RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S=30
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# Its name may stand for 127.0.1.1 on the first node: what counts is what the others reach it by.
address=${RAYPIPE_HEAD_ADDRESS:-}
if [ -z "$address" ]; then
    for each in $(srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --all-ip-addresses); do
        if [[ $each =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$ && $each != 127.* && $each != 169.254.* ]]; then
            address=$each
            break
        fi
    done
fi
if [ -z "$address" ]; then
    echo "${nodes[0]} has no IPv4 address that other nodes reach: set RAYPIPE_HEAD_ADDRESS" >&2
    exit 1
fi
# Beyond the ports of Ray's workers, before those that the kernel gives away.
head=$address:$((20000 + SLURM_JOB_ID % 10000))

# ray symmetric-run ends with 0 where Ray did not start: the command's own code is what counts.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --no-kill \
    ray symmetric-run --address "$head" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="${SLURM_CPUS_PER_TASK:-$(nproc)}" -- \
    bash -c 'code=0; "$@" || code=$?; echo "$code" >"$0"; exit "$code"' "$ended" "$@" || true
exit "$(cat "$ended" 2>/dev/null || echo 1)"
