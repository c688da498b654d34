"""What counts as a yes, and where anybody is asked at all."""

import asyncio
import os
import pty
import sys
from collections.abc import Iterator

import pytest

from ibkr_rebalancer.cli.asking import confirmed, is_anybody_there


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; what is written to the descriptor is typed."""
    near, far = pty.openpty()
    with os.fdopen(far) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield near
    os.close(near)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("y\n", True),
        ("yes\n", True),
        (" Y \n", True),
        ("n\n", False),
        ("\n", False),
        ("yep\n", False),
        ("1\n", False),
        ("ÿ\n", False),
        ("\x04", False),
    ],
)
async def test_only_a_yes_is_one(keyboard: int, capsys: pytest.CaptureFixture[str], typed: str, expected: bool) -> None:
    asked = asyncio.ensure_future(confirmed("Send?"))
    await asyncio.sleep(0)
    assert capsys.readouterr().err == "Send? [y/N] "
    os.write(keyboard, typed.encode())
    assert await asked is expected
    assert capsys.readouterr().err == ("\n" if typed == "\x04" else "")


async def test_what_was_typed_before_the_question_is_no_answer(keyboard: int) -> None:
    os.write(keyboard, b"y\n")
    asked = asyncio.ensure_future(confirmed("Send?"))
    await asyncio.sleep(0)
    os.write(keyboard, b"n\n")
    assert await asked is False


async def test_a_question_can_be_given_up(keyboard: int, capsys: pytest.CaptureFixture[str]) -> None:
    asked = asyncio.ensure_future(confirmed("Send?"))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert capsys.readouterr().err == "Send? [y/N] \n"
    os.write(keyboard, b"y\n")
    assert sys.stdin.readline() == "y\n"


def test_somebody_is_there_who_sees_the_question_and_can_answer(keyboard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_anybody_there()
    with os.fdopen(os.dup(sys.stdin.fileno()), "w") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        assert is_anybody_there()
        with open(os.devnull) as nothing:  # noqa: PTH123 (as a shell redirects it)
            monkeypatch.setattr(sys, "stdin", nothing)
            assert not is_anybody_there()
    os.write(keyboard, b"")
