"""The fail-closed ruleset: nothing passes before the agent's first, and a working one is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.node import Node
from tests.lab.router import Services

pytestmark = pytest.mark.lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(nodes=["kpn", "firewall", "kpn-isp", "laptop"]) as lab:
        lab.nodes["kpn"].ip("addr add 10.99.0.9/24 dev dmz", "addr add 192.0.2.9/24 dev wan")
        lab.nodes["firewall"].ip("addr add 10.99.0.1/24 dev dmz", "addr add 10.10.0.1/24 dev home")
        lab.nodes["firewall"].ip("route add default via 10.99.0.9")
        lab.nodes["laptop"].ip("addr add 10.10.0.9/24 dev eth0", "route add default via 10.10.0.1")
        lab.nodes["kpn"].ip("route add 10.10.0.0/24 via 10.99.0.1")
        lab.nodes["kpn-isp"].ip("route add 10.0.0.0/8 via 192.0.2.9")
        for name in ("kpn", "firewall"):
            lab.nodes[name].sysctl("net.ipv4.ip_forward", "1")
        yield lab


def _reaches(node: Node, target: str) -> bool:
    return node.run(["ping", "-c1", "-W0.5", target], check=False).returncode == 0


@pytest.mark.rfc("7084", "G-3")
def test_nothing_passes_but_the_backstage_and_the_neighbours(lab: Lab) -> None:
    kpn, firewall, laptop, isp = (lab.nodes[name] for name in ("kpn", "firewall", "laptop", "kpn-isp"))
    assert _reaches(laptop, "192.0.2.1")
    assert _reaches(isp, "10.10.0.9")
    Services(kpn, target="closed").start()
    assert not _reaches(laptop, "192.0.2.1")
    assert not _reaches(isp, "10.10.0.9")
    assert not _reaches(isp, "192.0.2.9")
    assert not _reaches(kpn, "192.0.2.1")
    assert not _reaches(firewall, "10.99.0.9")
    assert _reaches(firewall, "10.98.0.2")
    assert _reaches(kpn, "10.98.0.1")
    # Neighbour discovery works both ways, though no ping does.
    target = next(a for a in kpn.output(["ip", "-6", "addr", "show", "dev", "dmz"]).split() if a.startswith("fe80"))
    firewall.ip("neigh flush dev dmz")
    assert not _reaches(firewall, f"{target.partition('/')[0]}%dmz")
    assert "lladdr" in firewall.output(["ip", "-6", "neigh", "show", "dev", "dmz"])


def test_a_table_that_is_there_stays_as_it_is(lab: Lab) -> None:
    kpn = lab.nodes["kpn"]
    kpn.run(["nft", "-f", "-"], stdin='table inet router {\n chain mine { comment "of the agent"; }\n}\n')
    Services(kpn, target="closed").start()
    assert "closed_fwd" not in kpn.output(["nft", "list", "ruleset"])
    assert "of the agent" in kpn.output(["nft", "list", "ruleset"])


def test_stopping_the_service_opens_nothing(lab: Lab) -> None:
    services = Services(lab.nodes["kpn"], target="closed")
    services.start()
    services.stop()
    assert not _reaches(lab.nodes["laptop"], "192.0.2.1")
