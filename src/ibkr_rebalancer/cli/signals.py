"""The signals that end a command: SIGTERM and SIGHUP take the way of Ctrl-C, under exit codes of their own."""

from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, Signals, getsignal, raise_signal, signal
from types import FrameType

ENDING = (SIGINT, SIGTERM, SIGHUP)


class Signalled:
    """Which signal has ended the command: Ctrl-C, unless another one came."""

    def __init__(self) -> None:
        self._number = SIGINT

    @property
    def exit_code(self) -> int:
        """The shell's convention; 130 for Ctrl-C."""
        return 128 + self._number

    @property
    def is_other(self) -> bool:
        """Whether it was not Ctrl-C, with which one also leaves a command that goes on for ever."""
        return self._number is not SIGINT

    def listen(self) -> None:
        """Let the others interrupt whatever is done, as Ctrl-C does: the terminal is left as it was found, and somebody
        says what was sent. Those that are ignored stay ignored; commands that trade meet all of them in their own way.
        """
        for number in (SIGTERM, SIGHUP):
            if getsignal(number) is not SIG_IGN:
                signal(number, self._interrupt)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        self._number = Signals(number)
        _press_ctrl_c()


def meet_as_ctrl_c() -> None:
    """Let the others be Ctrl-C itself from now on, with its exit code: they are how the command is meant to end."""
    for number in (SIGTERM, SIGHUP):
        if getsignal(number) is not SIG_IGN:
            signal(number, lambda *_: _press_ctrl_c())


def _press_ctrl_c() -> None:
    if getsignal(SIGINT) is SIG_IGN:  # as in the background of a script
        raise KeyboardInterrupt
    raise_signal(SIGINT)


def ignore_signals() -> None:
    """All is done and said; what is left is the interpreter's own end."""
    for number in ENDING:
        signal(number, SIG_IGN)
