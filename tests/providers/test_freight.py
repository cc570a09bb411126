"""Which pictures are uploaded, as a rule without a network."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.providers.plans import reference

from heliograph.providers.freight import LARGE, ROOM, to_upload
from heliograph.providers.wire import weight
from heliograph.types import Reference


def of_size(size: int, digest: str = "a") -> Reference:
    return replace(reference(b""), size=size, sha256=digest)


pictures = st.lists(
    st.tuples(st.integers(1, 60_000_000), st.sampled_from("abcdef")).map(
        lambda found: of_size(found[0] + ord(found[1]), found[1])
    ),
    max_size=8,
).map(lambda found: [replace(p, size=_size(found, p.sha256)) for p in found])


def _size(found: list[Reference], digest: str) -> int:
    return next(p.size for p in found if p.sha256 == digest)


def length_of(found: list[Reference]) -> int:
    return 1000 + sum(map(weight, found))


@given(found=pictures, lasts=st.booleans())
def test_what_is_left_inline_fits(found: list[Reference], lasts: bool) -> None:
    chosen = {p.sha256 for p in to_upload(found, length_of(found), mode="auto", lasts=lasts)}
    left = [p for p in found if p.sha256 not in chosen]
    assert length_of(left) <= ROOM
    if lasts:
        assert all(p.size < LARGE for p in left)
    elif length_of(found) <= ROOM:
        assert not chosen


@given(found=pictures, lasts=st.booleans())
def test_always_and_never(found: list[Reference], lasts: bool) -> None:
    every = to_upload(found, length_of(found), mode="always", lasts=lasts)
    assert sorted(p.sha256 for p in every) == sorted({p.sha256 for p in found})
    assert to_upload(found, length_of(found), mode="never", lasts=lasts) == ()


def test_small_pictures_and_single_requests_stay_inline() -> None:
    found = [of_size(LARGE - 1, "a"), of_size(LARGE, "b")]
    assert to_upload(found, length_of(found), mode="auto", lasts=False) == ()
    chosen = to_upload(found, length_of(found), mode="auto", lasts=True)
    assert [p.sha256 for p in chosen] == ["b"]


def test_the_fewest_uploads_that_make_it_fit() -> None:
    found = [of_size(10_000_000, "a"), of_size(40_000_000, "b"), of_size(30_000_000, "c")]
    chosen = to_upload(found, length_of(found), mode="auto", lasts=False)
    assert [p.sha256 for p in chosen] == ["b"]
    # a picture that is sent twice weighs twice
    twice = [of_size(30_000_000, "a"), of_size(20_000_000, "b"), of_size(20_000_000, "b")]
    chosen = to_upload(twice, length_of(twice), mode="auto", lasts=False)
    assert [p.sha256 for p in chosen] == ["b"]


def test_what_is_uploaded_anyway_counts_as_often_as_it_is_sent() -> None:
    found = [of_size(30_000_000, "a"), of_size(30_000_000, "a"), of_size(1000, "b")]
    chosen = to_upload(found, ROOM + 2 * weight(found[0]), mode="auto", lasts=True)
    assert [p.sha256 for p in chosen] == ["a"]
