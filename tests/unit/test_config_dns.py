"""`dns` and the public names of hosts: what is wrong, and how to mend it."""

from __future__ import annotations

from tests.unit.config.kit import config, expect, settings

PUBLIC = "public: { zone: example.org, server: 192.0.2.53, key_file: key }"
HOST = "hosts:\n  nas: { network: home, suffix: '::5', public: nas.example.org }"


def test_the_default_ports_and_times() -> None:
    found = settings(
        dns=f"dns: {{ forwarders: [ {{ address: 9.9.9.9 }}, {{ address: 9.9.9.9, tls_name: a.b }} ], {PUBLIC} }}",
        hosts=HOST,
    )
    assert [forwarder.at for forwarder in found.dns.forwarders] == [53, 853]
    assert found.dns.public is not None
    assert (found.dns.public.port, found.dns.public.ttl) == (53, 60.0)


def test_a_forwarder_that_is_the_firewall_itself() -> None:
    text = config(dns="dns:\n  forwarders:\n    - address: 10.10.0.1 # here")
    expect(text, "dns.forwarders[0].address", "is the firewall itself", "write a resolver outside")


def test_a_block_has_one_source_of_names() -> None:
    for what, line in (("no names", "networks: home"), ("both", "networks: home, names: [a.b], file: f")):
        text = config(dns=f"dns:\n  blocks:\n    ads: {{ {line} }} # here")
        expect(text, "dns.blocks.ads", what, "write one of")


def test_a_block_for_a_network_that_is_not_there() -> None:
    text = config(dns="dns:\n  blocks:\n    ads:\n      names: [a.b]\n      networks: hone # here")
    expect(text, "dns.blocks.ads.networks", "there is no network `hone`", "home")


def test_a_public_name_without_a_zone() -> None:
    expect(config(hosts=f"{HOST} # here"), "hosts.nas.public", "no zone for public names", "add `dns.public`")


def test_a_public_name_out_of_the_zone() -> None:
    text = config(hosts=HOST.replace("nas.example.org", "nas.example.com") + " # here", dns=f"dns: {{ {PUBLIC} }}")
    expect(text, "hosts.nas.public", "is not in the zone example.org", "nas.example.org")


def test_two_hosts_of_one_public_name() -> None:
    two = f"{HOST}\n  six: {{ network: home, suffix: '::6', public: nas.example.org }} # here"
    expect(config(hosts=two, dns=f"dns: {{ {PUBLIC} }}"), "hosts.six.public", "have one public name", "its own")


def test_a_zone_for_nobody_is_a_warning() -> None:
    text = config(dns=f"dns:\n  {PUBLIC} # here")
    expect(text, "dns.public", "no host has a public name", "add `public: NAME`", "warning")
