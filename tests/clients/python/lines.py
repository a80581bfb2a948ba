"""Speaks with the test that started this program: one JSON object a line, each way."""

import json
import sys
import threading

_lock = threading.Lock()


def tell(**event):
    """Tells the test that something happened."""
    with _lock:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def orders():
    """The test's orders, until it closes the pipe."""
    for line in sys.stdin:
        if line.strip():
            yield json.loads(line)


def lead_names(names, address):
    """Leads the host names of a cloud to `address`, as a changed DNS entry or hosts file would;
    the SDK stays as it is."""
    import socket

    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host in names:
            host, port = address
        return real(host, port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
