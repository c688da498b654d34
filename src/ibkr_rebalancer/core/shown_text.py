"""Text of strangers as it may be shown: nothing in it commands a terminal, or turns the line it stands in. Pure."""

LAYOUT = "\n\t"
"""Control characters that are text."""
TURNING = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Code points that turn the direction of writing, of what stands around them too."""

UNSHOWN = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *TURNING]) | {ord(each): each for each in LAYOUT}


def shown_text(text: str) -> str:
    """The text without control characters, but for ends of lines and tabs."""
    return text.translate(UNSHOWN)
