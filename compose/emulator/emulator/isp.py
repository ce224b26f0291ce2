"""An ISP: a line to one customer (`line`) by DHCP or PPPoE, and the way to the internet (`core`)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

from emulator.system import addresses, ip, listed, say, setting, supervise, vlan

RUN = Path("/run/emulator")
LEASE_SECONDS = 600
PPP_MTU = 1492
LINKS = 4


def main() -> int:
    """Addresses and routes, then the daemons of the kind of line."""
    RUN.mkdir(parents=True, exist_ok=True)
    addresses("core", listed("CORE"))
    line = vlan("line", setting("VLAN", ""))
    for entry in listed("ROUTES"):
        ip("-6" if ":" in entry else "-4", "route", "replace", *entry.split())
    # What is delegated to nobody goes nowhere.
    for prefix in listed("PREFIX"):
        ip("route", "replace", "unreachable", prefix, "metric", "4294967295")
    entries = [ip_interface(entry) for entry in listed("LINE")]
    four = next(entry for entry in entries if isinstance(entry, IPv4Interface))
    six = next((entry for entry in entries if isinstance(entry, IPv6Interface)), None)
    delegate = ["python3", "-m", "emulator", "delegate"]
    say(f"a line by {setting('KIND')} on {line}")
    if setting("KIND") == "pppoe":
        links = [f"ppp{number}" for number in range(LINKS)]
        return supervise([_pppoe_server(line, four), delegate, _radvd(links, "")])
    addresses(line, listed("LINE"))
    # Customers take each other, and all of the prefix they share, for neighbours: the ISP answers for what lies beyond.
    Path("/proc/sys/net/ipv4/conf", line, "proxy_arp").write_text("1")
    commands = [_dhcp_server(line, four), delegate]
    if six:
        commands.append(_radvd([line], str(six.network)))
    return supervise(commands)


def _dhcp_server(line: str, four: IPv4Interface) -> list[str]:
    pool = setting("POOL")
    return [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", f"--interface={line}"),
        *("--bind-dynamic", "--log-dhcp", "--log-facility=-", f"--dhcp-leasefile={RUN}/leases"),
        *(f"--dhcp-range={pool},{four.netmask},{LEASE_SECONDS}", f"--dhcp-option=3,{four.ip}", "--no-ping"),
        *("--dhcp-option=6,9.9.9.9", "--dhcp-authoritative"),
    ]


def _radvd(interfaces: Sequence[str], prefix: str) -> list[str]:
    """A router on `interfaces`, whenever they are there; DHCPv6 is offered, and the prefix, where there is one."""
    path = RUN / "radvd.conf"
    on_link = f"  prefix {prefix} {{ AdvValidLifetime 3600; AdvPreferredLifetime 1800; }};\n" if prefix else ""
    path.write_text(
        "".join(
            f"interface {interface} {{\n  IgnoreIfMissing on;\n  AdvSendAdvert on;\n  MinRtrAdvInterval 3;\n"
            f"  MaxRtrAdvInterval 10;\n  AdvManagedFlag on;\n  AdvOtherConfigFlag on;\n{on_link}}};\n"
            for interface in interfaces
        )
    )
    return ["radvd", "--nodaemon", "--logmethod", "stderr", "--config", str(path), "--pidfile", f"{RUN}/radvd.pid"]


def _pppoe_server(line: str, four: IPv4Interface) -> list[str]:
    """PPPoE with CHAP: the kernel carries the packets; the link speaks IPv4 and, by router advertisements, IPv6."""
    secrets = Path("/etc/ppp/chap-secrets")
    secrets.write_text(f'"{setting("USER")}" * "{setting("PASSWORD")}" *\n')
    secrets.chmod(0o600)
    options = RUN / "ppp-options"
    options.write_text(
        "require-chap\nauth\n+ipv6\nnoipdefault\nnodefaultroute\nnoproxyarp\nktune\nlcp-echo-interval 5\n"
        f"lcp-echo-failure 3\nmtu {PPP_MTU}\nmru {PPP_MTU}\nms-dns 9.9.9.9\ndebug\nlogfd 2\n"
    )
    plugin = next(Path("/usr/lib/pppd").glob("*/pppoe.so"))
    return [
        *("pppoe-server", "-F", "-k", "-g", str(plugin), "-I", line, "-C", "emulator", "-L", str(four.ip)),
        *("-R", setting("POOL").split(",")[0], "-N", str(LINKS), "-O", str(options)),
    ]
