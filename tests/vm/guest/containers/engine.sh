# Sourced in the machine, before the tests: the second disk's Docker engine, running.
modprobe -a ppp_generic pppoe 8021q nf_flow_table_inet wireguard br_netfilter macvlan overlay
mkdir -p /opt/engine
mount /dev/vdb /opt/engine
# cgroups of containers need a root without processes of its own; the kernel's threads cannot leave it.
mkdir -p /sys/fs/cgroup/machine
for process in $(cat /sys/fs/cgroup/cgroup.procs); do
    echo "$process" >/sys/fs/cgroup/machine/cgroup.procs
done 2>/dev/null
export PATH=/opt/engine/bin:$PATH DOCKER_CONFIG=/opt/engine
dockerd --data-root /opt/engine/data --exec-root /run/docker --ip-forward-no-drop >/mnt/out/dockerd.log 2>&1 &
until docker version >/dev/null 2>&1; do sleep 0.5; done
