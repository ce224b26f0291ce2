"""mosquitto.conf and its ACL (mosquitto.conf(5))."""

from __future__ import annotations

from agent.desired import ConfigFile
from agent.desired.broker import MosquittoAcl, MosquittoConfig

# A document is at most 64 KiB; a packet adds its topic and properties.
MAX_PACKET = 70000
OBSERVER = "observer"
# What a docker host says, all of it.
HOST_TOPICS = ("state", "info", "containers")


def render_mosquitto(config: MosquittoConfig) -> ConfigFile:
    """Give mosquitto.conf. It names no user and no password: those are in `passwd`, hashed, beside it."""
    lines = [
        "# The backstage bus. Generated: changes are overwritten.",
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {config.etc}/passwd",
        f"acl_file {config.etc}/acl",
        "",
        f"listener {config.port} {config.host}",
    ]
    if config.tls is not None:
        lines += [
            f"certfile {config.tls.cert_file}",
            f"keyfile {config.tls.key_file}",
            "tls_version tlsv1.2",
        ]
    if config.strangers:
        # Else a docker host ends any other node's connection by taking its client id.
        lines.append("use_username_as_clientid true")
    lines += [
        # Without it a packet may wait 40 ms for the acknowledgement of the one before.
        "set_tcp_nodelay true",
        f"max_connections {config.connections}",
        f"max_packet_size {MAX_PACKET}",
        "max_inflight_messages 100",
        "max_queued_messages 1000",
        "persistent_client_expiration 1h",
        "",
        # Facts of nodes that are away survive a restart of the broker; the others send theirs again anyway.
        "persistence true",
        f"persistence_location {config.state}/",
        "autosave_interval 300",
        "",
        f"user {config.user}",
        "sys_interval 0",
        "log_dest stdout",
        "log_timestamp false",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
    ]
    text = "\n".join(lines) + "\n"
    return ConfigFile("mosquitto/mosquitto.conf", text, service="mosquitto", reload="restart")


def render_mosquitto_acl(acl: MosquittoAcl) -> ConfigFile:
    """Give the ACL: a user is a node and writes below its own name alone; nodes and `observer` read the site.

    A docker host is another machine: it has its own three topics, by name, and can neither fill the broker nor read.
    """
    root = f"backstage/1/{acl.site}"
    lines = ["# A user is a node. Generated: changes are overwritten.", f"user {OBSERVER}"]
    # A pattern holds for every user; a topic that is denied comes first.
    lines += [f"topic deny {root}/{OBSERVER}/#", f"topic read {root}/#"]
    for node in acl.nodes:
        lines += ["", f"user {node}", f"topic readwrite {root}/{node}/#", f"topic read {root}/#"]
    if acl.hosts:
        lines += ["", *(f"pattern readwrite {root}/%u/{topic}" for topic in HOST_TOPICS)]
    return ConfigFile("mosquitto/acl", "\n".join(lines) + "\n", service="mosquitto", reload="HUP")
