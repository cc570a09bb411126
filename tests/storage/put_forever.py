"""Started by test_local_blobs.py: puts file after file until somebody kills it."""

import asyncio
import hashlib
import os
import sys
import uuid
from itertools import count
from pathlib import Path

from heliograph.storage import LocalBlobs, blob_key


async def main(root: Path, spool: Path) -> None:
    blobs = LocalBlobs(root)
    for number in count():
        data = os.urandom(300_000)
        key = blob_key(hashlib.sha256(data).hexdigest(), ".jpg")
        if number % 2:
            await blobs.put_bytes(data, key)
        else:
            # a file that is handed over is not written to again
            file = spool.with_name(uuid.uuid4().hex)
            await asyncio.to_thread(file.write_bytes, data)
            await blobs.put(file, key)
            file.unlink()
        sys.stdout.write(f"{key}\n")
        sys.stdout.flush()


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
