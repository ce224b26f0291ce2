"""An ISP that speaks PPPoE: pppoe-server in kernel mode on a VLAN, CHAP, IPV6CP; Kea and radvd on every session.

Two things an ISP's access concentrator does that these daemons do not do by themselves, done by pppd's `ipv6-up`:
the session's link-local address must stand without a peer, or Kea listens on the customer's; and the delegated prefix
needs a route to the customer.
"""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.lab.node import Node
from tests.lab.wait import wait_for
from tests.vm.topology import ADDRESS, ISP4, PREFIX, VLAN

USER = "internet"
PASSWORD = "kpn-secret"  # noqa: S105 - a lab's secrets protect nothing
LINE = f"line.{VLAN}"
RUN = "/run/isp"

_IPV6_UP = """#!/bin/sh
# pppd calls: INTERFACE TTY SPEED LOCAL REMOTE
exec >>/run/log/ipv6-up 2>&1
set -x
ip addr flush dev "$1" scope link
ip addr add fe80::1/64 dev "$1" nodad
read -r prefix </run/isp/prefix
[ -z "$prefix" ] || ip route replace "$prefix" via "$5" dev "$1"
for file in kea radvd; do sed "s/@interface@/$1/g" "/run/isp/$file" >"/run/isp/$file-$1"; done
mkdir -p "/run/isp/$1"
KEA_PIDFILE_DIR=/run/isp/$1 KEA_LOCKFILE_DIR=none kea-dhcp6 -c "/run/isp/kea-$1" >"/run/log/kea-$1" 2>&1 &
echo $! >"/run/isp/$1/pids"
radvd --nodaemon --logmethod stderr --config "/run/isp/radvd-$1" --pidfile "/run/isp/$1/radvd" >/run/log/radvd 2>&1 &
echo $! >>"/run/isp/$1/pids"
"""
_IPV6_DOWN = """#!/bin/sh
# shellcheck disable=SC2046
kill $(cat "/run/isp/$1/pids")
"""
_RADVD = """interface @interface@ {
    AdvSendAdvert on;
    MinRtrAdvInterval 3;
    MaxRtrAdvInterval 10;
    AdvManagedFlag off;
    AdvOtherConfigFlag on;
    AdvLinkMTU @mtu@;
};
"""


