"""aiomqtt's client as we need it: MQTT 5, a will, quick to notice a broken connection, and without leftovers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import aiomqtt
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent import wire
from agent.drivers.bus.settings import BusConfig, BusError, Cause

KEEPALIVE = 10
"""Seconds; a node that vanishes without a word is known to the broker after one and a half of it."""
WILL_DELAY = 5
SESSION_EXPIRY = 60
CONNECT_TIMEOUT = 3.0
TIMEOUT = 5.0
MAX_PASSWORD = 65535
"""Bytes (MQTT 5 section 3.1.3.6)."""
# A broken path is noticed by unanswered data after this long (milliseconds), not by the kernel's fifteen minutes.
_USER_TIMEOUT = 10_000
_SOCKET = (
    # Without it an acknowledgement may wait 40 ms for the next packet.
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT),
)


class Client(aiomqtt.Client):
    """One connection; never used again. A connection needs a new client: aiomqtt's state does not survive a failure."""

    def _on_disconnect(
        self,
        client: Paho,
        userdata: Any,
        flags: DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        # aiomqtt waits for its whole timeout when the broker closes before it has answered: a broker that is just
        # stopping would cost seconds.
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("closed by the broker before it answered"))
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def drop(self) -> None:
        """Close what a failed connection left open: aiomqtt keeps socket, reader and task of a broker that is mute."""
        with contextlib.suppress(OSError, ValueError):
            self._client._sock_close()  # noqa: SLF001 -- paho has no other way to close without a word
        if self._misc_task is not None:
            self._misc_task.cancel()
        if self._connected.done() and not self._connected.cancelled():
            self._connected.exception()  # seen
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()


def make_client(config: BusConfig, will: bytes) -> Client:
    """Make the client of one connection; `will` is the payload of `state` when the connection breaks.

    Raises:
        BusError: a file of the configuration cannot be read.
    """
    try:
        password = config.password_file.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise BusError(
            f"cannot read the bus password: {_why(error)}",
            "make it with `routerctl secrets` and mount it where bus.password_file says",
            Cause.REFUSED,
        ) from None
    if len(password.encode()) > MAX_PASSWORD:
        raise BusError(
            f"the bus password in {config.password_file} is longer than {MAX_PASSWORD} bytes",
            "is it another file? bus.password_file holds the password alone",
            Cause.REFUSED,
        )
    topic = f"{wire.root(config.site)}/{config.node}/state"
    client = Client(
        config.host,
        config.port,
        identifier=f"{config.site}-{config.node}",
        username=config.node,
        password=password,
        protocol=aiomqtt.ProtocolVersion.V5,
        # A session that is taken up again takes its pending will back; a clean one would set it off.
        clean_start=False,
        properties=_properties(PacketTypes.CONNECT, SessionExpiryInterval=SESSION_EXPIRY),
        will=aiomqtt.Will(topic, will, 1, True, _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY)),
        keepalive=KEEPALIVE,
        timeout=TIMEOUT,
        tls_context=_tls(config),
        socket_options=_SOCKET,
    )
    client.pending_calls_threshold = wire.MAX_PAYLOAD
    client._client.connect_timeout = CONNECT_TIMEOUT  # noqa: SLF001 -- aiomqtt has no parameter for it
    return client


def check_cancelled() -> None:
    """Raise the cancellation that got lost: before Python 3.12 `asyncio.wait_for`, which aiomqtt uses, may lose one."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def publish_properties(expiry: int | None) -> Properties:
    """Give the properties of a message that expires after `expiry` seconds."""
    return _properties(PacketTypes.PUBLISH, **({} if expiry is None else {"MessageExpiryInterval": expiry}))


def expiry_of(message: aiomqtt.Message) -> int | None:
    """Give the seconds that are left of a message as it was received."""
    expiry = getattr(message.properties, "MessageExpiryInterval", None)
    return expiry if isinstance(expiry, int) else None


def twin_error(config: BusConfig) -> BusError:
    """Say that we are not the only one of our name."""
    return BusError(
        f"another agent uses the name {config.node!r} at the broker at {config.host} port {config.port}",
        "two containers run with one ROUTER_NODE, or a forgotten one still runs: stop one of them",
        Cause.TWIN,
    )


def explain(error: aiomqtt.MqttError, config: BusConfig) -> BusError:
    """Say what a failed connection means to a person."""
    where = f"{config.host} port {config.port}"
    match _code(error):
        case 0x86 | 0x87:
            return BusError(
                f"the broker at {where} refuses user {config.node!r}: wrong password or unknown user",
                f"the password of bus.password_file must be the one of {config.node!r} in bus.users_file",
                Cause.REFUSED,
            )
        case 0x8E:
            return twin_error(config)
        case 0x84:
            return BusError(f"the broker at {where} does not speak MQTT 5", "use one that does", Cause.REFUSED)
        case 0x80:  # what paho calls an end of the connection that nobody explained
            return BusError(f"no connection to the broker at {where}: it broke off")
    return BusError(f"no connection to the broker at {where}: {_text(error)}")


def _code(error: BaseException | None) -> int:
    """Give the MQTT 5 reason code of an error or of what it came from; aiomqtt wraps it."""
    while error is not None:
        if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
            return error.rc.value
        error = error.__cause__
    return 0


def _properties(packet: int, **values: int | bytes) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _tls(config: BusConfig) -> ssl.SSLContext | None:
    if config.tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(config.tls.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise BusError(f"cannot use bus.tls.ca_file: {_why(error)}", "", Cause.REFUSED) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _text(error: BaseException) -> str:
    return _text(error.__cause__) if error.__cause__ is not None else str(error) or type(error).__name__


def _why(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
