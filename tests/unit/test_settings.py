"""Settings and keys: every place is searched in order, and the answer says which it was."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.keyring_double import Drawer, drawer_in_place

from heliograph.errors import ConfigurationError, MissingKey
from heliograph.settings import (
    Key,
    Settings,
    config_file,
    describe_keys,
    find_key,
    find_keys,
    list_settings,
    load_settings,
    remove_key,
    search_keys,
    store_key,
)
from heliograph.settings.pool import read_pool


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("HELIOGRAPH_", "GEMINI_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def drawer() -> Iterator[Drawer]:
    with drawer_in_place() as drawer:
        yield drawer


def settings(tmp_path: Path, **fields: object) -> Settings:
    return load_settings(secrets_dir=tmp_path / "secrets", **fields)


def test_nothing_anywhere(tmp_path: Path) -> None:
    with pytest.raises(MissingKey, match="GEMINI_API_KEY") as caught:
        find_key(settings(tmp_path))
    assert "--simulate" in str(caught.value.remedy)


def test_each_place_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    keyring.set_password("heliograph", "GEMINI_API_KEY", "from-keyring")
    assert find_key(settings(tmp_path)).origin == "GEMINI_API_KEY in the keyring"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "gemini_api_key").write_text("from-docker\n")
    found = find_key(settings(tmp_path))
    assert (found.secret, str(tmp_path / "secrets") in found.origin) == ("from-docker", True)
    (tmp_path / ".env").write_text("GEMINI_API_KEY=from-dotenv\n")
    assert find_key(settings(tmp_path)).origin == "GEMINI_API_KEY in .env"
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("GEMINI_API_KEY_FILE", str(tmp_path / "key"))
    assert find_key(settings(tmp_path)).secret == "from-file"
    monkeypatch.setenv("GEMINI_API_KEY", "from-env")
    assert find_key(settings(tmp_path)).origin == "GEMINI_API_KEY in the environment"
    assert find_key(settings(tmp_path), given="argument").origin == "the argument"


def test_google_wins_as_in_its_own_sdk_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "one")
    monkeypatch.setenv("GOOGLE_API_KEY", "two")
    found = find_key(settings(tmp_path))
    assert (found.secret, found.origin) == ("two", "GOOGLE_API_KEY in the environment")
    assert "GEMINI_API_KEY" in str(found.note)
    monkeypatch.setenv("GEMINI_API_KEY", "two")
    assert find_key(settings(tmp_path)).note is None


def test_an_empty_variable_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", " ")
    with pytest.raises(MissingKey):
        find_key(settings(tmp_path))


@pytest.mark.parametrize("bad", ["with space", "zeile\numbruch", "schlüssel", "tab\there"])
def test_a_key_that_cannot_be_one(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_key(settings(tmp_path), given=bad)
    assert bad not in str(caught.value)


def test_the_key_is_not_in_its_repr(tmp_path: Path) -> None:
    assert "hidden" not in repr(find_key(settings(tmp_path), given="hidden"))


def test_all_mistakes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_WORKERS", "none")
    monkeypatch.setenv("HELIOGRAPH_CALL_TIMEOUT", "-1")
    monkeypatch.setenv("HELIOGRAPH_HOEM", "x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    text = str(caught.value)
    assert "3 mistakes" in text
    assert "HELIOGRAPH_WORKERS" in text
    assert "HELIOGRAPH_CALL_TIMEOUT" in text
    assert "did you mean HELIOGRAPH_HOME?" in text


def test_arguments_win_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_HOME", str(tmp_path / "env"))
    assert load_settings().home == tmp_path / "env"
    assert load_settings(home=tmp_path / "arg").home == tmp_path / "arg"
    assert load_settings(home=None).home == tmp_path / "env"


def test_googles_own_base_url_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1/gateway")
    assert load_settings().base_url == "http://127.0.0.1:1/gateway"
    with pytest.raises(ConfigurationError, match="BASE_URL"):
        load_settings(base_url="ftp://example.com")


@pytest.mark.parametrize("store", ["vault:x", "aws-secrets-manager", "azure-key-vault:"])
def test_an_unknown_or_incomplete_store(tmp_path: Path, store: str) -> None:
    with pytest.raises(ConfigurationError, match="secret store"):
        find_key(settings(tmp_path, key_source=store))


@pytest.mark.parametrize(
    ("store", "extra"),
    [
        ("aws-secrets-manager:x", "aws"),
        ("aws-parameter-store:/x", "aws"),
        ("gcp-secret-manager:x", "gcp"),
        ("azure-key-vault:https://v", "azure"),
    ],
)
def test_a_store_whose_extra_is_missing(
    tmp_path: Path, store: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # another part of the tests may have brought it
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=rf"heliograph\[{extra}\]"):
        find_key(settings(tmp_path, key_source=store))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "config" / "heliograph"
    folder.mkdir(parents=True)
    assert config_file() == folder / "config.toml"
    return folder / "config.toml"


def origins() -> dict[str, str]:
    return {s.name: s.origin for s in list_settings()[0]}


def test_each_place_wins_over_the_one_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    assert (load_settings().workers, origins()["workers"]) == (2, "default")
    file.write_text("workers = 3\nsimulate = true\npatience = 7.5\n")
    assert (load_settings().workers, origins()["workers"]) == (3, str(file))
    (tmp_path / ".env").write_text("HELIOGRAPH_WORKERS=4\nHELIOGRAPH_PATIENCE=8\n")
    assert (load_settings().workers, origins()["workers"]) == (4, ".env")
    monkeypatch.setenv("HELIOGRAPH_WORKERS", "5")
    assert (load_settings().workers, origins()["workers"]) == (5, "the environment")
    assert load_settings(workers=6).workers == 6
    found = load_settings()
    assert (found.patience, found.simulate, found.call_timeout) == (8.0, True, 300.0)


def test_either_name_of_the_base_url_wins_over_lower_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text('base_url = "http://127.0.0.1:1"\n')
    assert load_settings().base_url == "http://127.0.0.1:1"
    (tmp_path / ".env").write_text("HELIOGRAPH_BASE_URL=http://127.0.0.1:2\n")
    assert load_settings().base_url == "http://127.0.0.1:2"
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:3")
    assert load_settings().base_url == "http://127.0.0.1:3"
    monkeypatch.setenv("HELIOGRAPH_BASE_URL", "http://127.0.0.1:4")
    assert load_settings().base_url == "http://127.0.0.1:4"
    assert load_settings(base_url="http://127.0.0.1:5").base_url == "http://127.0.0.1:5"


@pytest.mark.parametrize("name", [*Settings.model_fields, "hoem"])
def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    usual = load_settings()
    monkeypatch.setenv(f"HELIOGRAPH_{name.upper()}", "")
    assert load_settings() == usual


def test_an_empty_variable_leaves_the_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_BASE_URL", "")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:3")
    assert load_settings().base_url == "http://127.0.0.1:3"


def test_the_environment_can_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("workers = 9\n")
    monkeypatch.setenv("HELIOGRAPH_CONFIG", str(tmp_path / "other.toml"))
    assert (load_settings().workers, config_file()) == (9, tmp_path / "other.toml")
    monkeypatch.setenv("HELIOGRAPH_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigurationError, match=r"no file .*missing\.toml"):
        load_settings()
    assert config_file() == tmp_path / "missing.toml"


def test_all_mistakes_of_the_file_are_listed_with_its_name(file: Path) -> None:
    file.write_text(
        'wokers = 3\nworkers = "lots"\nsimulate = [true]\nmodel = 5\nconfig = "x"\n'
        'GEMINI_API_KEY = "do-not-tell"\n[table]\nx = 1\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    text = str(caught.value)
    assert "7 mistakes" in text
    assert text.count(str(file)) == 7
    assert "did you mean workers?" in text
    assert "heliograph auth set" in text
    assert "heliograph config get" in text
    assert "do-not-tell" not in text
    shown, mistakes = list_settings()
    assert len(mistakes) == 7
    assert {s.name: s.value for s in shown}["workers"] == "lots"
    assert {s.name: s.value for s in shown}["patience"] == 600.0


@pytest.mark.parametrize("content", [b"workers 3", b"workers = '\xff'", None])
def test_a_file_that_cannot_be_read(file: Path, content: bytes | None) -> None:
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be read"):
        load_settings()


def test_a_tilde_is_the_home_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file.write_text('home = "~/pictures"\n')
    assert load_settings().home == tmp_path / "pictures"
    file.write_text('home = "~nobody-of-this-name/pictures"\n')
    with pytest.raises(ConfigurationError, match="home in"):
        load_settings()


def test_keys_can_be_stored_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    store_key("GEMINI_API_KEY", " from-keyring\n")
    assert drawer.kept == {("heliograph", "GEMINI_API_KEY"): "from-keyring"}
    monkeypatch.setenv("GOOGLE_API_KEY", "from-env")
    found = [key.origin for key in search_keys(settings(tmp_path))]
    assert found == ["GOOGLE_API_KEY in the environment", "GEMINI_API_KEY in the keyring"]
    assert remove_key("GEMINI_API_KEY")
    assert not remove_key("GEMINI_API_KEY")
    with pytest.raises(ConfigurationError):
        store_key("GEMINI_API_KEY", "two words")


def test_without_the_keyring_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=r"heliograph\[keyring\]"):
        store_key("GEMINI_API_KEY", "some-key")
    with pytest.raises(MissingKey):
        find_key(settings(tmp_path))


# ---------------------------------------------------------------- limits of single settings


@pytest.mark.parametrize(
    ("name", "good", "bad", "why"),
    [
        ("transport", "interactions", "websocket", "'generate_content' or 'interactions'"),
        ("cache", "all", "some", "'off', 'seeded' or 'all'"),
        ("cache_ttl", "0.5", "0", "greater than 0"),
        ("cache_ttl", "3153600000", "inf", "finite"),
        ("cache_ttl", "1", "nan", "finite"),
        ("idempotency_ttl", "86400", "86399", "86400"),
        ("idempotency_ttl", "2678400", "2678401", "2678400"),
        ("budget_zone", "Europe/Berlin", "Europe/Berln", "did you mean Europe/Berlin?"),
        ("budget_zone", "UTC", "../UTC", "is no time zone"),
        ("budget_zone", "Asia/Kathmandu", "/etc/localtime", "is no time zone"),
        ("budget_zone", "America/Los_Angeles", "localtime", "is no time zone"),
        ("budget_zone", "Etc/GMT+5", "Europe", "is no time zone"),
        ("spend_per_10_minutes", "$10", "ten", "not an amount in dollars"),
        ("spend_per_10_minutes", "0.000001", "0", "leave it unset"),
        ("spend_per_10_minutes", "10.50", "-1", "not an amount in dollars"),
        ("retry_unknown", "yes", "maybe", "boolean"),
        ("silence_timeout", "0.1", "0", "greater than 0"),
        ("write_timeout", "0.1", "0", "greater than 0"),
        ("late_timeout", "0", "-1", "greater than or equal to 0"),
    ],
)
def test_limits(monkeypatch: pytest.MonkeyPatch, name: str, good: str, bad: str, why: str) -> None:
    monkeypatch.setenv(f"HELIOGRAPH_{name.upper()}", good)
    assert str(getattr(load_settings(), name)) in (good, f"{good}.0", "True")
    monkeypatch.setenv(f"HELIOGRAPH_{name.upper()}", bad)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert why in str(caught.value)
    assert f"HELIOGRAPH_{name.upper()}" in str(caught.value)


@pytest.mark.parametrize(("written", "kept"), [("10", "10"), ("2.5", "2.5"), ('"$10"', "$10")])
def test_dollars_may_be_a_number_in_the_file(file: Path, written: str, kept: str) -> None:
    file.write_text(f"spend_per_10_minutes = {written}\n")
    assert load_settings().spend_per_10_minutes == kept
    file.write_text("spend_per_10_minutes = true\n")
    with pytest.raises(ConfigurationError, match="string"):
        load_settings()


# ---------------------------------------------------------------- several keys

POOL = "prod = key-one , key-two\r\nprod=key-three\n\n,spare=key==four,"


def label(secret: str) -> str:
    return f"key-{hashlib.sha256(secret.encode()).hexdigest()[:6]}"


def pairs(tmp_path: Path) -> list[tuple[str, str]]:
    return [(key.project, key.secret) for key in find_keys(settings(tmp_path))]


def test_several_keys_with_and_without_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEYS", POOL)
    assert pairs(tmp_path) == [
        ("prod", "key-one"),
        (label("key-two"), "key-two"),
        ("prod", "key-three"),
        ("spare", "key==four"),
    ]
    keys = find_keys(settings(tmp_path))
    assert {(key.origin, key.note) for key in keys} == {
        ("GEMINI_API_KEYS in the environment", None)
    }
    assert find_key(settings(tmp_path)) == keys[0]
    assert list(search_keys(settings(tmp_path))) == list(keys)
    assert describe_keys(keys) == (
        f"4 keys from GEMINI_API_KEYS in the environment: prod (2), {label('key-two')}, spare"
    )
    for key in keys:
        assert key.secret not in repr(keys) + describe_keys(keys)


def test_a_single_key_is_a_pool_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "odd=one,key")
    assert pairs(tmp_path) == [(label("odd=one,key"), "odd=one,key")]
    (key,) = find_keys(settings(tmp_path), given="from-argument")
    assert (key.project, key.origin) == (label("from-argument"), "the argument")


def test_several_keys_in_each_place_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_key("GEMINI_API_KEYS", "a=from-keyring\nb=too")
    assert pairs(tmp_path) == [("a", "from-keyring"), ("b", "too")]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "gemini_api_keys").write_text("a=from-docker\nb=too\n")
    assert pairs(tmp_path) == [("a", "from-docker"), ("b", "too")]
    (tmp_path / ".env").write_text('GEMINI_API_KEYS="a=from-dotenv\nb=too"\n')
    assert pairs(tmp_path) == [("a", "from-dotenv"), ("b", "too")]
    (tmp_path / "keys").write_text("a=from-file\nb=too\n")
    monkeypatch.setenv("GEMINI_API_KEYS_FILE", str(tmp_path / "keys"))
    assert pairs(tmp_path) == [("a", "from-file"), ("b", "too")]
    # the first place that has any wins, even with a single key
    monkeypatch.setenv("GEMINI_API_KEY", "from-env")
    assert pairs(tmp_path) == [(label("from-env"), "from-env")]
    origins = [key.origin.partition(" in ")[2] for key in search_keys(settings(tmp_path))]
    assert origins == [
        "the environment",
        *["a file named by the environment"] * 2,
        *[".env"] * 2,
        *[str(tmp_path / "secrets")] * 2,
        *["the keyring"] * 2,
    ]
    with_source = settings(tmp_path, key_source="keyring")
    assert [key.secret for key in find_keys(with_source)] == ["from-keyring", "too"]
    assert remove_key("GEMINI_API_KEYS")


def test_several_win_over_one_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def note() -> str | None:
        first, *others = find_keys(settings(tmp_path))
        assert first.secret == "one"
        assert all(key.note is None for key in others)
        return first.note

    monkeypatch.setenv("GEMINI_API_KEYS", "a=one,b=two")
    monkeypatch.setenv("GEMINI_API_KEY", "three")
    assert note() == "GEMINI_API_KEY is set too and ignored, since GEMINI_API_KEYS is set."
    monkeypatch.setenv("GEMINI_API_KEY", "two")
    assert note() is None  # nothing is ignored
    monkeypatch.setenv("GOOGLE_API_KEYS", "one,a=one")
    monkeypatch.setenv("GEMINI_API_KEYS", "four")
    assert note() == (
        "GEMINI_API_KEYS and GEMINI_API_KEY are set too and ignored, since GOOGLE_API_KEYS is set. "
        f"One key has the labels {label('one')} and a; it is used for {label('one')}."
    )
    monkeypatch.setenv("GOOGLE_API_KEYS", " ")
    monkeypatch.setenv("GEMINI_API_KEYS", "a=one,a=one,one")
    assert "GOOGLE" not in str(note())


def test_all_wrong_entries_are_listed_and_no_part_of_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {
        "prod=": "nothing that can be a key",
        "hidden==": "nothing that can be a key",
        "=hidden": "label before the = must be",
        "my hidden": "characters that no key has",
        "prod=hid den": "characters that no key has",
        "prod=hiddén": "characters that no key has",
        'prod="hidden"': "characters that no key has",
        "hid/den=prod": "label before the = must be",
        f"{'hidden' * 6}=prod": "label before the = must be",
        "hidden-hidden-hidden=prod": "looks like a key",
        "AIzahidden=production": "looks like a key",
        "AQ.hidden=production": "looks like a key",
    }
    monkeypatch.setenv("GEMINI_API_KEYS", ",".join(["good=fine-key", *wrong]))
    with pytest.raises(ConfigurationError) as caught:
        find_keys(settings(tmp_path))
    said = str(caught.value) + str(caught.value.as_dict())
    assert f"{len(wrong)} mistakes" in said
    assert "label=KEY" in said
    for number, mistake in enumerate(wrong.values(), start=2):
        assert f"entry {number}: " in said
        assert mistake in caught.value.facts["mistakes"][number - 2]
    for part in ("hid", "dén", "fine", "AIza", "AQ."):
        assert part not in said


@pytest.mark.parametrize("nothing", [",", " , \n,"])
def test_separators_alone_hold_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing: str
) -> None:
    monkeypatch.setenv("GEMINI_API_KEYS", nothing)
    with pytest.raises(ConfigurationError, match="no key in it"):
        find_keys(settings(tmp_path))


KEYS = st.text(st.sampled_from("ABCxyz019_-."), min_size=20, max_size=40).filter(
    lambda key: not key.startswith("-")
)
LABELS = st.text(st.sampled_from("abz019"), min_size=1, max_size=8)


@given(st.lists(st.tuples(LABELS | st.none(), KEYS), min_size=1, max_size=8), st.randoms())
def test_a_pool_reads_as_it_is_written(entries: list[tuple[str | None, str]], dice: Any) -> None:
    text = "".join(
        dice.choice(["", " "])
        + (f"{name}{dice.choice(['=', ' = '])}{key}" if name else key)
        + dice.choice([",", "\n", " ,\r\n", ",,"])
        for name, key in entries
    )
    expected = dict[str, str]()
    for name, key in entries:
        expected.setdefault(key, name or label(key))
    found = read_pool(text, "a test")
    assert {key.secret: key.project for key in found} == expected
    assert [key.secret for key in found] == list(expected)
    again = read_pool(",".join(f"{key.project}={key.secret}" for key in found), "a test")
    assert [(k.project, k.secret) for k in again] == [(k.project, k.secret) for k in found]


@given(st.text(st.sampled_from('aA1=, \n"/é.-'), max_size=40))
def test_whatever_is_written_gives_keys_that_can_be_sent_or_mistakes(text: str) -> None:
    found, mistakes = tuple[Key, ...](), list[str]()
    try:
        found = read_pool(text, "a test")
    except ConfigurationError as error:
        mistakes = error.facts["mistakes"]
    assert bool(found) != bool(mistakes)
    for key in found:
        assert key.secret.isascii()
        assert key.secret.isprintable()
        assert not set(key.secret) & set(' ,"')
        assert key.project
        assert not set(key.project) & set(' ,"/é=')
