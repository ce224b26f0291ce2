from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from agent.config.share import Share
from agent.desired.probe import Target
from tests.unit.config.kit import config, expect, settings, uplink


def probe(text: str) -> dict[str, str]:
    return uplink(f"{{ kind: dhcp, probe: {{ {text} }} }}")


ERRORS = {
    "by name": ('targets: ["tcp://example.com:443"]', "targets[0]", "no address", "tcp://9"),
    "of what": ('targets: ["ftp://9.9.9.9"]', "targets[0]", "not a target", "dns://"),
    "without port": ('targets: ["tcp://9.9.9.9"]', "targets[0]", "not a target", "tcp://9"),
    "bad port": ('targets: ["tcp://9.9.9.9:70000"]', "targets[0]", "not a port", "65535"),
    "query": ('targets: ["http://example.com/?a=b"]', "targets[0]", "more than host", "https://"),
    "nonsense": ("targets: [resolver_one]", "targets[0]", "no target", "9.9.9.9"),
    "inside": ('targets: ["dns://10.10.0.5/example.com"]', "targets[0]", "not outside", "beyond the ISP"),
    "quorum": (
        "targets: [1.1.1.1, 8.8.8.8], quorum: 3",
        "quorum",
        "2 of the targets can answer over IPv4",
        "at most 2",
    ),
    "share": ("targets: [1.1.1.1], degraded_loss: 0.2", "degraded_loss", "not a percentage", "25%"),
    "large share": ("targets: [1.1.1.1], degraded_loss: 101%", "degraded_loss", "not a percentage", "25%"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    text, key, message, mend = ERRORS[case]
    expect(config(**probe(text)), f"uplinks.kpn.probe.{key}", message, mend)


def test_a_latency_that_no_answer_can_have_is_a_warning() -> None:
    text = config(**probe("targets: [1.1.1.1], degraded_latency: 3s"))
    expect(text, "uplinks.kpn.probe.degraded_latency", "an answer after 3 s", "less than 3s", level="warning")
    fits = "targets: [1.1.1.1], degraded_latency: 3s, interval: 2s, timeout: 2s"
    assert settings(**probe(fits)).uplinks["kpn"].probe is not None


def test_kinds_of_targets() -> None:
    targets = """[1.1.1.1, "2620:fe::fe", "tcp://9.9.9.9:443", "tcp://[2620:fe::fe]:853", "dns://9.9.9.9/Example.com.",
        "http://example.com", "https://[2620:fe::fe]:8443/generate_204"]"""
    found = settings(**probe(f"targets: {targets}")).uplinks["kpn"].probe
    assert found is not None
    assert found.targets == (
        Target("echo", IPv4Address("1.1.1.1")),
        Target("echo", IPv6Address("2620:fe::fe")),
        Target("tcp", IPv4Address("9.9.9.9"), 443),
        Target("tcp", IPv6Address("2620:fe::fe"), 853),
        Target("dns", IPv4Address("9.9.9.9"), 53, name="example.com"),
        Target("http", None, 80, host="example.com", path="/"),
        Target("http", IPv6Address("2620:fe::fe"), 8443, host="2620:fe::fe", path="/generate_204", tls=True),
    )
    texts = [str(target) for target in found.targets]
    assert texts[2:5] == ["tcp://9.9.9.9:443", "tcp://[2620:fe::fe]:853", "dns://9.9.9.9/example.com"]


def test_defaults_notice_a_blackhole_within_a_second_and_a_half() -> None:
    found = settings(**probe("targets: [1.1.1.1], degraded_latency: 400ms")).uplinks["kpn"].probe
    assert found is not None
    # It begins just after a question that was answered; then come the rounds that fail.
    assert found.interval + (found.fail_after - 1) * found.interval + found.timeout < 1.3
    assert (found.quorum, found.recover_after, found.degraded_latency) == (1, 10, 0.4)
    assert found.degraded_loss == Share(0.25)
    assert str(found.degraded_loss) == "25%"
