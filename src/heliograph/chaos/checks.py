"""Small named questions that rows ask of their evidence, beyond counts and ledgers.

Each takes the evidence and yields what is wrong. Invariant: a check that finds nothing to look at
complains; silence always means that something was seen and was right.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from heliograph.chaos.bill import BillLine
from heliograph.chaos.evidence import Evidence
from heliograph.chaos.row import KEPT, Check
from heliograph.journal import Stage

UNLIKE = ("downgraded", "ratio_mismatch")  # verdicts that are a warning
SLACK = 1.0  # seconds that a busy machine may add to a wait


def gaps(lines: Iterable[BillLine]) -> list[float]:
    """Seconds between calls that follow one another."""
    times = sorted(line.arrived for line in lines)
    return [after - before for before, after in pairwise(times)]


def waited(least: float, most: float) -> Check:
    """Each repeat came so long after the call before, and never earlier."""

    def check(seen: Evidence) -> Iterator[str]:
        found = gaps(seen.bill)
        told = [float(e.facts["wait"]) for e in seen.events if e.name == "retrying"]
        if not found or not told:
            yield "there was no second call"
        for gap in found:
            if not least <= gap <= most + SLACK + seen.lag:
                yield f"the next call came after {gap:.2f} s, not after {least} to {most} s"
        for wait in told:
            if not least <= wait <= most:
                yield f"a wait of {wait:.2f} s was chosen, not of {least} to {most} s"

    return check


def waits_told(least: float, most: float) -> Check:
    """Every wait that was chosen, where many go on at once."""

    def check(seen: Evidence) -> Iterator[str]:
        told = [float(e.facts["wait"]) for e in seen.events if e.name == "retrying"]
        if not told or len(told) < len(seen.ended):
            yield f"{len(told)} waits for {len(seen.ended)} requests"
        for wait in told:
            if not least <= wait <= most:
                yield f"a wait of {wait:.2f} s was chosen, not of {least} to {most} s"
        for ended in seen.ended:
            if ended.seconds < least:
                yield f"a caller was answered after {ended.seconds:.2f} s already"

    return check


def ended_within(least: float, most: float) -> Check:
    """Every caller waited so long."""

    def check(seen: Evidence) -> Iterator[str]:
        for ended in seen.ended:
            if not least <= ended.seconds <= most + seen.lag:
                yield f"the caller waited {ended.seconds:.2f} s, not {least} to {most} s"
        if not seen.ended:
            yield "nobody asked"

    return check


def answered_soon(seconds: float) -> Check:
    """The caller heard of it so soon after the upstream's last byte."""

    def check(seen: Evidence) -> Iterator[str]:
        ends = [line.last_byte for line in seen.bill if line.last_byte is not None]
        if not ends or not seen.ended:
            yield "there is no answer to compare with"
            return
        last = seen.ended[-1]
        late = last.began + last.seconds - max(ends)
        if late > seconds + seen.lag:
            yield f"the caller heard of it {late:.2f} s after the upstream's last byte"

    return check


def told_to_wait(seconds: float) -> Check:
    """The error says when to come back."""

    def check(seen: Evidence) -> Iterator[str]:
        if not seen.ended:
            yield "nobody asked"
        for ended in seen.ended:
            if ended.retry_after is None or ended.retry_after < seconds:
                yield f"retry_after is {ended.retry_after}, not {seconds}"

    return check


def charged(word: str) -> Check:
    """Every error says whether it was charged."""

    def check(seen: Evidence) -> Iterator[str]:
        errors = [ended for ended in seen.ended if ended.code != KEPT]
        if not errors:
            yield "there was no error"
        for ended in errors:
            if ended.charged != word:
                yield f"the error says charged: {ended.charged}, not {word}"

    return check


def stages(*wanted: Stage) -> Check:
    """Where the calls ended, in the order in which they began."""

    def check(seen: Evidence) -> Iterator[str]:
        found = [call.stage for call in sorted(seen.ours.calls, key=lambda c: c.begun)]
        if found != list(wanted):
            words = ", ".join(stage.value for stage in found)
            yield f"calls ended {words or 'nowhere'}, not {', '.join(s.value for s in wanted)}"

    return check


def verdict(word: str) -> Check:
    """What was said of the pixels."""

    def check(seen: Evidence) -> Iterator[str]:
        found = [record.verdict.value for record in seen.ours.records if record.verdict]
        if word not in found:
            yield f"the verdict is {', '.join(found) or 'missing'}, not {word}"

    return check


def warned(seen: Evidence) -> Iterator[str]:
    """The image came with a warning; where a face has no words for it, it stands in the record."""
    told = any(ended.warnings or ended.verdict in UNLIKE for ended in seen.ended)
    kept = any(record.warnings for record in seen.ours.records)
    if not told and not (kept and any(ended.face for ended in seen.ended)):
        yield "nobody was warned"


def kept_format(name: str) -> Check:
    """What the stored file is, whatever it was declared as: type, ending and bytes agree."""

    def check(seen: Evidence) -> Iterator[str]:
        images = [image for record in seen.ours.records for image in record.images]
        if not images:
            yield "no image is kept"
        for image in images:
            ending = {"jpeg": ".jpg"}.get(name, f".{name}")
            if (image.format, image.media_type) != (name, f"image/{name}"):
                yield f"the image is kept as {image.format}, {image.media_type}"
            if not image.key.endswith(ending):
                yield f"the image is kept as {image.key}"

    return check


