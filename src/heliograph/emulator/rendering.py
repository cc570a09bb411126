"""The slow half of an answer: pixels, base64, signatures; invariant: runs in a worker thread."""

import binascii
import hashlib

from heliograph.emulator.desk import Desk
from heliograph.emulator.faults.contract import Case, Fault
from heliograph.emulator.ledger import Call
from heliograph.emulator.reply import Blob, Painted, Picture, signed_parts
from heliograph.emulator.scene import Scene, Shot
from heliograph.emulator.signature import sign, weight_of
from heliograph.emulator.tiny import paint_tiny


def paint_scene(desk: Desk, call: Call, scene: Scene, fault: Fault, case: Case) -> Painted:
    """Paint every image part, spoil it as the fault says, and sign."""
    if scene.content != "full" or scene.block_reason or not scene.has_candidate:
        return Painted(images=(), signatures=())
    images = []
    for number, shot in enumerate(scene.shots):
        picture = _paint(desk, call, scene, shot, number)
        if fault.picture is not None and shot.role == "final":
            picture = fault.picture(picture, case)
        text = binascii.b2a_base64(picture.data, newline=False)
        if fault.base64 is not None and shot.role == "final":
            text = fault.base64(text, case)
        images.append((picture, Blob(text=text, kind="final" if shot.role == "final" else "image")))
    short = desk.settings.short_signatures
    weight = weight_of(max((s.width * s.height for s in scene.shots), default=0))
    signatures = (
        sign(f"{desk.seed}:{call.id}:{number}", short=short, weight=weight)
        for number in range(signed_parts(scene))
    )
    return Painted(
        images=tuple(images),
        signatures=tuple(
            Blob(text=binascii.b2a_base64(signature, newline=False), kind="signature")
            for signature in signatures
        ),
    )


def _paint(desk: Desk, call: Call, scene: Scene, shot: Shot, number: int) -> Picture:
    from heliograph.emulator.painting import PaintOrder, paint

    if desk.settings.tiny:
        return paint_tiny(call.id, number, shot)
    ask = scene.ask
    chosen = f"{desk.seed}:{call.id}" if ask.seed is None else f"asked:{ask.seed}"
    seed = int.from_bytes(hashlib.blake2b(f"{chosen}:{number}".encode(), digest_size=4).digest())
    data = paint(
        PaintOrder(
            prompt=ask.prompt,
            width=shot.width,
            height=shot.height,
            seed=seed,
            call_id=call.id,
            sources=ask.sources,
            plain=desk.settings.small,
        )
    )
    return Picture(
        data=data, mime="image/jpeg", width=shot.width, height=shot.height, role=shot.role
    )
