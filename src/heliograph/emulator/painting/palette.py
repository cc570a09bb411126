"""The moods a picture can be painted in.

Invariant: every palette has the same roles, so any scene can wear any palette.
"""

from dataclasses import dataclass

from heliograph.emulator.painting.colour import Colour, parse


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colours by role."""

    name: str
    """The mood, one word."""
    sky: tuple[Colour, ...]
    """From the top of the sky to the horizon."""
    sun: Colour
    """The disc of the sun or the moon."""
    glow: Colour
    """The light around the sun, and on what it touches."""
    cloud: Colour
    """Clouds where the light falls."""
    shade: Colour
    """Clouds in shadow."""
    far: Colour
    """The most distant land."""
    near: Colour
    """The nearest land."""
    ground: Colour
    """The foreground, almost a silhouette."""
    accent: Colour
    """One strong colour: a boat, a fruit, a door."""
    lamp: Colour
    """Lit windows."""
    stars: float = 0.0
    """How starry, 0 to 1."""
    moon: bool = False
    """Whether the disc is the moon."""


def _palette(name: str, sky: str, rest: str, *, stars: float = 0.0, moon: bool = False) -> Palette:
    parts = [parse("#" + code) for code in (*sky.split(), *rest.split())]
    return Palette(
        name=name,
        sky=tuple(parts[:4]),
        sun=parts[4],
        glow=parts[5],
        cloud=parts[6],
        shade=parts[7],
        far=parts[8],
        near=parts[9],
        ground=parts[10],
        accent=parts[11],
        lamp=parts[12],
        stars=stars,
        moon=moon,
    )


# Name; sky ×4; sun, glow, cloud, shade, far, near, ground, accent, lamp
_ROWS = (
    _palette(
        "golden",
        "2d4f78 7f93a3 efbd80 ffdca2",
        "fff6dd ffb45a ffe6bd 9a8792 c69a80 43313a 191216 d9582b ffd27a",
    ),
    _palette(
        "sunset",
        "1d2150 6a3172 dd5a56 ffb765",
        "fff0c8 ff8a4a ff9f7a 5c3a6c a8607a 2c1a38 140b1b ff5a3c ffc766",
        stars=0.15,
    ),
    _palette(
        "dawn",
        "5f83b4 a9b6d6 f2c9c9 ffeada",
        "fff8ea ffc9a8 ffe9e0 a3a2c4 b4b5cf 414c6c 20273a e0726a ffdf9a",
    ),
    _palette(
        "night",
        "050a1d 0c1c3d 1c3761 3a5c8c",
        "f6f2e2 8fb2e0 3d5b86 14264a 2f4d78 0c1730 04070f d98c4a ffd98a",
        stars=1.0,
        moon=True,
    ),
    _palette(
        "neon",
        "0a0722 22114e 5d1b78 d8458f",
        "ffd9f2 ff4fb0 8a3fa6 22124a 4a2b80 170d38 080418 19e3ff ff8ad8",
        stars=0.4,
        moon=True,
    ),
    _palette(
        "winter",
        "86aed4 b5cfe6 dbe8f2 f6f3ee",
        "fffaf0 ffe3c0 ffffff b7c8da b3c6da 4c6379 1f2d3b c8493c ffd98f",
    ),
    _palette(
        "forest",
        "8fb9b0 b9d3bd e0e6c6 f8f2d6",
        "fffbe6 f7e39a f7f6e6 a9c2b2 a4c0aa 23402f 0d1c16 d9772b ffe08a",
    ),
    _palette(
        "desert",
        "3f7fa8 93b8c0 f0d2a2 fce4ba",
        "fff7e0 ffc26b fff0d8 c9b3a0 dba877 96502c 47241a c8452b ffd27a",
    ),
    _palette(
        "ocean",
        "1d69ab 5ba3d4 abd6ea e8f4f2",
        "fffbe8 fff0c0 ffffff a9c4d8 8bb6c8 23566d 0c2836 e8563c ffe09a",
    ),
    _palette(
        "autumn",
        "7499b4 bcc6c4 f3d8a8 fce6bd",
        "fff6dc ffc470 fff2dc b09a92 cf9f73 7b3317 2b1410 d9481c ffd27a",
    ),
    _palette(
        "day",
        "2b70c0 68a4de b7d8ef ecf4f4",
        "fffdf0 fff2c8 ffffff b4c4d6 93b2ca 2f5146 142820 d8452e ffe6a0",
    ),
    _palette(
        "storm",
        "232b36 414c59 747f88 b6b4ad",
        "e9e4d6 d9cdb0 a9afb3 3b4550 77828c 2b343c 11161b c8893c ffd98a",
    ),
    _palette(
        "blossom",
        "86aedd c4d2ea f6d2de fdf0ea",
        "fffaf2 ffd2d0 fff6f6 c9b6ce c4b4d0 5a496c 2a2036 e8708f ffe2b0",
    ),
    _palette(
        "mono",
        "4a4a4a 8a8a8a c6c6c6 ececec",
        "ffffff f2f2f2 fafafa 8e8e8e adadad 383838 121212 5a5a5a ffffff",
    ),
)

PALETTES = {palette.name: palette for palette in _ROWS}

EVERYDAY = ("golden", "sunset", "dawn", "day", "ocean", "blossom")
"""What a prompt that names no mood may get, by seed."""
