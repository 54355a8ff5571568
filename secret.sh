#!/bin/sh
# Makes the cluster's secret, secrets/cluster_token, unless there is one.
set -eu
cd "$(dirname "$0")"
[ -s secrets/cluster_token ] && exit
mkdir -p secrets
# Nobody else on this machine gets into the folder; the nodes' own user, in the containers, reads the file.
chmod 700 secrets
od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >secrets/cluster_token
chmod 444 secrets/cluster_token
