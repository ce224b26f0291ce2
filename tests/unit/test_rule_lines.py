from __future__ import annotations

from agent.desired.firewall import FilterRule, Limit, Match
from agent.render.nft_firewall_rules import rule_lines


def test_a_rate_per_source_is_one_rule_for_each_family() -> None:
    rule = FilterRule("rule_1", "accept", (Match(protocol="tcp"),), limit=Limit(1, "day", 2, per_source=True))
    rate = "limit rate 1/day burst 2 packets"
    assert [*rule_lines(rule, "a>b")] == [
        f"meta l4proto tcp update @rule_1_ipv4 {{ ip saddr {rate} }} counter name rule_1 accept",
        f"meta l4proto tcp update @rule_1_ipv6 {{ ip6 saddr {rate} }} counter name rule_1 accept",
    ]


def test_what_is_over_a_rate_is_not_logged_either() -> None:
    rule = FilterRule("rule_1", "drop", (Match(),), log=True, note="why", limit=Limit(5, "second", 9))
    assert [*rule_lines(rule, "a>b")] == [
        'limit name rule_1_rate log group 1 prefix "a>b rule_1 drop why: " counter name rule_1 drop'
    ]


def test_a_log_has_a_limit_of_its_own() -> None:
    rule = FilterRule("rule_1", "drop", (Match(4, protocol="icmp", types=(8,)),), log=True)
    assert [*rule_lines(rule, "a>b")] == [
        'meta nfproto ipv4 icmp type 8 limit rate 10/second burst 20 packets log group 1 prefix "a>b rule_1 drop: "',
        "meta nfproto ipv4 icmp type 8 counter name rule_1 drop",
    ]
