"""A docker host's password in the wrong hands, against a real mosquitto: it reads and writes its own topics alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import IPv6Address

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.drivers.bus.client import Client
from agent.drivers.bus.quota import BURST
from agent.events import BusChanged, FactReceived
from agent.model import Container, Containers, PortSpan, UplinkLink
from tests.lab.bus_broker import SITE, Broker, mosquitto
from tests.lab.bus_kit import TIMEOUT, raw, running, say

pytestmark = pytest.mark.lab

LINK = UplinkLink(carrier=True, mtu=1500)
WEB = Containers((Container("web", (IPv6Address("2001:db8:77:1:21::80"),), (PortSpan("tcp", 443, 443),)),))
EVERYWHERE = (
    "#",
    "$SYS/#",
    "+/+/+/+/#",
    f"backstage/1/{SITE}/#",
    f"backstage/1/{SITE}/+/state",
    "$share/g/backstage/#",
)


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with mosquitto(hosts=("vm1", "vm2")) as found:
        yield found


async def test_a_docker_host_is_heard_and_hears_nobody(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as firewall:
        await firewall.connected()
        async with running(broker.bus_config("vm1", alone=True), WEB) as vm1:
            await vm1.connected()
            assert (await firewall.heard("vm1", "containers")).fact == WEB
            await firewall.state("vm1", "ready")
            assert all(isinstance(event, BusChanged) for event in vm1.events)
        await firewall.state("vm1", "disconnected")


async def test_it_reads_nothing_but_its_own(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as firewall, raw(broker, "vm1") as thief:
        await firewall.connected()
        await say(thief, "vm1", "containers", '{"containers":[]}')
        for topic in EVERYWHERE:
            await thief.subscribe(topic, qos=1)
        await firewall.publish(replace(LINK, mtu=1400))
        async with raw(broker, "vm2") as other:
            await say(other, "vm2", "containers", '{"containers":[]}')
        await firewall.heard("vm2", "containers")  # so all of it has passed the broker
        await say(thief, "vm1", "containers", '{"containers":[],"error":"the last"}')
        seen = []
        async with asyncio.timeout(TIMEOUT):
            async for message in thief.messages:
                seen.append(message.topic.value)
                if isinstance(message.payload, bytes) and b"the last" in message.payload:
                    break
        assert {topic.rpartition("/")[0] for topic in seen} == {f"backstage/1/{SITE}/vm1"}


async def test_it_writes_nothing_but_its_own(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as firewall:
        await firewall.connected()
        since = len(firewall.events)
        lie = '{"containers":[{"name":"a"}]}'
        async with raw(broker, "vm1") as liar:
            for node in ("vm2", "firewall", "kpn", "observer", "nobody", "+", ""):
                for topic in ("containers", "state", "info", "uplink/link"):
                    with contextlib.suppress(aiomqtt.MqttError, ValueError):
                        await say(liar, node, topic, lie)
            # Of its own it has three topics, so it cannot fill the broker either.
            for topic in (
                "uplink/link",
                "uplink/ipv6",
                "choice/lan",
                "status/nft",
                "event/a",
                "containers/more",
                "x/y/z",
            ):
                await say(liar, "vm1", topic, '{"carrier":true,"mtu":1500}')
            await say(liar, "vm1", "containers", '{"containers":[],"error":"honest"}')
        await firewall.heard("vm1", "containers", since)
        heard = {(e.node, e.topic) for e in firewall.events[since:] if isinstance(e, FactReceived)}
        assert heard == {("vm1", "containers")}
    async with raw(broker, "observer") as observer:
        await observer.subscribe("#", qos=1)
        async with raw(broker, "kpn") as kpn:
            await say(kpn, "kpn", "uplink/link", '{"carrier":true,"mtu":1500}')
        found: list[str] = []
        async with asyncio.timeout(TIMEOUT):
            async for message in observer.messages:
                found.append(message.topic.value)
                if message.topic.value.endswith("kpn/uplink/link"):
                    break
        assert not [topic for topic in found if "vm1" in topic and not topic.endswith(("containers", "state", "info"))]
        assert not [topic for topic in found if "vm2" in topic and topic.endswith("info")]


async def test_its_last_will_is_its_own(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as firewall:
        await firewall.connected()
        since = len(firewall.events)
        for node in ("vm2", "firewall", "kpn", "vm1"):
            will = aiomqtt.Will(f"backstage/1/{SITE}/{node}/state", b'{"state":"lost","session":"x"}', 1, retain=True)
            with contextlib.suppress(aiomqtt.MqttError):
                async with _client(broker, "vm1", "will", will=will) as dying:
                    dying._client._sock_close()
        await firewall.state("vm1", "lost", since)
        assert {e.node for e in firewall.events[since:] if isinstance(e, FactReceived)} == {"vm1"}
        assert "another agent" not in broker.log


async def test_it_cannot_end_anothers_connection(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as firewall:
        await firewall.connected()
        for name in ("firewall", f"{SITE}-firewall"):
            async with _client(broker, "vm1", name) as thief:
                await say(thief, "vm1", "containers", f'{{"containers":[],"error":"{name}"}}')
            await firewall.until(
                lambda n=name: n in str(firewall.newest("vm1", "containers")),  # type: ignore[misc]
                "its word",
            )
        assert BusChanged(connected=False) not in firewall.events
        assert firewall.events.count(BusChanged(connected=True)) == 1


async def test_nor_has_it_a_session_of_anothers(broker: Broker) -> None:
    """What waits for a node that is away is not delivered to who takes its client id."""
    async with _client(broker, "odido", f"{SITE}-odido", expiry=60) as odido:
        await odido.subscribe(f"backstage/1/{SITE}/#", qos=1)
    async with raw(broker, "kpn") as kpn:
        await say(kpn, "kpn", "uplink/link", '{"carrier":false,"mtu":1500}')
    async with _client(broker, "vm1", f"{SITE}-odido", expiry=60) as thief:
        await thief.subscribe(f"backstage/1/{SITE}/vm1/#", qos=1)
        await say(thief, "vm1", "containers", '{"containers":[],"error":"mine"}')
        async with asyncio.timeout(TIMEOUT):
            async for message in thief.messages:
                assert "/vm1/" in message.topic.value
                if b"mine" in bytes(message.payload if isinstance(message.payload, bytes) else b""):
                    break


async def test_a_flood_costs_the_others_nothing(broker: Broker) -> None:
    """Large documents as fast as they go: another's word is heard at once, the last word of the flood in the end."""
    async with running(broker.bus_config("firewall"), LINK) as firewall:
        await firewall.connected()
        async with raw(broker, "vm1") as liar, raw(broker, "vm2") as honest:
            since = len(firewall.events)
            for number in range(200):
                error = f"{number:03}".ljust(4000, ".")
                names = ",".join(f'{{"name":"c{n}","notes":["{"x" * 190}"]}}' for n in range(250))
                await say(liar, "vm1", "containers", f'{{"containers":[{names}],"error":"{error}"}}')
                if number == 100:
                    await say(honest, "vm2", "containers", '{"containers":[],"error":"me too"}')
            await firewall.heard("vm2", "containers", since)
            heard = len(firewall.all_of("vm1", "containers"))
            assert heard <= BURST / 50 + 20, "at its pace, not at the liar's"
            await firewall.until(lambda: "'199" in repr(firewall.newest("vm1", "containers")), "the last word")


@contextlib.asynccontextmanager
async def _client(
    broker: Broker, user: str, name: str, *, will: aiomqtt.Will | None = None, expiry: int = 0
) -> AsyncIterator[aiomqtt.Client]:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = expiry
    client = Client(
        "127.0.0.1",
        broker.port,
        identifier=name,
        username=user,
        password=f"secret of {user}",
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=properties,
        will=will,
        timeout=3,
    )
    try:
        async with client:
            yield client
    finally:
        client.drop()
