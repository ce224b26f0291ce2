"""A route that an advertisement told before the kernel took routes is asked for again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.solicit import Solicitor
from agent.drivers.sysctl import Sysctl
from tests.lab.netns import Namespace, netns, until
from tests.lab.wait import wait_for

pytestmark = pytest.mark.lab

RADVD = """interface router {
  AdvSendAdvert on; MinRtrAdvInterval 198; MaxRtrAdvInterval 600; AdvDefaultLifetime 0;
  prefix fd00:1:2:99::/64 { };
  route fd00:1:2::/48 { AdvRouteLifetime 1800; };
};
"""
KEY = "net/ipv6/conf/dmz/accept_ra_rt_info_max_plen"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Namespace]:
    """A host whose `dmz` has heard a router's advertisement, and does not take routes from one."""
    with netns("host") as host, netns("router") as router:
        host.sh(f"ip link add dmz type veth peer name router netns {router.name}; echo 0 >/proc/sys/{KEY}")
        quick = "echo 0 >/proc/sys/net/ipv6/conf/{0}/accept_dad; ip link set {0} up"
        router.sh("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; " + quick.format("router"))
        (tmp_path / "radvd.conf").write_text(RADVD)
        (tmp_path / "radvd.conf").chmod(0o644)
        argv = ("radvd", "-n", "-m", "stderr", "-C", str(tmp_path / "radvd.conf"), "-p", str(tmp_path / "pid"))
        radvd = router.popen(*argv, stderr=subprocess.PIPE)
        try:
            host.sh(quick.format("dmz"))
            wait_for(lambda: "fd00:1:2:99:" in host.sh("ip -6 addr show dev dmz"), 20, "the advertised prefix")
            yield host
        finally:
            radvd.terminate()
            radvd.communicate(timeout=10)


def test_route_comes_once_it_is_asked_for(host: Namespace) -> None:
    def route() -> str:
        return host.sh("ip -6 route show fd00:1:2::/48")

    async def main() -> None:
        solicitor = Solicitor()
        changed = Sysctl().apply(((KEY, "64"),))
        assert changed == {KEY}
        assert not route()
        solicitor.ask("dmz")
        await until(lambda: "proto ra" in route(), seconds=9)  # radvd by itself: 16 s apart
        assert Sysctl().apply(((KEY, "64"),)) == frozenset()

    host.run(main)


def test_link_that_is_gone_is_no_error(host: Namespace) -> None:
    async def main() -> None:
        Solicitor().ask("nothere", times=1)

    host.run(main)
