"""The restore drill: a backup under load, everything deleted, and all of it there again."""

import asyncio
import json
import shutil
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.waiting import until

from heliograph import AsyncHeliograph
from heliograph.accounts import ApiKey, Role, User, digest, key_id, new_id, new_key
from heliograph.errors import (
    ConfigurationError,
    OutcomeUnknown,
    PolicyBlocked,
    RecordNotFound,
    StorageError,
    WouldOverwrite,
)
from heliograph.journal import OPEN, Stage
from heliograph.prompts.collection import Collection
from heliograph.prompts.template import read_template
from heliograph.server.backup import back_up, backups, read_manifest
from heliograph.server.restoring import restore
from heliograph.server.revocations import NAME, add_revoked, read_revoked
from heliograph.storage import Condition
from heliograph.types import Outcome

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


def library(home: Path, *options: str) -> AsyncHeliograph:
    return AsyncHeliograph(home=home, simulate=True, emulator_options=("--tiny", *options))


def here(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def spent(client: AsyncHeliograph) -> int:
    return sum(row.micro for row in await client.costs("month"))


async def a_key(client: AsyncHeliograph) -> str:
    accounts = (await client.store()).accounts
    user = await accounts.user_named("anna")
    if user is None:
        user = User(id=new_id(), name="anna", role=Role.MEMBER, created=NOW, changed=NOW)
        await accounts.add_user(user)
    text = new_key()
    name = key_id(text)
    assert name is not None
    await accounts.add_key(
        ApiKey(id=name, user=user.id, name="k", digest=digest(text, b"p"), scopes=(), created=NOW)
    )
    return name


async def test_restore_drill_under_load(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home, "--latency", "0.4") as client:
        await client.set_budget("month", "50")
        await client.access()

        async def make(number: int) -> None:
            tag = "[[fault:cut-json]] " if number == 0 else ""
            try:
                await client.generate(f"{tag}Lighthouse {number}", size="1K")
            except OutcomeUnknown:
                assert tag

        numbers, stop = count(), asyncio.Event()

        async def go_on() -> None:
            while not stop.is_set():
                await make(next(numbers))
                await asyncio.sleep(0.3)  # a slow machine makes hundreds, and not thousands

        async def is_between(kept: int) -> bool:
            """So many are there, and others under way."""
            there = len(await client.images(limit=1000)) >= kept
            return there and bool(await client.calls(stages=OPEN))

        await make(next(numbers))  # in doubt from here on
        jobs = asyncio.gather(*(go_on() for _ in range(3)))
        made = []
        for kept in (3, 7, 12):
            await until(partial(is_between, kept))
            made.append(await back_up(client, folder))
        stop.set()
        await jobs
        doubtful = [call for call in await client.calls(limit=1000) if call.stage.is_doubtful]
        assert len(doubtful) == 1
        await client.resolve(doubtful[0].id, 77)
        made.append(await back_up(client, folder))
        total, records = await spent(client), await client.images(limit=1000)
        files = await client.verify()
    assert [b.name for b in made] == list(backups(folder))
    assert 0 < made[0].files < made[-1].files
    assert made[-1].copied < made[-1].files  # the rest was there
    shutil.rmtree(home)

    # the first backup was made in the middle of calls, and the files know how they ended
    found = await restore(folder, home, name=made[0].name)
    assert found.findings == ()
    assert found.damaged == ()
    assert found.later > 0
    async with library(home) as client:
        assert await spent(client) == total
        assert await client.audit() == ()
        assert [r.id for r in await client.images(limit=1000)] == [r.id for r in records]
        checks = await client.verify()
        assert {c.key for c in checks} == {c.key for c in files}
        assert {c.condition for c in checks} == {Condition.INTACT}
        calls = await client.calls(limit=1000)
        assert not [call for call in calls if call.stage.is_doubtful or call.stage.is_open]
        assert await client.budgets() == {"month": 50_000_000}
        assert all(b.reserved == b.held == 0 for b in await client.balances())


async def test_only_what_is_new_is_copied(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        await client.generate("A fox", size="1K")
        first = await back_up(client, folder)
        again = await back_up(client, folder, verify=True)
        original = await client.original((await client.images())[0])
    assert first.copied == first.files > 0
    assert (again.copied, again.files) == (0, first.files)
    copy = next((folder / "originals").rglob(original.name))
    assert copy.stat().st_ino != original.stat().st_ino
    assert oct((folder / "backups").stat().st_mode & 0o77) == "0o0"


async def test_a_damaged_file_stops_a_backup_that_looks(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        result = await client.generate("A fox", size="1K")
        await back_up(client, folder)
        copy = next((folder / "originals").rglob(result.path.name))
        copy.chmod(0o600)
        copy.write_bytes(b"x" * copy.stat().st_size)
        with pytest.raises(StorageError, match="damaged"):
            await back_up(client, folder, verify=True)
        assert len(backups(folder)) == 1
        assert not list((folder / "backups").glob(".*"))
    found = await restore(folder, tmp_path / "new")
    assert [place.rpartition("/")[2] for place in found.damaged] == [result.path.name]


async def test_a_damaged_original_is_never_backed_up(tmp_path: Path) -> None:
    async with library(tmp_path / "home") as client:
        result = await client.generate("A fox", size="1K")
        result.path.chmod(0o600)
        result.path.write_bytes(b"not a picture")
        with pytest.raises(StorageError, match="damaged"):
            await back_up(client, tmp_path / "backups")
    assert backups(tmp_path / "backups") == ()


async def test_a_library_that_is_there_is_never_written(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        await back_up(client, folder)
    before = here(tmp_path)
    with pytest.raises(WouldOverwrite):
        await restore(folder, home)
    with pytest.raises(RecordNotFound):
        await restore(folder, tmp_path / "new", name="2020-01-01T000000Z-000000")
    with pytest.raises(RecordNotFound):
        await restore(tmp_path / "nothing", tmp_path / "new")
    assert here(tmp_path) == before
    (tmp_path / "new").mkdir()
    await restore(folder, tmp_path / "new")
    assert (tmp_path / "new" / "library-id").read_text() == (home / "library-id").read_text()


async def test_a_damaged_database_is_not_restored(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        made = await back_up(client, folder)
    copy = folder / "backups" / made.name / "heliograph.db"
    data = bytearray(copy.read_bytes())
    data[5000] ^= 1
    copy.write_bytes(data)
    with pytest.raises(StorageError, match="nothing was restored"):
        await restore(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    manifest = folder / "backups" / made.name / "manifest.json"
    manifest.write_text("{")
    with pytest.raises(StorageError, match="manifest"):
        await restore(folder, tmp_path / "new")


async def test_revoked_keys_stay_revoked(tmp_path: Path) -> None:
    """S100."""
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        accounts = (await client.store()).accounts
        early, late, good = [await a_key(client) for _ in range(3)]
        first = await back_up(client, folder)
        await accounts.revoke_key(early, NOW)
        await back_up(client, folder)
        await accounts.revoke_key(late, NOW)
        add_revoked(tmp_path / "secrets", {late: NOW})
    shutil.rmtree(home)
    # `late` was revoked after the last backup; the list beside the secrets knows
    found = await restore(folder, home, name=first.name, revocations=[tmp_path / "secrets"])
    assert found.revoked == 2
    async with library(home) as client:
        keys = {key.id: key.revoked for key in await (await client.store()).accounts.keys()}
    assert keys == {early: NOW, late: NOW, good: None}
    assert set(read_revoked(home / "server")) == {early, late}


async def test_prompts_and_word_lists_come_along(tmp_path: Path) -> None:
    home, folder, new = tmp_path / "home", tmp_path / "backups", tmp_path / "new"
    document = {"prompt": "A harbour, ${light}", "variables": {"light": {"default": "at dusk"}}}
    async with library(home) as client:
        await client.store()
        saved = Collection(home).save(read_template(document, name="harbour", origin="test"))
        (home / "wildcards" / "sky").mkdir(parents=True)
        (home / "wildcards" / "sky" / "colours.txt").write_text("red\nblue\n")
        (home / "prompts" / ".heliograph-1").write_text("on its way to its name")
        made = await back_up(client, folder)
    saved.write_text(saved.read_text() + "# changed after the backup\n")
    await restore(folder, new, name=made.name)
    assert Collection(new).find("harbour").text == "A harbour, ${light}"
    assert len(Collection(new).lists.entries("sky/colours")) == 2
    assert here(new / "prompts") == [new / "prompts" / "harbour.toml"]
    assert "changed" not in (new / "prompts" / "harbour.toml").read_text()


NO_MANIFESTS = [
    "",
    "[]",
    "{}",
    '{"format": 1, "own": {}}',
    '{"format": 1, "files": {}}',
    '{"format": 1, "own": [], "files": {}}',
    '{"format": 1, "own": {}, "files": {"originals/a": "b"}}',
    '{"format": 1, "own": {}, "files": {"originals/a": {"size": "1", "sha256": "b"}}}',
    '{"format": 1, "own": {"../a": {"size": 1, "sha256": "b"}}, "files": {}}',
    '{"format": 1, "own": {"/a": {"size": 1, "sha256": "b"}}, "files": {}}',
    '{"format": 99, "own": {}, "files": {}}',
]


async def test_a_damaged_manifest_is_in_the_way_of_no_other_backup(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        await client.generate("A fox", size="1K")
        first, second = await back_up(client, folder), await back_up(client, folder)
        for number, text in enumerate(NO_MANIFESTS):
            (folder / "backups" / second.name / "manifest.json").write_text(text)
            with pytest.raises(StorageError):
                await restore(folder, tmp_path / "no", name=second.name)
            assert not (tmp_path / "no").exists()
            # all but one of them are whole, so that the next one goes past it
            third = await back_up(client, folder, verify=True)
            assert (third.copied, third.files) == (0, first.files)
            assert third.unreadable == (second.name,)
            found = await restore(folder, tmp_path / str(number), name=third.name)
            assert (found.damaged, found.findings) == ((), ())
            shutil.rmtree(folder / "backups" / third.name)


async def test_secrets_come_along_only_when_asked_for(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        await client.store()
        (home / "server").mkdir(mode=0o700)
        (home / "server" / "pepper").write_text("pepper-of-this-gateway")
        without = await back_up(client, folder)
        assert "pepper-of-this" not in "".join(
            p.read_text(errors="replace") for p in folder.rglob("*") if p.is_file()
        )
        with_them = await back_up(client, folder, secrets=True)
        await a_key(client)
        last = await back_up(client, folder)
    assert (without.has_secrets, with_them.has_secrets) == (False, True)
    restored = await restore(folder, tmp_path / "new", name=with_them.name)
    assert (restored.has_secrets, restored.keys) == (True, 0)
    kept = tmp_path / "new" / "server" / "pepper"
    assert kept.read_text() == "pepper-of-this-gateway"
    assert kept.stat().st_mode & 0o77 == 0
    restored = await restore(folder, tmp_path / "bare", name=last.name)
    assert (restored.has_secrets, restored.keys) == (False, 1)
    assert not (tmp_path / "bare" / "server" / "pepper").exists()


async def test_what_is_not_there_is_not_called_a_copy_of_the_secrets(tmp_path: Path) -> None:
    async with library(tmp_path / "home") as client:
        # the first one leaves a list of revoked keys where the secrets will be
        made = [await back_up(client, tmp_path / "backups", secrets=True) for _ in range(2)]
    assert [each.has_secrets for each in made] == [False, False]
    assert not (await restore(tmp_path / "backups", tmp_path / "new")).has_secrets


async def test_a_database_on_a_server_is_backed_up_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://user:hunter2@db.invalid/helio"
    client = AsyncHeliograph(home=tmp_path / "home", settings={"database_url": url})
    with pytest.raises(ConfigurationError, match="on a server") as caught:
        await back_up(client, tmp_path / "backups")
    assert "pg_dump" in str(caught.value.remedy)
    assert "hunter2" not in json.dumps(caught.value.as_dict())


KILLED = """
import asyncio, sys
from pathlib import Path
from heliograph import AsyncHeliograph
from heliograph.journal import OPEN, Stage
from heliograph.server.backup import back_up
async def main():
    async with AsyncHeliograph(home=sys.argv[1], simulate=True) as client:
        await client.store()
        print("ready", flush=True)
        while True:
            await back_up(client, Path(sys.argv[2]))
asyncio.run(main())
"""


async def test_a_killed_backup_is_absent_or_whole(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home) as client:
        for number in range(3):
            await client.generate(f"A fox {number}", size="1K")
        total = await spent(client)
    for delay in (0.005, 0.02, 0.05):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, str(home), str(folder)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        await asyncio.sleep(delay)
        process.kill()
        await process.wait()
    async with library(home) as client:
        assert await client.audit() == ()
        await back_up(client, folder)
    for name in backups(folder):
        read_manifest(folder, name)
        new = tmp_path / name
        found = await restore(folder, new, name=name)
        assert (found.findings, found.damaged) == ((), ())
        with sqlite3.connect(new / "heliograph.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        async with library(new) as client:
            assert await spent(client) == total


async def test_a_failure_that_was_not_charged_ends_as_it_ended(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home, "--latency", "1.5") as client:
        asked = client.generate("[[fault:prompt-blocked]] A fox", size="1K")
        blocked = asyncio.ensure_future(asked)

        async def is_sent() -> bool:
            return blocked.done() or bool(await client.calls(stages=(Stage.SENT,)))

        await until(is_sent)
        first = await back_up(client, folder)
        with pytest.raises(PolicyBlocked):
            await blocked
        await back_up(client, folder)
        outcomes = [record.outcome for record in await client.images()]
    assert outcomes == [Outcome.REFUSED]
    found = await restore(folder, tmp_path / "new", name=first.name)
    assert found.findings == ()
    async with library(tmp_path / "new") as client:
        assert [record.outcome for record in await client.images()] == outcomes
        assert await spent(client) == 0


@pytest.mark.parametrize("billed", ["unknown", "nothing", "77"])
async def test_a_call_that_became_unknown_ends_as_it_ended(tmp_path: Path, billed: str) -> None:
    home, folder = tmp_path / "home", tmp_path / "backups"
    async with library(home, "--latency", "1.5") as client:
        asked = asyncio.ensure_future(client.generate("[[fault:cut-json]] A fox", size="1K"))

        async def is_sent() -> bool:
            return asked.done() or bool(await client.calls(stages=(Stage.SENT,)))

        await until(is_sent)
        first = await back_up(client, folder)
        with pytest.raises(OutcomeUnknown):
            await asked
        (call,) = await client.calls()
        if billed != "unknown":
            await client.resolve(call.id, 77 if billed == "77" else None)
        await back_up(client, folder)
        (call,), total = await client.calls(), await spent(client)
        images = await client.images()
    found = await restore(folder, tmp_path / "new", name=first.name)
    assert found.findings == ()
    async with library(tmp_path / "new") as client:
        (after,) = await client.calls()
        assert after.stage is call.stage
        assert await client.images() == images
        assert await spent(client) == total == (77 if billed == "77" else 0)
        assert sum(b.held for b in await client.balances() if b.scope == "total") == (
            call.reserved if billed == "unknown" else 0
        )


# ------------------------------------------------------------ the list of revoked keys

ids = st.text("0123456789abcXYZ", min_size=8, max_size=8)
moments = st.integers(0, 10**8).map(lambda s: NOW + timedelta(seconds=s))


@given(st.lists(st.dictionaries(ids, moments, max_size=4), max_size=4))
def test_the_list_only_grows(
    tmp_path_factory: pytest.TempPathFactory, added: list[dict[str, datetime]]
) -> None:
    folder = tmp_path_factory.mktemp("secrets")
    expected: dict[str, datetime] = {}
    for some in added:
        add_revoked(folder, some)
        expected = {**some, **expected}
        assert read_revoked(folder) == expected


def test_a_damaged_list_is_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{}\n")
    with pytest.raises(StorageError):
        read_revoked(tmp_path)
    with pytest.raises(StorageError):
        add_revoked(tmp_path, {"abcdefgh": NOW})
    (tmp_path / NAME).unlink()
    assert read_revoked(tmp_path) == {}
