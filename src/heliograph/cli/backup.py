"""`heliograph backup` and `heliograph restore`.

Invariant: a backup can be made at any time, while a gateway runs; a restore never writes into a
library that is there.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from heliograph.cli.ask import Flag
from heliograph.cli.screen import note, print_json, print_lines, size_text
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.server.backup import Backup, back_up
from heliograph.server.restoring import restore as restore_library
from heliograph.server.secrets import PEPPER, secrets_folder
from heliograph.settings import load_settings

DAMAGED = 1  # exit code
SHOWN = 10  # damaged files that are named

Json = Annotated[Flag, Parameter()]


def backup(
    folder: Path,
    /,
    *,
    secrets: Flag = False,
    verify: Flag = False,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Add a backup to a folder, while everything goes on. Only new files are copied.

    Put the folder on another disk, or copy it to another machine. A database on a Postgres server
    is backed up there, with pg_dump.

    Args:
        folder: Folder of all backups; made when it is not there.
        secrets: Copy the gateway's own secrets, too. Without them keys must be made anew after a
            restore, unless you keep a copy of that folder elsewhere.
        verify: Read everything that earlier backups have copied again, and check its SHA-256.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    where = folder.absolute()

    async def work(client: AsyncHeliograph) -> tuple[Backup, Path]:
        made = await back_up(client, where, secrets=secrets, verify=verify)
        return made, secrets_folder(client.settings)

    made, own = run_with(open_library(home), work)
    if json:
        print_json(asdict(made))
        return 0
    new = f"{made.copied} of them new ({size_text(made.bytes)})"
    print_lines([f"{made.name}: {made.files} files, {new}, {made.revoked} revoked keys"])
    for name in made.unreadable:
        note(f"The manifest of the backup {name} cannot be read; that one cannot be restored.")
    if secrets and not made.has_secrets:
        note(f"The gateway has no secrets in {own} yet; there was nothing to copy.")
    elif not made.has_secrets and (own / PEPPER).exists():
        note(f"The gateway's secrets in {own} are not in it; keep a copy apart, or add --secrets.")
    return 0


def restore(
    folder: Path,
    /,
    *,
    name: str | None = None,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Make a library from a backup. The home folder must be empty, or not be there yet.

    Every file is checked against its SHA-256. Pictures and costs that later backups in the folder
    know are added, and keys that were ever revoked stay revoked.

    Args:
        folder: Folder that `heliograph backup` wrote into.
        name: Which backup. Default: the newest.
        json: Print as JSON.
        home: Folder of the new library of originals.
    """
    settings = load_settings(home=home)
    done = asyncio.run(
        restore_library(
            folder.absolute(),
            settings.home.absolute(),
            name=name,
            revocations=[secrets_folder(settings)],
        )
    )
    code = DAMAGED if done.damaged or done.findings else 0
    if json:
        print_json(asdict(done))
        return code
    later = f"{done.later} records that were made later"
    print_lines([f"{done.name} is restored to {done.home}: {done.files} files, {later}"])
    for place in done.damaged[:SHOWN]:
        note(f"damaged or missing: {place}")
    if len(done.damaged) > SHOWN:
        note(f"and {len(done.damaged) - SHOWN} more")
    for finding in done.findings:
        note(f"does not add up: {finding}")
    own = secrets_folder(settings).absolute()
    if done.keys and not (own / PEPPER).exists():
        found = f"Those of the backup are in {done.home}/server. " if done.has_secrets else ""
        note(
            f"The gateway's secrets are not in {own}; without them it gives 401 to all keys made "
            f"before: {done.keys}. {found}Put a copy there before it starts."
        )
    return code
