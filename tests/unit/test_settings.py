"""Settings and keys: every place is searched in order, and the answer says which it was."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from heliograph.errors import ConfigurationError, MissingKey
from heliograph.settings import (
    Settings,
    config_file,
    find_key,
    list_settings,
    load_settings,
    remove_key,
    search_keys,
    store_key,
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("HELIOGRAPH_", "GEMINI_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
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

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


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
