"""What is written down of a request: enough to go on from it, and no bytes of its images."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_cache import ANSWER, AREA, OTHER, REFERENCE, TURN, changed
from tests.unit.test_cache import PLAN as BARE

from heliograph.provenance import request_facts
from heliograph.types import Finish, Given

PLAN = changed(BARE, "request.safety", {})  # as planning leaves it


def facts(**changes: Any) -> dict[str, Any]:
    found = dict(request_facts(replace(PLAN, **changes)))
    assert json.loads(json.dumps(found)) == found
    return found


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 0), ("temperature", 0.0), ("top_p", 0.0), ("temperature", 0), ("seed", 7)],
)
def test_nought_is_something(field: str, value: float) -> None:
    assert request_facts(changed(PLAN, f"request.{field}", value))[field] == value


def test_what_was_not_said_is_left_out() -> None:
    found = facts()
    assert set(found) == {"prompt", "finish", "references"}
    assert found["finish"] == {"anchor": "centre"}
    quality = changed(PLAN, "request.finish", Finish(quality=80, preview=True))
    assert request_facts(quality)["finish"] == {
        "anchor": "centre", "quality": 80, "preview": True,
    }  # fmt: skip


def test_images_are_named_and_never_written_down() -> None:
    hero = replace(REFERENCE, source=b"secret", role="character", label="hero", key="k.png")
    found = facts(references=(REFERENCE, hero))
    plain = {"sha256": "a" * 64, "name": "a.png", "media_type": "image/png"}
    plain |= {"pixels": "8x8", "size": 0}  # type: ignore[dict-item]
    named = {"role": "character", "label": "hero", "key": "k.png"}
    assert found["references"] == [plain, {**plain, **named}]
    given = Given(source=b"secret", role="character")
    request = replace(PLAN.request, references=(given,), base=b"secret", mask=Path("/home/me/m"))
    assert "secret" not in str(facts(request=request))
    assert "/home/me" not in str(facts(request=request))


def test_words_are_written_down_where_they_are_not_the_prompt() -> None:
    assert "words" not in facts()
    assert "words" not in facts(words=PLAN.request.prompt)
    assert facts(words="Other words")["words"] == "Other words"


def test_turns_that_went_back_are_named_with_their_images() -> None:
    history = (TURN, replace(TURN, record="r2", references=(), answer=ANSWER[:1]))
    assert facts(history=history)["history"] == [
        {"record": "r1", "images": [OTHER.sha256, REFERENCE.sha256]},
        {"record": "r2", "images": []},
    ]


def test_an_area_is_written_down_whole() -> None:
    request = replace(PLAN.request, region=(0, 0, 4, 4), protect=True, base=b"x", feather=0)
    found = facts(area=replace(AREA, protect=True, feather=0), request=request)
    assert found["area"] == {
        "picture": request_facts(PLAN)["references"][0],
        "region": [0, 0, 4, 4],
        "feather": 0,
        "protect": True,
    }
    assert not {"region", "mask", "base"} & set(found)
    assert facts(area=replace(AREA, region=None, mask=OTHER))["area"]["mask"]["sha256"] == "b" * 64
