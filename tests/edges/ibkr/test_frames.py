from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr_rebalancer.edges.ibkr.frames import MAX_FRAME, Frames, NotFramesError

payloads = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


@given(payloads, st.lists(st.integers(0, 400), max_size=12))
def test_frames_pass_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(framed(body) for body in bodies)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    frames = Frames()
    for begin, end in pairwise(places):
        frames.feed(stream[begin:end])


@given(payloads, st.integers(1, 9))
def test_an_impossible_length_is_noticed_after_any_frames(bodies: list[bytes], step: int) -> None:
    stream = b"".join(framed(body) for body in bodies) + b"HTTP/1.1 400 Bad Request"
    frames = Frames()
    pieces = [stream[begin : begin + step] for begin in range(0, len(stream), step)]
    with pytest.raises(NotFramesError):
        deque(map(frames.feed, pieces), maxlen=0)


@pytest.mark.parametrize(("length", "possible"), [(0, False), (1, True), (MAX_FRAME, True), (MAX_FRAME + 1, False)])
def test_the_lengths_that_are_possible(length: int, possible: bool) -> None:
    frames = Frames()
    if possible:
        frames.feed(length.to_bytes(4))
    else:
        with pytest.raises(NotFramesError):
            frames.feed(length.to_bytes(4))
