"""Questions to a person: asked where one sees them, and answered by nobody else."""

import asyncio
import os
import sys
import termios

from ibkr_rebalancer.cli.output import conversation


def is_anybody_there() -> bool:
    """Whether a question would be seen and could be answered."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def confirmed(question: str) -> bool:
    """Whether the answer is yes: Enter, the end of input and every other word mean no.

    What was typed before the question is no answer to it.
    """
    console = conversation()
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
    console.print(f"{question} [y/N] ", end="")
    answer = ""
    try:
        answer = await _typed_line()
    finally:
        if not answer.endswith("\n"):
            console.print()
    return answer.strip().lower() in {"y", "yes"}


def unseen(question: str) -> str:
    """What is typed until Enter, without a trace of it on the screen; what was typed before is no answer."""
    console, shown = conversation(), termios.tcgetattr(sys.stdin)
    hidden = [*shown[:3], shown[3] & ~termios.ECHO, *shown[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, hidden)
    try:
        console.print(f"{question}: ", end="")
        return sys.stdin.readline().strip()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, shown)
        console.print()


async def _typed_line() -> str:
    """What the terminal hands over with Enter; nothing else of the program has to wait for it."""
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, typed.set)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return os.read(sys.stdin.fileno(), 4096).decode(errors="replace")
