"""A client's own body goes out as it was written, its files read while it is sent."""

import hashlib
import json
from pathlib import Path

from tests.providers.plans import plan_for

from heliograph.providers.body import _pieces
from heliograph.providers.gemini import decode, encode
from heliograph.providers.wire import WireReply, read_bytes
from heliograph.types import Enclosed, Timing, Verbatim


def enclosed(path: Path, data: bytes, media_type: str | None) -> Enclosed:
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Enclosed(path=path, size=len(data), sha256=digest, media_type=media_type)


async def test_pieces_go_out_in_order_and_weigh_what_was_announced(tmp_path: Path) -> None:
    picture = enclosed(tmp_path / "p", b"not looked at here" * 1000, "image/png")
    signature = enclosed(tmp_path / "s", b"QUJD" * 500, None)
    body = Verbatim(
        pieces=('{"contents":[{"data":"', picture, '"},{"thoughtSignature":"', signature, '"}]}'),
        images=1,
        words="A fox",
    )
    request = encode(plan_for(verbatim=body, stream=True))
    assert request.path.endswith(":streamGenerateContent")
    sent = b"".join([piece async for piece in _pieces(request)])
    assert len(sent) == request.length
    first, second = json.loads(sent)["contents"]
    assert second["thoughtSignature"] == "QUJD" * 500
    import base64

    assert base64.b64decode(first["data"]) == picture.path.read_bytes()


def test_a_body_of_the_client_says_its_own_ratio_and_is_priced_by_what_it_holds() -> None:
    body = Verbatim(pieces=("{}",), images=6, words="word " * 1000)
    plain = plan_for(size="1K")
    plan = plan_for(size="1K", verbatim=body)
    assert (plain.aspect, plan.aspect, plan.expected) == ("1:1", None, None)
    assert plan.estimate.expected > plain.estimate.expected
    assert plan_for(size="1K", aspect="16:9", verbatim=body).aspect == "16:9"


def test_an_answer_keeps_its_own_text(tmp_path: Path) -> None:
    said = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"inlineData": {"data": "QUJD"}}]},
                "finishReason": "STOP",
                "newField": 1,
            }
        ]
    }
    tapped = read_bytes(json.dumps(said).encode(), tmp_path)
    reply = decode(WireReply(status=200, headers={}, tapped=tapped, timing=Timing()))
    assert reply.answered is not None
    (name, digest), *others = reply.answered.strings.items()
    assert not others
    assert digest == hashlib.sha256(b"ABC").hexdigest()
    assert json.loads(reply.answered.skeleton.replace(name, "QUJD")) == said
