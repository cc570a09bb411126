"""What is right by itself and does not go with what is kept is 409; what is wrong anyway is 400."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.native.conftest import Native

from heliograph.errors import InvalidRequest
from heliograph.planning import plan
from heliograph.planning.catalogue import Model
from heliograph.planning.load import catalogue
from heliograph.server.native.alternatives import pixels_pattern, up_to
from heliograph.types import Request

LITE = "gemini-3.1-flash-lite-image"


async def test_what_a_prompt_needs_is_said_by_the_prompt(anna: Native) -> None:
    made = {"prompt": "A ${colour} fox", "variables": {"colour": {"type": "colour"}}}
    assert (await anna.send("PUT", "/prompts/fox", made)).status == 200
    for values in ({}, {"color": "red"}, {"colour": "#xyz"}):
        answer = await anna.post("/prompts/fox/render", {"values": values})
        assert (answer.status, answer.code) == (409, "conflict"), values
        assert answer.json["problems"]
    good = await anna.post("/prompts/fox/render", {"values": {"colour": "red"}})
    assert good.json["texts"] == ["A red fox"]


async def test_an_export_is_no_larger_than_its_picture(anna: Native) -> None:
    path = f"/images/{(await anna.image())['id']}/exports"
    for body in ({"pixels": "4000x4000"}, {"finish": {"format": "png", "max_bytes": 1024}}):
        answer = await anna.post(path, body)
        assert (answer.status, answer.code) == (409, "conflict"), body
    # beyond every picture, or no format's setting: wrong by itself
    for body in ({"pixels": "90000x10"}, {"finish": {"format": "png", "quality": 90}}):
        answer = await anna.post(path, body)
        assert (answer.status, answer.code) == (400, "invalid_request"), body


async def test_a_turn_goes_with_its_version(anna: Native) -> None:
    image = await anna.image(model=LITE)
    begun = {"prompt": "snow", "of": {"image": image["id"]}}
    # what no model has is wrong; what that version's model has not, is a conflict
    answer = await anna.post("/sessions", {**begun, "size": "4K"})
    assert (answer.status, answer.code) == (409, "conflict"), answer.body
    answer = await anna.post("/sessions", {**begun, "size": "4K", "model": LITE})
    assert (answer.status, answer.code) == (400, "invalid_request"), answer.body
    area = {"prompt": "snow", "follows": image["id"], "region": [0, 0, 99_999, 1]}
    answer = await anna.post("/plans", area)
    assert (answer.status, answer.code) == (409, "conflict"), answer.body


async def test_a_limit_of_a_turn_is_in_micro_dollars(anna: Native) -> None:
    begun = {"prompt": "snow", "of": {"image": (await anna.image())["id"]}, "size": "1K"}
    low = await anna.post("/sessions", {**begun, "max_cost": 1000})
    assert (low.status, low.code) == (400, "cost_limit"), low.body
    job = (await anna.post("/sessions", {**begun, "max_cost": 10_000_000}, Prefer="wait=60")).json
    turns = f"/sessions/{job['results'][0]['image']['session']}/turns"
    low = await anna.post(turns, {"prompt": "rain", "max_cost": 1000})
    assert (low.status, low.code) == (400, "cost_limit"), low.body


async def test_a_name_that_is_taken_is_a_conflict(anna: Native) -> None:
    ids = []
    for prompt in ("snow", "rain"):
        body = {"prompt": prompt, "of": {"image": (await anna.image(prompt))["id"]}, "size": "1K"}
        job = (await anna.post("/sessions", body, Prefer="wait=60")).json
        ids.append(job["results"][0]["image"]["session"])
    assert (await anna.send("PATCH", f"/sessions/{ids[0]}", {"name": "mine"})).status == 200
    answer = await anna.send("PATCH", f"/sessions/{ids[1]}", {"name": "mine"})
    assert (answer.status, answer.code) == (409, "conflict")
    answer = await anna.send("PATCH", f"/sessions/{ids[1]}", {"name": "#7"})
    assert (answer.status, answer.code) == (400, "invalid_request")


# ---------------------------------------------------------------- patterns of the document


@given(most=st.integers(1, 20_000), number=st.integers(0, 30_000))
def test_a_pattern_says_up_to_which_number(most: int, number: int) -> None:
    assert (re.fullmatch(up_to(most), str(number)) is not None) is (1 <= number <= most)


@pytest.mark.parametrize("row", catalogue().live, ids=lambda row: row.id)
@given(width=st.integers(1, 13_000), height=st.integers(1, 13_000))
def test_the_pattern_of_pixels_is_what_planning_takes(row: Model, width: int, height: int) -> None:
    pixels = f"{width}x{height}"
    try:
        plan(Request(prompt="a", model=row.id, pixels=pixels))
        is_taken = True
    except InvalidRequest:
        is_taken = False
    assert (re.search(pixels_pattern([row]), pixels) is not None) is is_taken


async def test_the_texts_of_one_request_share_what_may_be_worked_out(anna: Native) -> None:
    group = "{" + "|".join("a" * 99) + "}"
    assert (await anna.send("PUT", "/prompts/much", {"prompt": group * 90})).status == 200
    assert (await anna.post("/prompts/much/render", {"number": 1})).status == 200
    much = await anna.post("/prompts/much/render", {"number": 20})
    assert (much.status, much.code) == (409, "conflict")
    assert "too many parts" in much.body.decode()
