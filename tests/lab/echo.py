"""An echo server that tells who asked: `python3 -I -S echo.py PORT/tcp PORT/udp …`. Standard library only.

UDP: every datagram comes back with a line feed and the source address it came from behind it. TCP: the server says
"ADDRESS\\n" first, then returns what it gets. It answers from the address it was asked at. "ready" on standard output.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
import threading

IP_PKTINFO = 8
SO_RCVBUFFORCE = 33
PKTINFO = {socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO), socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)}
RECEIVE = {socket.AF_INET: IP_PKTINFO, socket.AF_INET6: socket.IPV6_RECVPKTINFO}


def _answer_udp(server: socket.socket) -> None:
    data, ancillary, _, source = server.recvmsg(65535, 64)
    level, kind = PKTINFO[socket.AddressFamily(server.family)]
    control = []
    for *_, value in ancillary:
        if server.family == socket.AF_INET:
            _, _, destination = struct.unpack("=i4s4s", value)
            control = [(level, kind, struct.pack("=i4s4s", 0, destination, bytes(4)))]
        else:
            control = [(level, kind, value)]
    try:
        server.sendmsg([data + b"\n" + source[0].encode()], control, 0, source)
    except OSError as error:  # no way back: the asker waits in vain, as on the internet
        print(f"udp to {source[0]}: {error}", flush=True)


def _answer_tcp(server: socket.socket) -> None:
    connection, peer = server.accept()
    threading.Thread(target=_converse, args=(connection, peer[0]), daemon=True).start()


def _converse(connection: socket.socket, peer: str) -> None:
    with connection:
        try:
            connection.sendall(f"{peer}\n".encode())
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError as error:
            print(f"tcp with {peer}: {error}", flush=True)


def main(words: list[str]) -> None:
    """Serve until killed."""
    selector = selectors.DefaultSelector()
    for word in words:
        port, _, protocol = word.partition("/")
        for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            server = socket.socket(family, socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((everywhere, int(port)))
            if protocol == "udp":
                server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # a busy machine is no lossy network
                server.setsockopt(PKTINFO[family][0], RECEIVE[family], 1)
                selector.register(server, selectors.EVENT_READ, _answer_udp)
            else:
                server.listen(64)
                selector.register(server, selectors.EVENT_READ, _answer_tcp)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj)


if __name__ == "__main__":
    main(sys.argv[1:])
