"""What can go wrong on the bus: stale wills, bad documents, refusals, twins, and brokers that say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.drivers.bus import client
from agent.drivers.bus.settings import Cause
from agent.events import BusChanged
from agent.model import NodeState, PartStatus, UplinkLink
from tests.lab.bus_broker import WILL_DELAY, Broker, mosquitto
from tests.lab.bus_kit import boottime, descriptors, raw, running, say

pytestmark = pytest.mark.lab

LINK = UplinkLink(carrier=True, mtu=1500)


@pytest.fixture
def broker() -> Iterator[Broker]:
    with mosquitto() as broker:
        yield broker


async def test_a_stale_lost_is_answered(broker: Broker) -> None:
    async with running(broker.bus_config("kpn"), LINK) as kpn, running(broker.bus_config("firewall"), LINK) as fw:
        birth = await fw.state("kpn", "ready")
        async with raw(broker, "kpn") as impostor:
            await say(impostor, "kpn", "state", '{"state":"lost","session":"an-old-one"}')
            await say(impostor, "kpn", "state", "")
            await fw.until(lambda: any(type(event).__name__ == "FactWithdrawn" for event in fw.events), "withdrawal")
            assert await fw.state("kpn", "ready", since=fw.events.index(BusChanged(connected=True)) + 1) == birth
        async with running(broker.bus_config("odido"), LINK) as late:
            assert await late.state("kpn", "ready") == birth
        assert NodeState("lost", "an-old-one") not in fw.all_of("kpn", "state")
        assert kpn.bus.connected


async def test_an_agent_that_is_killed_is_lost_after_the_delay(broker: Broker) -> None:
    process = await broker.spawn_agent("kpn")
    async with running(broker.bus_config("firewall"), LINK) as fw:
        birth = await fw.state("kpn", "ready")
        process.kill()
        killed = boottime()
        await process.wait()
        lost = await fw.state("kpn", "lost")
        assert lost.session == birth.session
        assert boottime() - killed > WILL_DELAY - 1.1


async def test_an_agent_that_is_back_within_the_delay_is_never_lost(broker: Broker) -> None:
    process = await broker.spawn_agent("kpn")
    async with running(broker.bus_config("firewall"), LINK) as fw:
        first = await fw.state("kpn", "ready")
        process.kill()
        await process.wait()
        async with running(broker.bus_config("kpn"), LINK) as kpn:
            await kpn.connected()
            back = boottime()
            # Another client's will with the same delay, set off later, shows when ours would have come.
            await _die_with_will(broker)
            await fw.heard("odido", "status/will")
            assert boottime() - back > WILL_DELAY - 1.1
            states = [fact for fact in fw.all_of("kpn", "state") if isinstance(fact, NodeState)]
            assert [fact.state for fact in states][-2:] == ["init", "ready"]
            assert states[-1].session != first.session
            assert "lost" not in {fact.state for fact in states}


async def _die_with_will(broker: Broker) -> None:
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = WILL_DELAY
    will = aiomqtt.Will("backstage/1/home/odido/status/will", '{"fingerprint":"1"}', 1, True, properties)
    connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    connect.SessionExpiryInterval = 60
    dying = client.Client(
        "127.0.0.1", broker.port, identifier="dies", username="odido", will=will,
        password=(broker.directory / "password.odido").read_text().strip(),
        protocol=aiomqtt.ProtocolVersion.V5, properties=connect,
    )  # fmt: skip
    await dying.__aenter__()
    sock = dying._client.socket()
    assert isinstance(sock, socket.socket)
    sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(aiomqtt.MqttError):
        async for _ in dying.messages:
            pass
    dying.drop()


async def test_invalid_documents_are_counted_and_never_replace_a_good_fact(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(broker.bus_config("firewall"), LINK) as fw, raw(broker, "kpn") as kpn:
        await say(kpn, "kpn", "uplink/link", '{"carrier":true,"mtu":1500}')
        await fw.heard("kpn", "uplink/link")
        for payload in ("nonsense", '{"carrier":1}', b"\xff\xfe", "[" * 30000):
            await say(kpn, "kpn", "uplink/link", payload)
        await say(kpn, "kpn", "uplink/unheard-of", "{}")
        await say(kpn, "kpn", "state", '{"state":"ready","session":"1"}')
        await fw.state("kpn", "ready")
        assert fw.all_of("kpn", "uplink/link") == [LINK]
        assert fw.bus.invalid == 5
        assert capsys.readouterr().out.count("invalid document dropped") == 2
        assert fw.bus.connected


async def test_a_document_beyond_the_limit_does_not_reach_anyone(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as fw:
        with contextlib.suppress(aiomqtt.MqttError):
            async with raw(broker, "kpn") as kpn:
                await say(kpn, "kpn", "uplink/link", " " * 80000)
        async with raw(broker, "kpn") as kpn:
            await say(kpn, "kpn", "state", '{"state":"ready","session":"1"}')
            await fw.state("kpn", "ready")
        assert fw.bus.invalid == 0


async def test_wrong_password_says_so_and_does_not_hammer(broker: Broker) -> None:
    wrong = "odido"
    async with running(broker.bus_config("kpn", password_of=wrong), LINK) as kpn:
        error = await kpn.trouble("refuses user 'kpn': wrong password")
        assert "bus.users_file" in error.hint
        assert error.cause is Cause.REFUSED
        tries = broker.log.count("not authorised")
        # The right password is read at the next try, without a restart.
        (broker.directory / "password.odido").write_text("secret of kpn")
        await kpn.connected()
        assert broker.log.count("not authorised") - tries <= 2


async def test_no_password_file_is_a_clear_error(broker: Broker) -> None:
    config = replace(broker.bus_config("kpn"), password_file=broker.directory / "nothing")
    async with running(config, LINK) as kpn:
        error = await kpn.trouble("cannot read the bus password")
        assert str(error).endswith("nothing: No such file or directory")
        assert "routerctl secrets" in error.hint


async def test_a_denied_topic_is_found_out(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.drivers.bus.session.ECHO_TIMEOUT", 0.5)
    broker.acl_text = broker.acl_text.replace("readwrite backstage/1/home/kpn", "readwrite backstage/1/home/someone")
    broker.reload()
    async with running(broker.bus_config("kpn"), LINK) as kpn:
        error = await kpn.trouble("the broker accepts the login but not the topic")
        assert "ACL" in error.hint
        assert BusChanged(connected=True) not in kpn.events


async def test_nobody_writes_for_another_and_the_observer_only_reads(broker: Broker) -> None:
    async with running(broker.bus_config("firewall"), LINK) as fw:
        await fw.connected()
        for user, node in (("odido", "kpn"), ("observer", "kpn"), ("observer", "observer"), ("observer", "firewall")):
            async with raw(broker, user) as somebody:
                await say(somebody, node, "uplink/link", '{"carrier":true,"mtu":1500}')
        async with raw(broker, "odido") as odido:
            await say(odido, "odido", "uplink/link", '{"carrier":true,"mtu":1500}')
        await fw.heard("odido", "uplink/link")
        assert fw.newest("kpn", "uplink/link") is None
        assert fw.newest("observer", "uplink/link") is None
    anonymous = client.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5)
    with pytest.raises(aiomqtt.MqttError, match="ot authorized"):
        await anonymous.__aenter__()
    anonymous.drop()


async def test_two_agents_of_one_name_do_not_fight(broker: Broker) -> None:
    config = broker.bus_config("kpn")
    async with running(config, LINK) as first, running(config, replace(LINK, mtu=1400)) as second:
        waits = {asyncio.create_task(agent.trouble("another agent uses the name 'kpn'")) for agent in (first, second)}
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        error = done.pop().result()
        assert error.cause is Cause.TWIN
        assert "ROUTER_NODE" in error.hint
        assert broker.log.count("as home-kpn") <= 8


async def test_who_speaks_in_our_name_is_not_answered_for_ever(broker: Broker) -> None:
    async with running(broker.bus_config("kpn"), LINK) as kpn, raw(broker, "kpn", name="twin") as twin:
        await kpn.connected()
        for n in range(20):
            await say(twin, "kpn", "state", f'{{"state":"ready","session":"twin{n}"}}')
        error = await kpn.trouble("another agent uses the name 'kpn'")
        assert error.cause is Cause.TWIN


@pytest.fixture
def absent() -> Iterator[Broker]:
    with mosquitto(started=False) as broker:
        yield broker


async def test_a_broker_that_is_mute_costs_no_descriptors(absent: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.drivers.bus.client.TIMEOUT", 0.05)
    connections = 0
    enough = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 5:
            enough.set()
        while await reader.read(100):
            pass
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", absent.port)
    async with server, running(absent.bus_config("kpn"), LINK) as kpn:
        async with asyncio.timeout(20):
            await enough.wait()
        error = await kpn.trouble("no connection to the broker")
        assert "timed out" in str(error)
        assert descriptors() < 40
        assert len(asyncio.all_tasks()) < 15


async def test_publish_never_waits(broker: Broker) -> None:
    async with running(broker.bus_config("kpn"), LINK) as kpn:
        await kpn.connected()
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            start = boottime()
            for n in range(100):
                await kpn.publish(PartStatus("nft", str(n)))
            assert boottime() - start < 0.5
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        async with running(broker.bus_config("firewall"), LINK) as fw:
            heard = await fw.heard("kpn", "status/nft")
            assert heard.fact == PartStatus("nft", "99")
