"""What the line has seen of all the faults and flows before: nothing internal, ever."""

from __future__ import annotations

from tests.vm.network import Network

INSIDE = "ip net 10.0.0.0/8 or ip net 192.168.0.0/16 or ip net 172.16.0.0/12 or ip6 net fc00::/7"


def test_wire_never_bore_an_internal_address(story: Network) -> None:
    for outside in ("ip net 192.0.2.0/24", "ip6 net 2001:db8:a100::/48"):
        assert story.wire.text(f"vlan and pppoes and {outside}"), "a filter of this form sees nothing at all"
    assert story.wire.text(f"vlan and pppoes and ({INSIDE})") == ""


def test_wire_never_bore_an_untagged_packet_of_ours(story: Network) -> None:
    """What is not on the ISP's VLAN is not the router's: neither IPv4 nor anything but the kernel's own link-local."""
    assert story.wire.text("not vlan and (ip or (ip6 and not ip6 net fe80::/10 and not ip6 host ::))") == ""
