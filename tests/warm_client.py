"""Run a program in a process of the server of `warm`, and end as it ends: ``warm_client.py ADDRESS PROGRAM ...``.

Signals go on to the program. Python starts it without `site`, in a fiftieth of a second.
"""

import json
import os
import signal
import socket
import sys

SIZE = 8
"""Bytes of each number between client and server: the length of the request; the process; its exit code."""


def main(address: str, words: list[str]) -> int:
    """Send the request, wait: the exit code."""
    passed_on = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # until there is a process to pass them on to
    request = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [len(request).to_bytes(SIZE)], [0, 1, 2])
        server.sendall(request)
        program = int.from_bytes(server.recv(SIZE))
        for number in passed_on:
            signal.signal(number, lambda number, _: os.kill(program, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
        code = int.from_bytes(server.recv(SIZE), signed=True)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
