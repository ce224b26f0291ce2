"""A client on one of the firewall's networks: DHCPv4 by dhcpcd, IPv6 by the kernel's own autoconfiguration."""

from __future__ import annotations

from pathlib import Path

from emulator.system import addresses, setting, supervise, vlan

HOOK = Path("/etc/dhcpcd.exit-hook")
_TELL = """if [ -n "$new_domain_name_servers" ]; then
    { for server in $new_domain_name_servers; do echo "nameserver $server"; done
      echo "search $new_domain_name"; } >/etc/resolv.conf
fi
"""


def main() -> int:
    """Configure nothing by hand: wait for what the router offers, for as long as the container lives."""
    addresses("lan", ())
    interface = vlan("lan", setting("VLAN", ""))
    for name, value in (("accept_ra", "2"), ("router_solicitation_delay", "0")):
        Path("/proc/sys/net/ipv6/conf", interface, name).write_text(value)
    # The engine mounts /etc/resolv.conf: it can be written, not replaced.
    HOOK.write_text(_TELL)
    command = ["dhcpcd", "-B", "-4", "-L", "-A", "-f", "/dev/null", "-C", "resolv.conf", interface]
    return supervise([command, ["sleep", "infinity"]])
