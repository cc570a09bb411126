"""Crest lines: the broken outline of a ridge, a cliff, a bank of snow.

Invariant: a crest runs from left to right and keeps the points it was given.
"""

import random
from itertools import pairwise

from heliograph.emulator.painting.drawing import Point


def crumple(
    start: Point, end: Point, roll: random.Random, *, rough: float, least: float
) -> list[Point]:
    """The points between two ends, `end` left out, broken by midpoint displacement."""
    span = end[0] - start[0]
    if abs(span) <= least:
        return [start]
    middle = (
        (start[0] + end[0]) / 2 + roll.uniform(-0.1, 0.1) * span,
        (start[1] + end[1]) / 2 + roll.gauss(0, 1) * rough * abs(span),
    )
    return [
        *crumple(start, middle, roll, rough=rough, least=least),
        *crumple(middle, end, roll, rough=rough, least=least),
    ]


def crest(controls: list[Point], roll: random.Random, *, rough: float, least: float) -> list[Point]:
    """A whole broken line through its control points."""
    points: list[Point] = []
    for start, end in pairwise(controls):
        points += crumple(start, end, roll, rough=rough, least=least)
    return [*points, controls[-1]]


def swell(controls: list[Point], steps: int = 10) -> list[Point]:
    """A smooth line through control points (Catmull-Rom): hills, dunes, banks."""
    padded = [controls[0], *controls, controls[-1]]
    points: list[Point] = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for index in range(steps):
            t = index / steps
            points.append((_spline(a[0], b[0], c[0], d[0], t), _spline(a[1], b[1], c[1], d[1], t)))
    return [*points, controls[-1]]


def height_at(line: list[Point], x: float) -> float:
    """The row of a left-to-right line at a column."""
    for start, end in pairwise(line):
        if start[0] <= x <= end[0]:
            share = (x - start[0]) / max(1e-6, end[0] - start[0])
            return start[1] + (end[1] - start[1]) * share
    return line[0][1] if x < line[0][0] else line[-1][1]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
