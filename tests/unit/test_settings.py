"""Settings and keys: every place is searched in order, and the answer says which it was."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from heliograph.errors import ConfigurationError, MissingKey
from heliograph.settings import Settings, find_key, load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("HELIOGRAPH_", "GEMINI_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


class Drawer(keyring.backend.KeyringBackend):
    """A keyring in memory, as the library lets anyone register."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def drawer() -> Iterator[Drawer]:
    before, drawer = keyring.get_keyring(), Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


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
def test_a_store_whose_extra_is_missing(tmp_path: Path, store: str, extra: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"heliograph\[{extra}\]"):
        find_key(settings(tmp_path, key_source=store))
