"""docs/bus.md tells the truth: each example is a document that `wire` reads, and the ACL is the one we generate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent import wire
from agent.desired.broker import MosquittoAcl
from agent.drivers.bus import backoff, client, outbox, session
from agent.drivers.bus.settings import Cause
from agent.render.mosquitto import render_mosquitto_acl

TEXT = (Path(__file__).parents[2] / "docs" / "bus.md").read_text()
# A paragraph that begins with a topic, and the examples that follow it.
PARTS = re.findall(r"^`([a-z0-9/]+)`[^\n]*(?:\n(?!```)[^\n]+)*\n((?:```json\n[^`]+```\n)+)", TEXT, re.MULTILINE)
EXAMPLES = [(topic, text) for topic, blocks in PARTS for text in re.findall(r"```json\n([^`]+)```", blocks)]


def test_every_block_is_an_example_of_some_topic() -> None:
    assert len(EXAMPLES) == TEXT.count("```json")
    kinds = {re.sub(r"^(choice|leases|status|event|uplink/prefix)/.*", r"\1", topic) for topic, _ in EXAMPLES}
    table = {re.sub(r"/<.*", "", topic) for topic in re.findall(r"^\| `([a-z0-9/<>-]+)` \|", TEXT, re.MULTILINE)}
    assert kinds == table


@pytest.mark.parametrize(("topic", "text"), EXAMPLES)
def test_an_example_is_what_wire_reads_and_writes(topic: str, text: str) -> None:
    document = json.loads(text)
    if wire.is_event(topic):
        assert wire.encode_event(topic.removeprefix("event/"), document)[0] == topic
        return
    received = wire.decode("home", f"backstage/1/home/kpn/{topic}", text.encode(), document.get("valid"), 1000.0)
    payload, expiry = wire.encode(received.fact, topic, 1000.0)
    assert expiry == document.get("valid")
    written = json.loads(payload)
    assert {name: written[name] for name in document} == document
    assert all(value in ("", []) for name, value in written.items() if name not in document)


def test_the_acl_is_ours() -> None:
    text = render_mosquitto_acl(MosquittoAcl("home", ("firewall", "kpn", "odido"), hosts=True)).text
    ours = [line for line in text.splitlines() if not line.startswith("#")]
    assert "\n".join(ours) in TEXT


def test_the_figures_are_ours() -> None:
    assert f"session kept {client.SESSION_EXPIRY} s" in TEXT
    assert f"delayed {client.WILL_DELAY} s" in TEXT
    assert f"{wire.MAX_PAYLOAD // 1024} KiB" in TEXT
    assert f"| no | {wire.EVENT_EXPIRY} s |" in TEXT
    assert f"more than {outbox.SLACK:.0f} s\nshorter" in TEXT
    assert (session.REPUBLISH, outbox.GROWN) == (120, 0.25)
    assert backoff._WAITS[Cause.UNREACHABLE][1] == 3
    assert backoff._WAITS[Cause.REFUSED][1] == 15
