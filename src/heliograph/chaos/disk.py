"""What a disk may hold after the power fails: a model of files, folders and what was flushed.

    flushed file     the bytes it had at its last fsync
    flushed folder   the names it had at its last fsync
    everything else  may be there, may be gone, may be there by half

Pure. Invariant: what was flushed is in every image; nothing is in an image that was never written.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

TOP = "."


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One name in the tree at one moment."""

    inode: int
    content: str | None  # digest of the bytes; None for a folder


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The tree as it really was at one moment, and what of it was flushed by then."""

    at: float  # seconds since 1970
    before: str  # what was about to happen
    tree: Mapping[str, Entry]  # by path below the library, folders included
    flushed: Mapping[int, str]  # digests of flushed files, by inode
    names: Mapping[int, Mapping[str, int]]  # flushed names of folders, by inode: name → inode
    database: Mapping[str, str]  # digests of the database's own files, by name


@dataclass(frozen=True, kw_only=True)
class Image:
    """What is found after the power is back."""

    files: Mapping[str, str]  # digests by path
    folders: tuple[str, ...]
    torn: tuple[str, ...] = ()  # paths of which only the first half is there
    wal_keeps: int | None = None  # bytes of the write-ahead log that are there; None is all

    @property
    def name(self) -> str:
        """The same for the same content."""
        parts = [*sorted(self.files.items()), *self.folders, *self.torn, self.wal_keeps]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(kw_only=True)
class Recording:
    """All frames of one run, and the bytes behind the digests."""

    frames: list[Frame] = field(default_factory=list)
    bytes_of: dict[str, bytes] = field(default_factory=dict)

    def keep(self, data: bytes) -> str:
        """Remember some bytes; returns their digest."""
        digest = hashlib.sha256(data).hexdigest()
        self.bytes_of.setdefault(digest, data)
        return digest


@dataclass(frozen=True, kw_only=True)
class Loss:
    """An image, and the moments at which the power may have failed so that it is found."""

    image: Image
    how: str  # "kept", "dropped", "torn", "torn log"
    before: str  # what was about to happen
    first: float  # seconds since 1970
    last: float


WAL = "heliograph.db-wal"
KEPT = "kept"


def losses(recording: Recording, *, kills: int = 1) -> Sequence[Loss]:
    """Every image that a power failure during the recording may leave, each once.

    Args:
        kills: of the images of which nothing is lost, which a mere kill leaves as well, only
            every so manieth.
    """
    found: dict[str, Loss] = {}
    previous: Frame | None = None
    for number, frame in enumerate(recording.frames):
        for how, image, at in _images(recording, previous, frame):
            if how == KEPT and number % kills:
                continue
            known = found.get(image.name)
            found[image.name] = Loss(
                image=image,
                how=known.how if known else how,
                before=known.before if known else frame.before,
                first=known.first if known else at,
                last=at,
            )
        previous = frame
    return tuple(found.values())


def _images(
    recording: Recording, previous: Frame | None, frame: Frame
) -> Iterator[tuple[str, Image, float]]:
    yield KEPT, _kept(frame), frame.at
    yield "dropped", _dropped(frame), frame.at
    yield "torn", _torn(frame), frame.at
    if previous is None:
        return
    old = recording.bytes_of.get(previous.database.get(WAL, ""), b"")
    new = recording.bytes_of.get(frame.database.get(WAL, ""), b"")
    if len(new) > len(old) and new.startswith(old[: len(old)]):
        # the failure came while the log was being written, so upstream knows no more than before
        half = _kept(previous)
        files = {**half.files, WAL: frame.database[WAL]}
        cut = len(old) + (len(new) - len(old)) // 2
        image = Image(files=files, folders=half.folders, wal_keeps=cut)
        yield "torn log", image, previous.at


def _kept(frame: Frame) -> Image:
    """Everything that was written is there, as after a mere kill."""
    files = {path: e.content for path, e in frame.tree.items() if e.content is not None}
    folders = tuple(sorted(path for path, e in frame.tree.items() if e.content is None))
    return Image(files={**files, **frame.database}, folders=folders)


def _torn(frame: Frame) -> Image:
    """Names are there; bytes that were not flushed only by half."""
    kept = _kept(frame)
    torn = [
        path
        for path, entry in frame.tree.items()
        if entry.content is not None and frame.flushed.get(entry.inode) != entry.content
    ]
    return Image(files=kept.files, folders=kept.folders, torn=tuple(sorted(torn)))


def _dropped(frame: Frame) -> Image:
    """Only what was flushed is there: names of flushed folders, bytes of flushed files."""
    files: dict[str, str] = {}
    folders: list[str] = []
    contents = {e.inode: e.content for e in frame.tree.values()}
    top = frame.tree[TOP].inode

    def walk(inode: int, path: PurePosixPath) -> None:
        for name, child in frame.names.get(inode, {}).items():
            below = path / name
            if child in frame.names or (child in contents and contents[child] is None):
                folders.append(str(below))
                walk(child, below)
            else:
                files[str(below)] = frame.flushed.get(child, EMPTY)

    folders.append(TOP)
    walk(top, PurePosixPath())
    return Image(files={**files, **frame.database}, folders=tuple(sorted(folders)))


EMPTY = hashlib.sha256(b"").hexdigest()


def lay_out(recording: Recording, image: Image) -> Iterator[tuple[str, bytes]]:
    """Paths and bytes of an image's files."""
    for path, digest in image.files.items():
        data = b"" if digest == EMPTY else recording.bytes_of[digest]
        if path in image.torn:
            data = data[: len(data) // 2]
        if path == WAL and image.wal_keeps is not None:
            data = data[: image.wal_keeps]
        yield path, data