class PppoeIsp:
    """The ISP in the node `isp`. What is set holds for the next session.

    `prefix`: what it delegates (None: nothing). `address`: what IPCP gives. `ipcp`, `ipv6cp`: whether they are spoken.
    `mtu`: what its router advertisements say.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.prefix: str | None = PREFIX
        self.address = ADDRESS
        self.password = PASSWORD
        self.ipcp = self.ipv6cp = True
        self.renew = 300
        self.mtu = 1492
        self._server: subprocess.Popen[Any] | None = None

    @staticmethod
    def files() -> dict[str, Any]:
        """Path → content of what the node needs before it starts."""
        down = {"text": _IPV6_DOWN, "mode": 0o755}
        nothing = {"text": "#!/bin/sh\n", "mode": 0o755}
        return {
            "/etc/ppp/options": {"text": ""},
            "/etc/ppp/chap-secrets": {"link": f"{RUN}/secrets"},
            "/etc/ppp/ipv6-up": {"text": _IPV6_UP, "mode": 0o755},
            "/etc/ppp/ipv6-down": down,
            "/etc/ppp/ip-up": nothing,
            "/etc/ppp/ip-down": nothing,
        }

    def start(self) -> None:
        """Answer PPPoE discovery on the VLAN."""
        self.node.run(["mkdir", "-p", RUN, "/var/lib/kea", "/run/kea"])
        if self.node.run(["ip", "link", "show", LINE], check=False).returncode:
            self.node.ip(f"link add link line name {LINE} type vlan id {VLAN}", f"link set {LINE} up")
        self.write()
        plugin = next(Path("/usr/lib/pppd").glob("*/pppoe.so"))
        argv = ["pppoe-server", "-F", "-k", "-g", str(plugin), "-I", LINE, "-C", "isp", "-N", "4"]
        self._server = self.node.spawn([*argv, "-L", ISP4, "-R", self.address, "-O", f"{RUN}/options"], "pppoe")

    def write(self) -> None:
        """Write what is set to the files that the next session reads."""
        protocols = ["+ipv6" if self.ipv6cp else "noipv6"] + ([] if self.ipcp else ["noip"])
        options = ["require-chap", "auth", "name isp", *protocols, "noipdefault", "nodefaultroute", "noproxyarp"]
        options += ["lcp-echo-interval 2", "lcp-echo-failure 3", "lcp-restart 1", "ms-dns 9.9.9.9", "debug"]
        options += ["logfile /run/log/ppp"]
        self._put("options", "\n".join(options) + "\n")
        self._put("secrets", f'"{USER}" * "{self.password}" *\n')
        self._put("prefix", f"{self.prefix or ''}\n")
        self._put("radvd", _RADVD.replace("@mtu@", str(self.mtu)))
        self._put("kea", json.dumps({"Dhcp6": self._kea()}, indent=1))

    def _put(self, name: str, text: str) -> None:
        path = self.node.path(f"{RUN}/{name}")
        path.write_text(text)
        path.chmod(0o600)

    def _kea(self) -> dict[str, Any]:
        subnet: dict[str, Any] = {"id": 1, "subnet": "2001:db8:a::/64", "interface": "@interface@"}
        if self.prefix:
            address, _, length = self.prefix.partition("/")
            subnet["pd-pools"] = [{"prefix": address, "prefix-len": int(length), "delegated-len": int(length)}]
        return {
            "interfaces-config": {
                "interfaces": ["@interface@"],
                "service-sockets-max-retries": 20,
                "service-sockets-retry-wait-time": 200,
            },
            "lease-database": {"type": "memfile", "persist": False},
            "renew-timer": self.renew,
            "rebind-timer": self.renew * 2,
            "preferred-lifetime": 1800,
            "valid-lifetime": 3600,
            "option-data": [{"name": "dns-servers", "data": "2620:fe::fe"}],
            "subnet6": [subnet],
            "loggers": [{"name": "kea-dhcp6", "severity": "INFO", "output_options": [{"output": "stdout"}]}],
        }

    def sessions(self) -> list[str]:
        """The PPP links that are there now."""
        out = self.node.output(["ip", "-o", "link", "show", "type", "ppp"])
        return [line.split(":")[1].strip() for line in out.splitlines()]

    def hang_up(self) -> None:
        """End every session in order: LCP Terminate-Request and PADT."""
        found = self.node.run(["pkill", "-TERM", "-x", "pppd"], check=False)
        assert found.returncode <= 1, found.stderr  # 1: there was none
        wait_for(lambda: not self.sessions(), 15, lambda: f"the ISP's sessions to end: {found}\n{self.log()[-4000:]}")

    def crash(self) -> None:
        """End without a word: sessions are gone, the customer knows nothing."""
        if self._server:
            self._server.kill()
            self._server.wait()
            self._server = None
        self.node.run(["pkill", "-KILL", "-x", "pppd"], check=False)
        self.node.run(["pkill", "-KILL", "-x", "kea-dhcp6"], check=False)
        self.node.run(["pkill", "-KILL", "-x", "radvd"], check=False)
        wait_for(lambda: not self.sessions(), 15, "the ISP's sessions to end")

    def stop(self) -> None:
        """Answer no more discovery; sessions stay."""
        if self._server:
            self._server.send_signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    def restart(self) -> None:
        """Come back from a crash with what is set now."""
        self.crash()
        self.start()

    def log(self, name: str = "ppp") -> str:
        """The text of a log: `ppp`, `pppoe`, `ipv6-up`, `kea-ppp0`."""
        return self.node.log(name)
