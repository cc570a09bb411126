"""Leases with real processes: who lives, who does not, and one name for a folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliograph.errors import StorageError
from heliograph.leases import Lease

WORKER = """
import sys
from pathlib import Path
from heliograph.leases import Lease
lease = Lease(Path(sys.argv[1]))
print(lease.owner, lease.library, flush=True)
sys.stdin.read()
lease.close()
"""


class Worker:
    """Another process with a place in the library, until its standard input ends."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.owner, self.library = self.process.stdout.readline().split()
        self.pid = self.process.pid

    def end(self, number: int | None = None) -> None:
        if number is None:
            self.process.communicate()
        else:
            self.process.send_signal(number)
            self.process.communicate()
        assert self.process.returncode == (0 if number is None else -number)


@contextmanager
def working(home: Path) -> Iterator[Worker]:
    worker = Worker(home)
    try:
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.end(signal.SIGKILL)


@contextmanager
def leased(home: Path) -> Iterator[Lease]:
    lease = Lease(home)
    try:
        yield lease
    finally:
        lease.close()


def left_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "running").iterdir())


CREW = """
import sys
from pathlib import Path
from heliograph.leases import Lease
for line in sys.stdin:
    home = Path(line.rstrip())
    lease = Lease(home)
    for _ in range(3):
        lease.others()
    print(lease.library, (home / "running" / lease.owner).exists(), flush=True)
"""


@pytest.fixture(scope="module")
def crew() -> Iterator[Callable[[Path], list[list[str]]]]:
    """Six processes that come to a library at the same moment, and what each finds there."""
    command = [sys.executable, "-c", CREW]
    pipe = subprocess.PIPE
    crew = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(6)]

    def come(home: Path) -> list[list[str]]:
        for one in crew:
            assert one.stdin is not None
            one.stdin.write(f"{home}\n")
        for one in crew:
            assert one.stdin is not None
            one.stdin.flush()
        return [one.stdout.readline().split() for one in crew if one.stdout is not None]

    yield come
    for one in crew:
        one.communicate()
        assert one.returncode == 0


# ---------------------------------------------------------------- who lives


def test_a_lease_is_seen_and_names_its_process(tmp_path: Path) -> None:
    with leased(tmp_path / "home") as lease:
        assert left_in(tmp_path / "home") == [lease.owner]
        path = tmp_path / "home" / "running" / lease.owner
        assert path.read_text() == str(os.getpid())
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert lease.owner in lease.living()
        assert "somebody" not in lease.living()
        assert lease.others() == ()
    assert left_in(tmp_path / "home") == []
    lease.close()


def test_two_leases_of_one_process_see_each_other(tmp_path: Path) -> None:
    with leased(tmp_path) as one, leased(tmp_path) as two:
        assert one.owner != two.owner
        assert one.library == two.library
        assert one.others() == two.others() == (os.getpid(),)
        assert two.owner in one.living()
    with leased(tmp_path) as three:
        assert one.owner not in three.living()


def test_other_processes_are_seen_until_they_leave(tmp_path: Path) -> None:
    with leased(tmp_path) as lease, working(tmp_path) as first, working(tmp_path) as second:
        assert sorted(lease.others()) == sorted([first.pid, second.pid])
        assert first.library == second.library == lease.library
        first.end()
        assert lease.others() == (second.pid,)
        assert first.owner not in lease.living()
        assert second.owner in lease.living()


def test_a_lease_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    with leased(tmp_path) as lease, working(tmp_path) as worker:
        worker.process.send_signal(signal.SIGSTOP)
        assert worker.owner in lease.living(), "a process that is stopped still lives"
        worker.end(signal.SIGKILL)
        assert left_in(tmp_path) == sorted([lease.owner, worker.owner])
        assert worker.owner not in lease.living()
        assert lease.others() == ()
        assert left_in(tmp_path) == [lease.owner], "what it left is cleared away"


def test_a_number_alone_is_not_believed(tmp_path: Path) -> None:
    with leased(tmp_path) as lease:
        # the number of a process that lives, in a file that nobody holds
        (tmp_path / "running" / "abc").write_text(str(os.getpid()))
        assert "abc" not in lease.living()
        assert lease.others() == ()
        assert left_in(tmp_path) == [lease.owner]


def test_a_lease_that_is_in_the_making_is_left_alone(tmp_path: Path) -> None:
    with leased(tmp_path) as lease:
        hidden = tmp_path / "running" / ".abc"
        hidden.write_text("")
        assert lease.others() == ()
        assert hidden.exists()


def test_a_lease_that_cannot_be_read_has_no_number(tmp_path: Path) -> None:
    with leased(tmp_path) as lease, working(tmp_path) as worker:
        (tmp_path / "running" / worker.owner).write_text("?")
        assert lease.others() == (0,)
        assert worker.owner in lease.living()


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    with leased(tmp_path) as lease:
        (tmp_path / "running" / "folder").mkdir()
        assert lease.others() == ()


def test_a_child_does_not_keep_the_place_of_a_parent_that_closed_it(tmp_path: Path) -> None:
    with leased(tmp_path) as lease:
        other = Lease(tmp_path)
        reader = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            other.close()
            assert other.owner not in lease.living()
        finally:
            reader.communicate(b"\n")


@pytest.mark.parametrize("place", ["home", "home/running", "home/library-id/x"])
def test_a_library_that_cannot_be_written_is_told(place: str, tmp_path: Path) -> None:
    blocker = tmp_path / place
    blocker.parent.mkdir(parents=True, exist_ok=True)
    blocker.write_text("no folder")
    with pytest.raises(StorageError, match="cannot be used") as caught:
        Lease(tmp_path / "home")
    assert isinstance(caught.value.__cause__, OSError)
    assert str(tmp_path / "home") in str(caught.value.remedy)


# ---------------------------------------------------------------- one name for a folder


def test_a_folder_keeps_its_name(tmp_path: Path) -> None:
    with leased(tmp_path) as lease:
        name = lease.library
        assert (tmp_path / "library-id").read_text() == name
        assert len(bytes.fromhex(name)) == 8
    with leased(tmp_path) as again, working(tmp_path) as worker:
        assert again.library == worker.library == name
    with leased(tmp_path / "other") as other:
        assert other.library != name


@pytest.mark.parametrize("left", ["", " \n"])
def test_a_name_that_was_never_written_is_made_anew(left: str, tmp_path: Path) -> None:
    (tmp_path / "library-id").write_text(left)
    with leased(tmp_path) as lease, leased(tmp_path) as other:
        assert len(lease.library) == 16
        assert lease.library == other.library == (tmp_path / "library-id").read_text().strip()


@pytest.mark.parametrize("is_torn", [False, True])
def test_all_who_come_first_agree_on_the_name(
    tmp_path: Path, crew: Callable[[Path], list[list[str]]], *, is_torn: bool
) -> None:
    for attempt in range(40):
        home = tmp_path / str(attempt)
        home.mkdir()
        if is_torn:
            (home / "library-id").touch()
        found = crew(home)
        assert found == [[(home / "library-id").read_text(), "True"]] * 6, (
            "and nobody was taken for dead"
        )
