"""A worker that misbehaves as its argument says, for the pool's tests.

Without a flag file it misbehaves always; with one (second argument), only until the file exists.
"""

import json
import sys
import time
from pathlib import Path

INTACT = {"intact": True, "defect": None, "pixels": [1, 1], "pages": 1}


def main(how: str, flag: Path | None) -> None:
    print("ready", flush=True)
    for raw in sys.stdin:
        job = json.loads(raw)
        well = flag is not None and flag.exists()
        if flag is not None:
            flag.touch()
        if not well:
            misbehave(how, job)
        print(json.dumps({"id": job["id"], "inspection": INTACT}), flush=True)


def misbehave(how: str, job: dict[str, int]) -> None:
    if how == "hang":
        time.sleep(600)
    if how == "die":
        sys.exit("decoder: corrupted size vs. prev_size")
    if how == "garble":
        print("this is no JSON", flush=True)
    if how == "list":
        print("[]", flush=True)
    if how == "out of turn":
        print(json.dumps({"id": job["id"] + 7, "inspection": INTACT}), flush=True)
    if how == "flood":
        print("x" * 1_000_000, flush=True)


main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
