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

RUNS = 30


def reload_one() -> tuple[Figure, Figure, Figure]:
    """A host with a reservation more each run, then a rule for it; while 1 ms trains of both families go out.

    Milliseconds from the request on the agent's socket (`apply`: what `routerctl reload` and SIGHUP do too, before they
    compare the kernel) to the answer that the reservation is applied: the file read and checked whole, planned, Kea's
    file checked by the running Kea and Kea told. `reload-one-served`: until Kea says that it has taken it, too; it
    closes and opens all its packet sockets for that, which Linux takes some 10 ms each for. The rules replace the whole
    table, so that the trains may see it.
    """
    samples, served = [], []
    with World(ONE_UPLINK) as world, ExitStack() as stack:
        _flowing(world)
        firewall, laptop = world.nodes["firewall"], world.nodes["laptop"]
        kea, radvd = world.services["firewall"].pid("kea-dhcp4"), world.services["firewall"].pid("radvd")
        trains = [stack.enter_context(Train(laptop, address)) for address in (INTERNET4, INTERNET6)]
        for train in trains:
            train.wait_flowing()
        for run in range(1, RUNS + 1):
            taken = _taken(world)
            start = time.monotonic()
            samples.append(_apply(firewall, _with_hosts(run, rules=run - 1)) * 1000)
            while _taken(world) == taken:
                assert time.monotonic() < start + 10, "Kea has not read its file"
                time.sleep(0.002)
            served.append((time.monotonic() - start) * 1000)
            _apply(firewall, _with_hosts(run, rules=run))
            address = f"10.10.0.{9 + run}"
            assert address in firewall.path("/run/router/etc/kea-dhcp4.conf").read_text(), "the reservation"
            assert address in firewall.output(["nft", "list", "table", "inet", "router"]), "the rule"
        for train in trains:
            train.wait_flowing()
        services = world.services["firewall"]
        assert (services.pid("kea-dhcp4"), services.pid("radvd")) == (kea, radvd), "nothing was restarted"
        stack.close()
        lost = [float(len(train.result.lost)) for train in trains]
    return (
        figure("reload-one", "ms", samples),
        figure("reload-one-served", "ms", served),
        figure("reload-one-loss", "packets", lost),
    )


def _taken(world: World) -> int:
    """How often Kea has taken a file."""
    return world.services["firewall"].log("kea-dhcp4").count("DHCP4_CONFIG_COMPLETE")


def _with_hosts(number: int, rules: int) -> str:
    """The lab's configuration with so many hosts more, and so many rules for them."""
    text = CONFIG.read_text()
    hosts = "".join(
        f'  extra{n}: {{ network: home, mac: "02:00:00:01:00:{n:02x}", ipv4: 10.10.0.{9 + n} }}\n'
        for n in range(1, number + 1)
    )
    more = "".join(f"  - {{ from: iot, to: extra{n}, tcp: {8000 + n}, action: accept }}\n" for n in range(1, rules + 1))
    return text.replace("\nhosts:", f"\nhosts:\n{hosts}", 1).replace("\nrules:\n", f"\nrules:\n{more}", 1)


def _apply(node: Node, text: str) -> float:
    """Ask the agent to apply a configuration; seconds until it says that it has."""
    request = json.dumps({"command": "apply", "text": text, "name": "bench"}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(node.path("/run/router/agent.sock")))
        start = time.monotonic()
        connection.sendall(request)
        with connection.makefile() as stream:
            answer = json.loads(stream.readline())
        spent = time.monotonic() - start
    assert answer["ok"], answer
    assert answer["changes"], "nothing changed"
    assert not answer["failing"], answer
    return spent
