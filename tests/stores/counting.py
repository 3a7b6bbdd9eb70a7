"""A port before a server that counts the bytes in both directions, with the headers.

It can delay each request, as a distant server does. As a program (``counting.py PORT``) it prints
its own port. Each line of its input is the delay of the following requests in seconds; its answer
is the number of bytes since the last line.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator

__all__ = ["Counter", "counting"]

_PIECE = 1 << 16


class Counter:
    """Takes connections on a free port of loopback, and passes their bytes on.

    Attributes:
        moved: The number of bytes that were passed on.
        wait: The delay of each request, in seconds.
    """

    def __init__(self, behind: int) -> None:
        """Listen.

        Args:
            behind: The port of the server.
        """
        self.wait = 0.0
        self.moved = 0
        self._behind = behind
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        """The port for clients."""
        port: int = self._listening.getsockname()[1]
        return port

    def serve(self) -> None:
        """Take connections until ``close``; then close them all."""
        threads: list[threading.Thread] = []
        opened: list[socket.socket] = []
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._behind))
                opened += [near, far]
                answered = threading.Event()
                answered.set()
                for ends in ((near, far, answered, False), (far, near, answered, True)):
                    threads.append(threading.Thread(target=self._hand_on, args=ends))
                    threads[-1].start()
        for each in opened:
            with contextlib.suppress(OSError):  # the other side may have closed it
                each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for each in opened:
            each.close()
        self._listening.close()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):  # it wakes the thread that waits in accept
            self._listening.shutdown(socket.SHUT_RDWR)

    def _hand_on(
        self,
        source: socket.socket,
        target: socket.socket,
        answered: threading.Event,
        answers: bool,  # noqa: FBT001 - the arguments of a thread
    ) -> None:
        """Pass on the bytes of one side; bytes after an answer are a new request."""
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                with self._lock:
                    self.moved += len(piece)
                if answers:
                    answered.set()
                elif answered.is_set():
                    answered.clear()
                    time.sleep(self.wait)
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def counting(behind: int) -> Iterator[Counter]:
    """Yield a counter that serves.

    Args:
        behind: The port of the server.
    """
    counter = Counter(behind)
    thread = threading.Thread(target=counter.serve)
    thread.start()
    try:
        yield counter
    finally:
        counter.close()
        thread.join()


def main(behind: str) -> None:
    """Serve until the input ends."""
    with counting(int(behind)) as counter:
        print(counter.port, flush=True)  # noqa: T201 - the parent reads it
        for line in sys.stdin:
            counter.wait = float(line)
            moved, counter.moved = counter.moved, 0
            print(moved, flush=True)  # noqa: T201 - likewise


if __name__ == "__main__":
    main(*sys.argv[1:])
