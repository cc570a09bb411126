"""Started by test_cabinet_processes.py: adds `count` numbers to one card, whoever else does so too.

Every number is said once it is in.
"""

import asyncio
import sys
from pathlib import Path

from heliograph.errors import CardChanged
from heliograph.storage import Storage, open_storage


async def add(storage: Storage, number: str) -> None:
    while True:
        before = await storage.cabinet.card("cast", "all")
        have = [] if before is None else before.body["numbers"]
        version = 0 if before is None else before.version
        try:
            await storage.cabinet.put("cast", "all", {"numbers": [*have, number]}, version=version)
        except CardChanged:
            continue
        return


async def main(root: Path, name: str, count: int) -> None:
    storage = open_storage(root)
    await asyncio.to_thread(sys.stdin.readline)  # until the other process is ready as well
    for number in range(count):
        await add(storage, f"{name}{number}")
        sys.stdout.write(f"{name}{number}\n")
        sys.stdout.flush()
    await storage.close()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
