"""What one 4K answer costs the machine: Heliograph against google-genai with Pillow.

    python -m bench.one_image [--json] [--answers 16]

Both receive the same recorded answers (about 28 MB each, from the emulator) from a replaying
server, verify that the picture is whole and as large as asked, hash it and store it.

    heliograph  the library as it is: tap, checks, decode in a worker, original, sidecar, ledger
    tutorial    google-genai in ordinary code, threads for several at once; the kindest way to
                store: `Image.open(...).load()`, size check, SHA-256, write the bytes as they are
    asyncio     the same with the SDK's asynchronous face
    as printed  the tutorial, saving with Pillow as PNG, as the samples on the web do

CPU is user plus system time of the process and its workers, per image, over sequential calls
after one warm-up. Memory is the highest proportional set size (PSS) of the process tree while
`answers` calls run at once. Only ratios from one run mean anything.
"""

import argparse
import asyncio
import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from bench.replaying import MODEL, PROMPT, record, start_replay

SIZE = (4096, 4096)
SEQUENTIAL = 6
VARIANTS = ("heliograph", "tutorial", "asyncio", "as printed")

Once = Callable[[int], Awaitable[None]]


# ---------------------------------------------------------------- what is measured


async def measure(variant: str, port: int, folder: Path, parallel: int) -> None:
    """Run one variant in this process and print its figures as JSON."""
    url = f"http://127.0.0.1:{port}"
    opened = _heliograph if variant == "heliograph" else _tutorial
    once, close = opened(url, folder, variant)
    await once(0)
    begun, before = time.monotonic(), _cpu_now()
    if parallel > 1:
        await asyncio.gather(*(once(n) for n in range(parallel)))
    else:
        for number in range(SEQUENTIAL):
            await once(number)
    wall, cpu = time.monotonic() - begun, _cpu_now() - before
    await close()
    images = parallel if parallel > 1 else SEQUENTIAL
    print(json.dumps({"cpu": cpu / images, "wall": wall / images}), flush=True)


