"""The server's end of a connection: a client that falls silent in the middle of a request, or of its answer, is gone.

gunicorn waits for the rest of a request for as long as it takes. A phone that loses its network says nothing, so its
thread would wait for ever, and a few such phones would hold all threads of a searcher.
"""

import errno
import socket
import struct
from typing import Any, Self

SILENCE_S = 15.0
"""Without another byte. A photo on a slow line keeps coming, however long all of it takes."""


class ClientSocket(socket.socket):
    """Raises ConnectionResetError, which servers know, where nothing moved for `silence_s`. The kernel keeps the time, so
    that it costs a request nothing, and only while the socket blocks."""

    @classmethod
    def of(cls, accepted: socket.socket, silence_s: float = SILENCE_S) -> Self:
        """In the place of a socket that was accepted, which is no more to be used."""
        client = cls(fileno=accepted.detach())
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            client.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", int(silence_s), int(silence_s % 1 * 1e6)))
        return client

    def recv(self, *arguments: Any) -> bytes:
        try:
            return super().recv(*arguments)
        except BlockingIOError as error:
            raise self._meaning(error) from None

    def sendall(self, *arguments: Any) -> None:
        try:
            super().sendall(*arguments)
        except BlockingIOError as error:
            raise self._meaning(error) from None

    def _meaning(self, error: BlockingIOError) -> OSError:
        """Of one that does not block: that nothing is there yet."""
        if self.gettimeout() is not None:
            return error
        return ConnectionResetError(errno.ECONNRESET, "the client fell silent")
