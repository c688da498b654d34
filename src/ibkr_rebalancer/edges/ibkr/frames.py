"""Watch the gateway's bytes for frames: a length, then that many bytes. Anything else is another program's talk."""

MAX_FRAME = 0xFFFFFF
"""Bytes; the official client refuses longer frames too."""


class NotFramesError(ValueError):
    """The bytes are not the gateway's protocol."""


class Frames:
    """Where in the byte stream the next frame begins. Keeps no frame, and so no memory."""

    def __init__(self) -> None:
        self._length = b""
        self._left = 0
        """Bytes of the present frame that are still to come."""

    def feed(self, data: bytes) -> None:
        """Follow the stream over `data`.

        Raises:
            NotFramesError: where a frame should begin stands an impossible length.
        """
        while data:
            if self._left:
                self._left, data = max(self._left - len(data), 0), data[self._left :]
                continue
            missing = 4 - len(self._length)
            self._length, data = self._length + data[:missing], data[missing:]
            if len(self._length) == 4:
                self._left = _checked(self._length)
                self._length = b""


def _checked(prefix: bytes) -> int:
    length = int.from_bytes(prefix)
    if not 0 < length <= MAX_FRAME:
        raise NotFramesError(f"{prefix!r} is the length of no frame")
    return length