def quarantined(seen: Evidence) -> Iterator[str]:
    """What was paid for and is no image lies in quarantine, and nowhere else."""
    folders = list((seen.home / "quarantine").glob("*/*"))
    if not folders:
        yield "nothing lies in quarantine"
    if any(record.images for record in seen.ours.records):
        yield "an image was kept all the same"


def images_kept(count: int) -> Check:
    """So many images of the answer are kept, drafts left out."""

    def check(seen: Evidence) -> Iterator[str]:
        roles = Counter(image.role.value for record in seen.ours.records for image in record.images)
        found = roles["result"] + roles["extra"]
        if found != count or roles["result"] != 1:
            yield f"kept are {dict(roles)}, not {count} with one result"

    return check


def keys_nowhere(seen: Evidence) -> Iterator[str]:
    """No key stands in an error or in any file of the library."""
    mark = b"emu-project-"
    for ended in seen.ended:
        if mark.decode() in ended.words:
            yield "the error names the key"
    looked_into = 0
    for place, _, names in os.walk(seen.home):  # a gateway may go on working in it
        for path in (Path(place, name) for name in names):
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                looked_into += 1
                if mark in data:
                    yield f"the key stands in {path.relative_to(seen.home)}"
    if not looked_into:
        yield "there is no library to look into"


def nothing_negative(seen: Evidence) -> Iterator[str]:
    """Settled amounts are not below zero, nor above what a call can cost."""
    settled = [line for line in seen.ours.lines if line.kind == "settle"]
    if not settled:
        yield "nothing was settled"
    for line in settled:
        if not 0 <= line.micro <= 10_000_000:
            yield f"{line.entry_id} settles {line.micro} micro-dollars"


def no_tail(seen: Evidence) -> Iterator[str]:
    """What is kept ends where the picture ends."""
    blobs = list((seen.home / "originals").rglob("*.jpg"))
    if not blobs:
        yield "no image is kept"
    for path in blobs:
        if not path.read_bytes().endswith(b"\xff\xd9"):
            yield f"{path.name} goes on behind the end of its picture"


def no_bin_holds_more_than(percent: int, milliseconds: int) -> Check:
    """Second attempts are spread: no stretch of time holds more than a share of them.

    A machine that is busy or stood still lets out at once what had fallen due meanwhile. Then the
    moments that were drawn must be spread so, nothing may have come before its own, and either
    nothing long after its own or no stretch may hold more than twice the share.
    """

    def check(seen: Evidence) -> Iterator[str]:
        seconds = [line.arrived for line in seen.bill if line.status == 200]
        if len(seconds) < 100:
            yield f"only {len(seconds)} second attempts"
            return
        fullest = _fullest_bin(seconds, milliseconds)
        if fullest * 100 <= percent * len(seconds):
            return
        drawn = _drawn(seen)
        delays = [at - due for at, due in zip(sorted(seconds), drawn, strict=False)]
        is_spread = (
            len(drawn) == len(seconds)
            and _fullest_bin(drawn, milliseconds) * 100 <= percent * len(drawn)
            and min(delays, default=0.0) >= 0
        )
        is_blurred = (
            fullest * 100 <= 2 * percent * len(seconds)
            or max(delays, default=0.0) <= SLACK + seen.lag
        )
        if not is_spread or not is_blurred:
            yield f"{fullest} of {len(seconds)} second attempts came within {milliseconds} ms"

    return check


def _drawn(seen: Evidence) -> list[float]:
    """When repeats were to be made, as their clients drew it, sorted; seconds since 1970."""
    begun = min((ended.began for ended in seen.ended), default=0.0)
    waits = [e for e in seen.events if e.name == "retrying" and e.facts.get("wait")]
    return sorted(begun + event.at + event.facts["wait"] for event in waits)


def _fullest_bin(seconds: Sequence[float], milliseconds: int) -> int:
    first = min(seconds)
    bins = Counter(int((at - first) * 1000) // milliseconds for at in seconds)
    return max(bins.values())


def mostly_kept(percent: int) -> Check:
    """So many of those who asked got their image."""

    def check(seen: Evidence) -> Iterator[str]:
        kept = sum(ended.code == KEPT for ended in seen.ended)
        if not seen.ended or kept * 100 < percent * len(seen.ended):
            yield f"{kept} of {len(seen.ended)} got an image, not {percent} %"

    return check


def calls_per_request(hundredths: int) -> Check:
    """The upstream was asked at most so many times for each request."""

    def check(seen: Evidence) -> Iterator[str]:
        if not seen.ended:
            yield "nobody asked"
        elif len(seen.bill) * 100 > hundredths * len(seen.ended):
            yield f"{len(seen.bill)} calls for {len(seen.ended)} requests"

    return check


def share_of_a_bad_project(seen: Evidence) -> Iterator[str]:
    """Once the bad project is known to be bad, at most 2 % of the calls go there."""
    bad = [line for line in seen.bill if line.status == 503]
    if not bad:
        yield "no call went to the bad project"
        return
    later = [line for line in seen.bill if line.arrived > bad[0].arrived]
    share = sum(line.status == 503 for line in later)
    if share * 50 > len(later):
        yield f"{share} of {len(later)} later calls went to the bad project"
