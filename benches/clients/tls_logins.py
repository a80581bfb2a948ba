"""Logs in over TLS, one login for each line of standard input: client id, user, password.

    tls_logins.py PORT VERSION full|ticket

With tickets, each lane shows the ticket of its last connection; its first login has none.
"""

import socket
import ssl
import struct
import sys
import threading

LANES = 8


def field(text):
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def connect_packet(client_id, user, password):
    body = field("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", 1200)
    body += field(client_id) + field(user) + field(password)
    length, head = len(body), b"\x10"
    while True:
        length, digit = divmod(length, 128)
        head += bytes([digit | (0x80 if length else 0)])
        if not length:
            return head + body


def lane(port, context, tickets, lines, failures):
    session, resumed = None, 0
    for line in lines:
        with socket.create_connection(("127.0.0.1", port)) as tcp:
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(tcp, session=session) as tls:
                tls.sendall(connect_packet(*line.rstrip("\n").split("\t")))
                if tls.recv(4) != b"\x20\x02\x00\x00":
                    failures.append("no welcome")
                resumed += tls.session_reused
                if tickets:
                    session = tls.session
    if tickets and resumed < len(lines) - 1:
        failures.append(f"only {resumed} of {len(lines)} logins took a session up again")


def main():
    port, version, how = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = wanted
    lines, failures = sys.stdin.readlines(), []
    lanes = [
        threading.Thread(target=lane, args=(port, context, how == "ticket", lines[n::LANES], failures))
        for n in range(LANES)
    ]
    for one in lanes:
        one.start()
    for one in lanes:
        one.join()
    if failures:
        sys.exit(failures[0])


main()