def _cpu_now() -> float:
    """User and system seconds of this process and of its living children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for child in psutil.Process().children(recursive=True):
        times = child.cpu_times()
        total += times.user + times.system
    return total


def _heliograph(url: str, folder: Path, variant: str) -> tuple[Once, Callable[[], Awaitable[None]]]:
    from heliograph import AsyncHeliograph, Verdict

    helio = AsyncHeliograph(base_url=url, api_key="bench", home=folder / variant)

    async def once(number: int) -> None:
        result = await helio.generate(f"{PROMPT} {number}", size="4K")
        assert result.verdict is Verdict.VERIFIED

    return once, helio.close


def _tutorial(url: str, folder: Path, variant: str) -> tuple[Once, Callable[[], Awaitable[None]]]:
    from google import genai
    from google.genai import types
    from PIL import Image

    client = genai.Client(api_key="bench", http_options=types.HttpOptions(base_url=url))
    config = types.GenerateContentConfig(
        image_config=types.ImageConfig(aspect_ratio="1:1", image_size="4K")
    )
    threads = ThreadPoolExecutor(max_workers=64)

    def store(response: types.GenerateContentResponse, number: int) -> None:
        for part in response.parts or []:
            if not part.inline_data or not part.inline_data.data or part.thought:
                continue
            data = part.inline_data.data
            picture = Image.open(io.BytesIO(data))
            picture.load()
            assert picture.size == SIZE
            name = f"{hashlib.sha256(data).hexdigest()}-{number}"
            if variant == "as printed":
                picture.save(folder / f"{name}.png")
            else:
                (folder / f"{name}.jpg").write_bytes(data)

    def ordinary(number: int) -> None:
        response = client.models.generate_content(
            model=MODEL, contents=f"{PROMPT} {number}", config=config
        )
        store(response, number)

    async def in_a_thread(number: int) -> None:
        await asyncio.get_running_loop().run_in_executor(threads, ordinary, number)

    async def asynchronous(number: int) -> None:
        response = await client.aio.models.generate_content(
            model=MODEL, contents=f"{PROMPT} {number}", config=config
        )
        store(response, number)

    async def close() -> None:
        await client.aio.aclose()
        client.close()
        threads.shutdown()

    return (asynchronous if variant == "asyncio" else in_a_thread), close


# ---------------------------------------------------------------- the parent


def run_variant(variant: str, port: int, parallel: int) -> dict[str, float]:
    """One variant in a fresh process, its memory watched from outside."""
    with tempfile.TemporaryDirectory(prefix="heliograph-bench-") as folder:
        options = {"measure": variant, "port": port, "folder": folder, "parallel": parallel}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        child = subprocess.Popen(
            [sys.executable, "-m", "bench.one_image", *words], stdout=subprocess.PIPE, text=True
        )
        peak = _peak_memory(child)
        out, _ = child.communicate()
        if child.returncode:
            raise SystemExit(f"{variant} failed")
    figures: dict[str, float] = json.loads(out)
    return {**figures, "peak_mb": peak / 1e6}


def _peak_memory(child: "subprocess.Popen[str]") -> int:
    peak = 0
    process = psutil.Process(child.pid)
    while child.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(p.memory_full_info().pss for p in tree))
        except psutil.Error:
            pass  # a process left between listing and asking
        time.sleep(0.02)
    return peak


def compare(answers: int) -> dict[str, Any]:
    """All variants, one after another, in one run."""
    with tempfile.TemporaryDirectory(prefix="heliograph-answers-") as name:
        folder = Path(name)
        asyncio.run(record(folder, answers))
        weight = sum(f.stat().st_size for f in folder.glob("answer-*")) / answers / 1e6
        server, port = start_replay(folder)
        try:
            one = {v: run_variant(v, port, 1) for v in VARIANTS}
            many = {v: run_variant(v, port, answers) for v in VARIANTS[:3]}
        finally:
            server.communicate()
    ours, theirs = one["heliograph"], one["tutorial"]
    return {
        "answer_mb": round(weight, 1),
        "one_at_a_time": one,
        f"{answers}_at_once": many,
        "cpu_ratio": theirs["cpu"] / ours["cpu"],
        "cpu_ratio_as_printed": one["as printed"]["cpu"] / ours["cpu"],
        "memory_ratio": many["tutorial"]["peak_mb"] / many["heliograph"]["peak_mb"],
        "memory_ratio_asyncio": many["asyncio"]["peak_mb"] / many["heliograph"]["peak_mb"],
        "machine": {"cores": psutil.cpu_count(), "python": sys.version.split()[0]},
    }


def show(found: dict[str, Any], answers: int) -> None:
    """The figures for a person."""
    print(f"One 4K answer of {found['answer_mb']} MB: receive, verify, hash, store\n")
    print(f"{'':14}{'CPU s/image':>12}{'wall s/image':>14}{'peak MB':>10}")
    for name, row in found["one_at_a_time"].items():
        print(f"{name:14}{row['cpu']:12.3f}{row['wall']:14.3f}{row['peak_mb']:10.0f}")
    print(f"\n{answers} at once")
    for name, row in found[f"{answers}_at_once"].items():
        print(f"{name:14}{row['cpu']:12.3f}{row['wall']:14.3f}{row['peak_mb']:10.0f}")
    print(
        f"\nHeliograph needs {found['cpu_ratio']:.1f} times less CPU than the tutorial "
        f"({found['cpu_ratio_as_printed']:.1f} times less than saving PNG),"
        f"\nand at {answers} at once 1/{found['memory_ratio']:.1f} of its memory "
        f"(1/{found['memory_ratio_asyncio']:.1f} of asyncio's)."
    )


def main() -> None:
    """Parent, replaying server, or one measured variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--answers", type=int, default=16, help="calls at once (default 16)")
    for hidden in ("--measure", "--port", "--folder", "--parallel"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        asyncio.run(
            measure(options.measure, int(options.port), Path(options.folder), int(options.parallel))
        )
    else:
        found = compare(options.answers)
        print(json.dumps(found, indent=2)) if options.json else show(found, options.answers)


if __name__ == "__main__":
    main()
