"""Measures, in the machine: a PPPoE session comes up with another prefix; when is the first packet translated to it?

python -m tests.vm.guest.bench_pppoe RUNS FILE     writes a JSON list of milliseconds

From the delegated prefix's route on the ingress's netlink, where the protocols' own waiting (LCP, CHAP, RA, DHCPv6) is
over, to the first packet with the new source at the internet host. The way there is all the router's: rules, the bus,
the firewall's choice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import IPv6Network
from pathlib import Path

from tests.lab.capture import Capture
from tests.lab.stamps import RTM_NEWROUTE, RTMGRP_IPV6_ROUTE, rtnetlink
from tests.lab.topology import INTERNET6
from tests.lab.train import Train
from tests.vm.network import Network
from tests.vm.topology import NEXT_PREFIX, PREFIX

PREFIXES = (IPv6Network(PREFIX), IPv6Network(NEXT_PREFIX))


def measure(network: Network, runs: int) -> list[float]:
    """Milliseconds, one a run."""
    samples = []
    kpn, internet, provider = network.nodes["kpn"], network.nodes["internet"], network.provider
    with (
        rtnetlink(kpn, RTMGRP_IPV6_ROUTE) as routes,
        Capture(internet, "eth0", lambda packet: packet.protocol == "udp" and not packet.outgoing) as capture,
        Train(network.nodes["laptop"], INTERNET6, interval=0.02) as train,
    ):
        train.wait_flowing(60)
        for run in range(runs):
            new = PREFIXES[(run + 1) % 2]
            bits, start = new.network_address.packed[:6].hex(), str(new.network_address).rstrip(":")
            provider.prefix = str(new)
            provider.write()
            routes.clear()
            provider.hang_up()
            begin = routes.first(lambda line, b=bits: line.startswith(f"{RTM_NEWROUTE} ") and b in line, timeout=90)  # type: ignore[misc]
            packet = capture.wait(lambda p, b=begin, s=start: p.time > b and p.source.startswith(s), 60)  # type: ignore[misc]
            samples.append((packet.time - begin) * 1000)
            print(f"run {run + 1}: {samples[-1]:.0f} ms", flush=True)
            train.wait_flowing(60)
    return samples


def main() -> int:
    """Bring the network up, measure, write."""
    runs, target = int(sys.argv[1]), Path(sys.argv[2])
    subprocess.run(["modprobe", "-a", "ppp_generic", "pppoe", "8021q", "nf_flow_table_inet"], check=True)
    with Network("isp", "internet", "kpn", "firewall", "laptop") as network:
        network.start_story()
        target.write_text(json.dumps(measure(network, runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
