"""Thought signatures: made cheaply, recognised without memory, refused when touched."""

import base64
from typing import Any

import pytest

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.signature import BYPASS, check_history, genuine, sign, weight_of

IMAGE = {"inline_data": {"mime_type": "image/jpeg", "data": b"x"}}


def turns(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": list(parts)}]


def test_realistic_length_is_millions_of_characters() -> None:
    assert {weight_of(pixels) for pixels in (0, 512 * 512, 1024 * 1024, 1376 * 768)} == {1}
    lengths = [len(base64.b64encode(sign(f"seed {n}"))) for n in range(20)]
    assert min(lengths) >= 1_100_000
    assert max(lengths) <= 2_900_100
    assert len(set(lengths)) > 10


def test_the_same_seed_gives_the_same_signature() -> None:
    assert sign("a") == sign("a") != sign("b")
    assert len(sign("a", short=True)) < 400


def test_every_flipped_byte_is_noticed() -> None:
    good = sign("a", short=True)
    assert genuine(good)
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1
        assert not genuine(bytes(bad)), place
    assert not genuine(good[:-1])
    assert not genuine(good + b"\0")
    assert not genuine(b"")


@pytest.mark.parametrize("word", BYPASS)
def test_both_bypass_words_pass_in_both_spellings(word: str) -> None:
    assert genuine(word.encode())
    # Written raw into JSON, the word is itself valid url-safe base64.
    assert genuine(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))


def test_a_signed_turn_passes() -> None:
    signature = {"thought_signature": sign("a", short=True)}
    check_history(
        turns(
            {"text": "hm", "thought": True},
            {**IMAGE, "thought": True},
            {"text": "here", **signature},
            {"text": "more"},
            {**IMAGE, **signature},
        )
    )


def test_pictures_of_the_user_need_none() -> None:
    check_history([{"role": "user", "parts": [IMAGE]}, {"parts": [IMAGE]}])


def refusal(contents: list[dict[str, Any]]) -> str:
    with pytest.raises(ApiError) as caught:
        check_history(contents)
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    return caught.value.message


def test_a_missing_signature_names_content_and_part() -> None:
    assert refusal(turns(IMAGE)) == (
        "Image part is missing a thought_signature in content position 2, part position 1. Please "
        "refer to https://ai.google.dev/gemini-api/docs/thought-signatures#model-behavior for more "
        "details."
    )
    text = refusal(turns({"text": "hm", "thought": True}, {"text": "here"}))
    assert text.startswith("Text part is missing a thought_signature in content position 2, part")
    assert "part position 2." in text


def test_an_altered_signature_is_corrupted() -> None:
    altered = sign("a", short=True)[:-1] + b"\0"
    message = refusal(turns({**IMAGE, "thought_signature": altered}))
    assert message == "Corrupted thought signature."


def test_the_text_of_a_streamed_turn_is_signed_once() -> None:
    signature = {"thought_signature": sign("a", short=True)}
    streamed = [
        {"role": "model", "parts": [{"text": "he", **signature}]},
        {"role": "model", "parts": [{"text": "re"}]},
        {"role": "model", "parts": [{**IMAGE, **signature}]},
        {"role": "model", "parts": [{"text": ""}]},
    ]
    check_history(streamed)
    two_turns = [*streamed, {"role": "user", "parts": [{"text": "b"}]}, streamed[1]]
    assert "content position 6, part position 1" in refusal(two_turns)
