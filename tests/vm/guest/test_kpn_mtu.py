"""RFC 4638: packets of 1500 bytes through PPPoE, where the ISP offers it; 1492 where it does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.node import Node
from tests.lab.topology import INTERNET4, INTERNET6
from tests.lab.wait import wait_for
from tests.vm.network import EXAMPLE, Network
from tests.vm.topology import PREFIX

CONFIG = "/etc/router/router.yaml"
HEADERS = {INTERNET4: 28, INTERNET6: 48}


def mtu(story: Network) -> int | None:
    """The MTU of the ingress's PPP link, None while there is none."""
    if story.session() is None:
        return None
    # The link may go between the two questions.
    return int(story.nodes["kpn"].run(["cat", "/sys/class/net/wan/mtu"], check=False).stdout or 0) or None


def carry(story: Network, size: int) -> None:
    """Let the ISP's side of the line carry frames of so many bytes; pppoe-server offers what it finds at its start."""
    story.nodes["switch"].ip(*(f"link set {port} mtu {size}" for port in ("isp-line", "kpn-uplink", "line")))
    story.provider.stop()
    story.nodes["isp"].ip(f"link set line mtu {size}", f"link set line.6 mtu {size}")
    story.provider.mtu = size - 8
    story.provider.start()


def configure(story: Network, value: int) -> None:
    """Run all nodes on the example with another MTU of the uplink."""
    text = EXAMPLE.read_text().replace("    mtu: 1492\n", f"    mtu: {value}\n")
    for name in ("firewall", "kpn"):
        node = story.nodes[name]
        node.path(CONFIG).write_text(text)

        # The tests before may have left an agent that is just starting.
        def reloaded(node: Node = node) -> bool:
            return node.run(["routerctl", "reload"], check=False, timeout=60).returncode == 0

        wait_for(reloaded, 60, lambda: node.run(["routerctl", "reload"], check=False, timeout=60).stderr)  # noqa: B023


def passes(node: Node, target: str, size: int) -> bool:
    """Whether a packet of that many bytes is answered unfragmented."""
    argv = ["ping", "-M", "do", "-c", "1", "-W", "3", "-s", str(size - HEADERS[target]), target]
    return node.run(argv, check=False).returncode == 0


@pytest.fixture(scope="module")
def large(story: Network) -> Iterator[Network]:
    """The story on a line that carries 1508 bytes, an uplink of `mtu: 1500`."""
    carry(story, 1508)
    configure(story, 1500)
    yield story
    story.provider.stop()
    carry(story, 1500)
    configure(story, 1492)
    story.provider.hang_up()
    wait_for(lambda: mtu(story) == 1492, 60, "a session of 1492 again")
    story.wait_reached("laptop", {4: "192.0.2.96/28", 6: PREFIX})
    wait_for(lambda: passes(story.nodes["laptop"], INTERNET6, 1492), 30, "the laptop to be told 1492 again")


@pytest.mark.rfc("4638", "mtu 1500 with PPP-Max-Payload")
def test_mtu_is_1500_where_the_isp_offers_it(large: Network) -> None:
    wait_for(
        lambda: mtu(large) == 1500, 60, lambda: f"a session of 1500, not {mtu(large)}: {large.logs('kpn')[-2000:]}"
    )
    # PPP-Max-Payload (0x0120), two bytes: 1500, asked for and answered.
    assert large.wire.hexes("vlan and pppoed").count("0120000205dc") >= 2
    large.wait_reached("laptop", {4: "192.0.2.96/28", 6: PREFIX})
    laptop = large.nodes["laptop"]
    wait_for(lambda: "1500" in laptop.output(["sysctl", "-n", "net.ipv6.conf.lan.mtu"]), 30, "radvd to say 1500")
    for target in HEADERS:
        wait_for(lambda target=target: passes(laptop, target, 1500), 20, f"1500 bytes to {target}")  # type: ignore[misc]
    assert large.nodes["kpn"].output(["cat", "/sys/class/net/wan-ether/mtu"]).strip() == "1508"


@pytest.mark.rfc("4638", "mtu 1492 without PPP-Max-Payload")
def test_mtu_is_1492_where_the_isp_does_not(large: Network) -> None:
    carry(large, 1500)
    old = large.session()
    large.provider.hang_up()
    large.wait_session(other_than=old)
    wait_for(lambda: mtu(large) == 1492, 60, lambda: f"a session of 1492, not {mtu(large)}")
    large.wait_reached("laptop", {4: "192.0.2.96/28", 6: PREFIX})
    for target in HEADERS:
        assert not passes(large.nodes["kpn"], target, 1500)
        assert passes(large.nodes["kpn"], target, 1492)
