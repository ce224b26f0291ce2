"""The IPoE demo in a real engine: what a client sees, what the internet sees, what the containers may."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.engine import measure
from tests.engine.engine import Engine
from tests.engine.project import Project
from tests.lab.wait import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

ROUTERS = ("ingress-kpn", "ingress-odido", "firewall")


@pytest.fixture(scope="module")
def demo(built: Engine) -> Iterator[Project]:
    """Both uplinks up, and the client served by kpn."""
    with measure.project(built, "dual") as found:
        wait_for(lambda: measure.uses(found, "kpn"), measure.RETURN_SECONDS, "traffic by kpn")
        yield found


def test_client_is_seen_with_translated_addresses(demo: Project) -> None:
    assert measure.page_source(demo, 4).startswith("192.0.2.")
    inside = demo.run("client", "ip", "-6", "-o", "addr", "show", "dev", "lan", "scope", "global")
    assert "fd4b:9ca2:1d70:10:0:ff:fe00:1064/64" in inside
    # The host's bits are kept: 1:1, not NAT66.
    assert measure.page_source(demo, 6) == "2001:db8:a100:10:0:ff:fe00:1064"


def test_client_resolves_names(demo: Project) -> None:
    def addresses(name: str) -> set[str]:
        found = demo.run("client", "sh", "-c", f"getent ahosts {name} || :")
        return {line.split()[0] for line in found.splitlines()}

    wait_for(
        lambda: addresses("www.example") == {"203.0.113.7", "2001:db8:f::7"}, 60, lambda: str(addresses("www.example"))
    )
    assert "10.10.0.1" in addresses("firewall"), "by the search list"


def test_client_is_told_the_resolver_by_dhcpv6(demo: Project) -> None:
    # Message 11, a DUID of the kind link-layer, options 23 and 24 (RFC 8415 section 18.2.6); kernel and radvd go on.
    ask = (
        "import socket, struct; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', 546))\n"
        "s.settimeout(3); where = ('ff02::1:2', 547, 0, socket.if_nametoindex('lan'))\n"
        "s.sendto(bytes.fromhex('0b010203 0001000a 00030001020000001064 00060004 00170018'), where)\n"
        "print(s.recv(1500).hex())"
    )
    answer = wait_for(lambda: demo.run("client", "python3", "-c", ask, check=False).strip(), 30, "Kea's answer")
    assert answer.startswith("07010203")
    assert "00170010fd4b9ca21d7000100000000000000001" in answer


def test_no_internal_address_on_the_wire(demo: Project) -> None:
    internal = "net 10.0.0.0/8 or net fd00::/8"
    capture = ("tcpdump", "-n", "-i", "line", "-c", "1", internal)
    watching = demo.start("exec", "-T", "isp-kpn", "timeout", "4", *capture)
    wait_for(lambda: "tcpdump" in demo.run("isp-kpn", "sh", "-c", "cat /proc/[0-9]*/comm"), 10, "tcpdump")
    for family in (4, 6):
        assert measure.page_source(demo, family)
    output, _ = watching.communicate(timeout=30)
    assert "0 packets captured" in output, output


def test_internet_reaches_forward_and_pinhole_only(demo: Project) -> None:
    uplink = measure.page_source(demo, 4)
    host = measure.page_source(demo, 6)
    script = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    listen = "import socket; s=socket.create_server(('::', {}), family=10, dualstack_ipv6=True); s.accept(); s.accept()"
    servers = [demo.start("exec", "-T", "client", "python3", "-c", listen.format(port)) for port in (7, 8)]
    try:
        for address in (uplink, host):
            reach = partial(_fails, demo, "python3", "-c", script, address)
            wait_for(lambda reach=reach: not reach("7"), 10, f"{address} port 7")  # type: ignore[misc]
            assert reach("8")
    finally:
        demo.run("client", "pkill", "-f", "create_server", check=False)
        for server in servers:
            server.communicate(timeout=30)


def _fails(demo: Project, *argv: str) -> bool:
    return bool(demo.run("internet", "sh", "-c", '"$@" 2>/dev/null || echo failed', "sh", *argv).strip())


@pytest.mark.parametrize("service", ROUTERS)
def test_container_is_not_privileged(demo: Project, service: str) -> None:
    assert demo.inspect(service, "{{.HostConfig.Privileged}}") == "false"
    assert demo.inspect(service, "{{.HostConfig.ReadonlyRootfs}}") == "true"
    assert "no-new-privileges" in demo.inspect(service, "{{.HostConfig.SecurityOpt}}")
    assert "SYS_ADMIN" not in demo.inspect(service, "{{.HostConfig.CapAdd}}")
    assert demo.inspect(service, "{{.HostConfig.CapDrop}}") == "[ALL]"


@pytest.mark.parametrize("service", ROUTERS)
def test_container_is_healthy(demo: Project, service: str) -> None:
    def state() -> str:
        return demo.inspect(service, "{{.State.Health.Status}}")

    wait_for(lambda: state() == "healthy", measure.READY_SECONDS, lambda: f"{service}, which is {state()}")
    assert "all work" in demo.run(service, "routerctl", "status")


def test_memory(demo: Project) -> None:
    assert 10 < measure.containers_memory(demo) < 250
