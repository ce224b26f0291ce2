"""One reservation and one rule more: how soon they are applied, and that nobody notices."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

from tests.bench.packets import ONE_UPLINK, _flowing
from tests.bench.report import Figure, figure
from tests.bench.world import World
from tests.lab.node import Node
from tests.lab.router import CONFIG
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.train import Train
from tests.lab.wait import wait_for

RUNS = 30


def reload_one() -> tuple[Figure, Figure]:
    """A host with a reservation, and a rule for it, more each run; while 1 ms trains of both families go out.

    Milliseconds from the request on the agent's socket (what `routerctl reload` and SIGHUP do once they are there) to
    the answer that all of it is applied: file read and checked whole, planned, nft replaced, Kea's file checked by Kea
    itself and Kea told. The listing that compares the kernel comes after it and is not part of it: `apply` is asked.
    """
    samples = []
    with World(ONE_UPLINK) as world, ExitStack() as stack:
        _flowing(world)
        firewall, laptop = world.nodes["firewall"], world.nodes["laptop"]
        kea, radvd = world.services["firewall"].pid("kea-dhcp4"), world.services["firewall"].pid("radvd")
        trains = [stack.enter_context(Train(laptop, address)) for address in (INTERNET4, INTERNET6)]
        for train in trains:
            train.wait_flowing()
        for run in range(1, RUNS + 1):
            firewall.path("/etc/router/router.yaml").write_text(_with_hosts(run))
            samples.append(_apply(firewall) * 1000)
            assert f"10.10.0.{9 + run}" in firewall.output(["nft", "list", "table", "inet", "router"]), "the rule"
            assert f"10.10.0.{9 + run}" in firewall.path("/run/router/etc/kea-dhcp4.conf").read_text(), (
                "the reservation"
            )
        for train in trains:
            train.wait_flowing()
        services = world.services["firewall"]
        assert (services.pid("kea-dhcp4"), services.pid("radvd")) == (kea, radvd), "nothing was restarted"
        wait_for(lambda: services.log("kea-dhcp4").count("DHCP4_CONFIG_COMPLETE") > 1, 10, "Kea to have read its file")
        stack.close()
        lost = [float(len(train.result.lost)) for train in trains]
    return figure("reload-one", "ms", samples), figure("reload-one-loss", "packets", lost)


def _with_hosts(number: int) -> str:
    """The lab's configuration with so many hosts more, and a rule for each."""
    text = CONFIG.read_text()
    hosts = "".join(
        f'  extra{n}: {{ network: home, mac: "02:00:00:01:00:{n:02x}", ipv4: 10.10.0.{9 + n} }}\n'
        for n in range(1, number + 1)
    )
    rules = "".join(
        f"  - {{ from: iot, to: extra{n}, tcp: {8000 + n}, action: accept }}\n" for n in range(1, number + 1)
    )
    return text.replace("\nhosts:", f"\nhosts:\n{hosts}", 1).replace("\nrules:\n", f"\nrules:\n{rules}", 1)


def _apply(node: Node) -> float:
    """Ask the agent to apply its file; seconds until it says that it has."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(node.path("/run/router/agent.sock")))
        start = time.monotonic()
        connection.sendall(b'{"command": "apply"}\n')
        with connection.makefile() as stream:
            answer = json.loads(stream.readline())
        spent = time.monotonic() - start
    assert answer["ok"], answer
    assert answer["changes"], "the file was applied already"
    assert not answer["failing"], answer
    return spent
