"""What was paid for and could not be kept is not paid for again, and is kept once it can be."""

from collections.abc import Callable
from pathlib import Path

from tests.server.whole.conftest import House

from heliograph.killpoints import armed


def refusing(originals: Path, aside: Path) -> Callable[[str], None]:
    """Nothing can be stored from the moment on in which the first picture has been looked at."""

    def at(point: str) -> None:
        if point == "looked" and not aside.exists():
            originals.mkdir(exist_ok=True)
            originals.rename(aside)
            originals.write_bytes(b"")

    return at


async def test_a_failure_that_was_paid_for_keeps_its_key_until_the_picture_is_kept(
    house: House, tmp_path: Path
) -> None:
    originals, aside = tmp_path / "home" / "originals", tmp_path / "aside"
    headers = {"Idempotency-Key": "order-1"}
    with armed(refusing(originals, aside)):
        status, body, _ = await house.ask("anna", "A pier", headers)
    assert (status, body["error"]["code"]) == (503, "storage")
    assert body["error"]["heliograph"]["charged"] == "yes"
    job = body["error"]["heliograph"]["job"]
    status, body, _ = await house.ask("anna", "A pier", headers)
    assert (status, body["error"]["heliograph"]["job"]) == (503, job)

    originals.unlink()
    aside.rename(originals)
    await house.gateway.client.recover()
    status, _, answer = await house.ask("anna", "A pier", headers)
    assert status == 200
    assert answer["x-heliograph-job"] == job
    assert answer["idempotency-replayed"] == "true"
    (line,) = await house.bill()
    assert await house.ours() == line["billed_micro"]
