"""Colours as plain triples, and the few things done to them.

Invariant: a colour is three floats from 0 to 255, sRGB.
"""

Colour = tuple[float, float, float]

WHITE: Colour = (255.0, 255.0, 255.0)
BLACK: Colour = (0.0, 0.0, 0.0)


def parse(text: str) -> Colour:
    """The colour written as six hex digits after a '#'."""
    return (float(int(text[1:3], 16)), float(int(text[3:5], 16)), float(int(text[5:7], 16)))


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`one` moved towards `other` by a share from 0 to 1."""
    return (
        one[0] + (other[0] - one[0]) * share,
        one[1] + (other[1] - one[1]) * share,
        one[2] + (other[2] - one[2]) * share,
    )


def css(colour: Colour) -> str:
    """The colour as SVG reads it."""
    return "#{:02x}{:02x}{:02x}".format(*(max(0, min(255, round(part))) for part in colour))


def along(stops: list[tuple[float, Colour]], position: float) -> Colour:
    """The colour at a position of a gradient whose stops are in order."""
    previous = stops[0]
    for stop in stops:
        if position <= stop[0]:
            span = stop[0] - previous[0]
            share = (position - previous[0]) / span if span > 0 else 0.0
            return mix(previous[1], stop[1], max(0.0, share))
        previous = stop
    return stops[-1][1]
