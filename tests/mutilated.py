"""What can happen to a file between two disks."""

from __future__ import annotations

import random


def mutilated(text: bytes, chance: random.Random) -> bytes:
    """A text after an accident or three."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.randint(0, 40))
        text = chance.choice(
            [
                text[:at],
                text[:at] + text[to:],
                text[:at] + text[at:to] * 2 + text[to:],
                text[:at] + bytes(chance.randrange(256) for _ in range(3)) + text[at:],
                text[:at]
                + chance.choice([b'"', b";", b"\n", b",", b"\t", b"\0", b"9"])
                + text[at:],
                bytes(
                    byte ^ (1 << chance.randrange(8)) if n == at else byte
                    for n, byte in enumerate(text)
                ),
            ]
        )
    return text
