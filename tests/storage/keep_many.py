"""Started by test_processes.py: keeps `count` calls in the data folder `root`, naming each id.

Two of them with the same `name` keep the same records, word for word.
"""

import asyncio
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

from heliograph.storage import blob_key, keep, open_storage, record_from_json

SAMPLE = Path(__file__).with_name("record_v1.json")


async def main(root: Path, name: str, count: int) -> None:
    sample, (line,) = record_from_json(await asyncio.to_thread(SAMPLE.read_bytes))
    storage = open_storage(root)
    for number in range(count):
        record_id = f"{name}-{number:05}"
        data = record_id.encode() * 20_000
        sha = hashlib.sha256(data).hexdigest()
        key = blob_key(sha, ".jpg")
        image = replace(sample.images[0], sha256=sha, key=key, size=len(data), signature_key=None)
        record = replace(sample, id=record_id, images=(image,))
        lines = [replace(line, entry_id=f"{record_id}-settle", record_id=record_id)]
        spooled = storage.spool / f"{record_id}.{id(storage)}"
        await asyncio.to_thread(spooled.write_bytes, data)
        files = {key: spooled}
        await keep(record, lines, blobs=storage.blobs, books=storage.books, files=files)
        sys.stdout.write(f"{record_id}\n")
        sys.stdout.flush()
    await storage.close()


asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
