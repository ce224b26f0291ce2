"""A rule that stays keeps its counter, whatever its number becomes."""

from __future__ import annotations

from pathlib import Path

from agent.config import load
from agent.drivers.nft.counts import carried, counts, has_counts
from agent.plan.rule_counts import counted

BEGIN = """
site: { name: home, prefix: "fd00:1:2::/48" }
bus: { host: 10.98.0.1, password_file: p, users_file: u }
networks:
  home: { subnet: 0x10, ipv4: 10.10.0.1/24 }
  iot: { subnet: 0x30, ipv4: 10.30.0.1/24 }
  dmz: { subnet: 0x99, ipv4: 10.99.0.1/24, transit: true, dhcp4: { pool: 10.99.0.10-10.99.0.99 } }
uplinks: { kpn: { kind: dhcp } }
"""
SSH = "{ from: home, to: iot, service: ssh, action: accept }"
WEB = "{ from: home, to: iot, service: https, action: accept }"


def identities(directory: Path, *rules: str, policies: str = "") -> dict[str, str]:
    path = directory / "router.yaml"
    path.write_text(BEGIN + "rules:\n" + "".join(f"  - {rule}\n" for rule in rules) + policies)
    return dict(counted(load(path, {})))


def test_a_rule_is_known_by_what_it_says_and_not_by_its_number(tmp_path: Path) -> None:
    before = identities(tmp_path, SSH, WEB)
    after = identities(tmp_path, "{ from: iot, to: home, action: drop }", WEB, SSH.replace("}", ", log: true }"))
    assert (after["rule_2"], after["rule_3"]) == (before["rule_2"], before["rule_1"])
    assert after["rule_1"] not in before.values()


def test_equal_rules_are_told_apart_by_their_order(tmp_path: Path) -> None:
    twice = identities(tmp_path, SSH, SSH, policies="policies:\n  - { from: home, to: iot, action: accept }\n")
    assert len(set(twice.values())) == 3
    assert identities(tmp_path, SSH)["rule_1"] == twice["rule_1"]


LISTING = """table inet router {
	counter rule_1 {
		comment "abc"
		packets 5 bytes 300
	}
	counter rule_2 {
		comment "abd"
		packets 0 bytes 0
	}
	counter foreign {
		packets 7 bytes 70
	}
}
"""


def test_counts_move_to_the_counter_with_the_same_comment() -> None:
    found = counts(LISTING)
    assert found == {"abc": "packets 5 bytes 300", "abd": "packets 0 bytes 0"}
    script = 'table inet router {\n    counter rule_7 { comment "abc" }\n    counter rule_1 { comment "new" }\n}\n'
    assert has_counts(script)
    assert carried(script, found).splitlines()[1:3] == [
        '    counter rule_7 { packets 5 bytes 300; comment "abc" }',
        '    counter rule_1 { comment "new" }',
    ]
    assert not has_counts("counter rule_1 { }")
