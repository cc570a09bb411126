"""Settings: read once, frozen, all mistakes reported together. The only file that reads the
environment.

Invariant: settings and keys are looked for in one documented order each, and whoever uses one can
say where it was found. Nothing here is ever written to a log, and no key to a file.
"""

import difflib
import importlib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import (
    AWSSecretsManagerSettingsSource,
    AWSSystemsManagerSettingsSource,
    AzureKeyVaultSettingsSource,
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    GoogleSecretManagerSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from heliograph.errors import ConfigurationError, MissingKey

PREFIX = "HELIOGRAPH_"
# The official SDK prefers GOOGLE_API_KEY when both are set; the same key must pay in both.
KEY_NAMES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
KEYRING = "heliograph"  # the service name under which keys are stored
REMEDY_FOR_KEY = (
    "Set GEMINI_API_KEY (or put it into .env), store one with `heliograph auth set`, or add "
    "--simulate (library: simulate=True) to use the local emulator at no cost."
)


def _expanded(path: Path) -> Path:
    """`~` as a shell would read it; a configuration file has no shell."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


Folder = Annotated[Path, AfterValidator(_expanded)]


class Settings(BaseSettings):
    """Everything an operator can set; `load_settings` gathers it from all places."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    config: Folder | None = Field(
        default=None,
        description="A TOML file with further settings; without it `config.toml` in the user's "
        "configuration folder (`heliograph config path`).",
    )
    home: Folder = Field(
        default_factory=lambda: user_data_path("heliograph", appauthor=False),
        description="Folder of the library: originals, database, spool.",
    )
    model: str | None = Field(
        default=None, description="Default model; without it `gemini-3-pro-image`."
    )
    simulate: bool = Field(
        default=False, description="Always use the local emulator, even when a key is set."
    )
    base_url: str | None = Field(
        default=None,
        description="Upstream address without the API version; GOOGLE_GEMINI_BASE_URL works too.",
        validation_alias=AliasChoices("HELIOGRAPH_BASE_URL", "GOOGLE_GEMINI_BASE_URL"),
        pattern=r"^https?://[^\s/]+(/[^\s?#]*)?$",
    )
    api_version: Literal["v1", "v1beta"] = Field(
        default="v1", description="API version prefix of the upstream."
    )
    key_source: str | None = Field(
        default=None,
        description="A secret store asked before all others: `aws-secrets-manager:NAME`, "
        "`aws-parameter-store:/PATH`, `gcp-secret-manager:PROJECT`, `azure-key-vault:URL`, "
        "`keyring`.",
    )
    secrets_dir: Folder = Field(
        default=Path("/run/secrets"),
        description="Folder with one file a secret (Docker, Kubernetes).",
    )
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; without it SQLite inside the home folder."
    )
    blobs_url: str | None = Field(
        default=None,
        description="Where originals go: a folder, `s3://…`, `gs://…`, `az://…`; without it the "
        "home folder.",
    )
    connect_timeout: float = Field(
        default=5.0, gt=0, le=600, description="Seconds to reach the upstream."
    )
    answer_timeout: float = Field(
        default=180.0, gt=0, le=3600, description="Seconds to the first byte of an answer."
    )
    call_timeout: float = Field(default=300.0, gt=0, le=3600, description="Seconds of one call.")
    patience: float = Field(
        default=600.0, gt=0, le=86400, description="Seconds for all attempts and waits together."
    )
    workers: int = Field(
        default=2, ge=1, le=64, description="Processes that decode and encode images."
    )

    @classmethod
    def settings_customise_sources(cls, *sources: Any, **named: Any) -> tuple[Any, ...]:
        """Only what is handed in: `_gather` reads the places, to know which one gave what."""
        return (named.get("init_settings") or sources[1],)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting as it stands, and where it comes from."""

    name: str
    value: Any
    origin: str  # "default", "the environment", ".env", or the path of the configuration file


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key and where it came from."""

    secret: str = field(repr=False)
    origin: str  # "GEMINI_API_KEY in the environment", "… in .env" …
    note: str | None = None  # something to tell the user, such as a second key that is ignored


def load_settings(**overrides: Any) -> Settings:
    """Read the settings: arguments win over the environment, that over `.env`, that over the
    configuration file; None means not given.

    Raises:
        ConfigurationError: lists every mistake, unknown names included.
    """
    settings, _, mistakes = _gather(overrides)
    if mistakes:
        raise wrong_settings(mistakes)
    return settings


def list_settings() -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Every setting with its origin, and every mistake; a wrong value is shown as it was read."""
    settings, given, mistakes = _gather({})
    listed = []
    for name in Settings.model_fields:
        raw, origin = given.get(name, (None, "default"))
        right = origin == "default" or name in settings.model_fields_set
        value = getattr(settings, name) if right else raw
        listed.append(Setting(name=name, value=value, origin=origin))
    return tuple(listed), tuple(mistakes)


def read_value(name: str, text: str) -> Any:
    """What a setting would be, read from text.

    Raises:
        ConfigurationError: it has no such value.
    """
    given: dict[str, Any] = {name: text}
    try:
        return getattr(Settings(**given), name)
    except ValidationError as error:
        raise wrong_settings([f"{name}: {why}" for _, why in _reasons(error)]) from error


def config_file() -> Path:
    """The configuration file, whether it exists or not."""
    return _config_file({})[0]


def wrong_settings(mistakes: Sequence[str]) -> ConfigurationError:
    """The error that lists all mistakes."""
    return ConfigurationError(
        f"The settings have {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}.",
        why="; ".join(mistakes),
        remedy="`heliograph config get` shows every setting and where it comes from.",
        facts={"mistakes": list(mistakes)},
    )


Given = dict[str, tuple[Any, str]]  # value and origin by the setting's name


def _gather(overrides: Mapping[str, Any]) -> tuple[Settings, Given, list[str]]:
    """Settings without those that are wrong, everything that was given, and every mistake."""
    mistakes = list(_unknown_variables())
    path, must_exist = _config_file(overrides)
    from_file, unread = _read_config(path, must_exist=must_exist)
    mistakes += unread
    given: Given = {name: (value, str(path)) for name, value in from_file.items()}
    for origin, values in _variables().items():
        given |= {name: (value, origin) for name, value in values.items()}
    arguments = {name: value for name, value in overrides.items() if value is not None}
    given |= {name: (value, "an argument") for name, value in arguments.items()}
    good = {name: value for name, (value, _) in given.items()}
    while True:
        try:
            return Settings(**good), given, mistakes
        except ValidationError as error:
            for name, reason in _reasons(error):
                del good[name]
                mistakes.append(f"{_spelled(name, given[name][1])}: {reason}")


def _variables() -> dict[str, dict[str, Any]]:
    """What the places with variables say, the weakest first."""
    dotenv = DotEnvSettingsSource(Settings, env_file=".env", env_ignore_empty=True)
    environment = EnvSettingsSource(Settings, env_ignore_empty=True)
    return {".env": _by_field(dotenv()), "the environment": _by_field(environment())}


def _by_field(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {_field_of(name): value for name, value in values.items()}
    return {name: value for name, value in found.items() if name in Settings.model_fields}


def _field_of(name: str) -> str:
    """A setting's name from how a variable is spelled."""
    lower = name.lower()
    for field_name, info in Settings.model_fields.items():
        other_names = getattr(info.validation_alias, "choices", ())
        if lower in (field_name, *(str(other).lower() for other in other_names)):
            return field_name
    return lower.removeprefix(PREFIX.lower())


def _config_file(overrides: Mapping[str, Any]) -> tuple[Path, bool]:
    """The configuration file, and whether somebody named it, so that it must be there."""
    named = overrides.get("config")
    for values in reversed(_variables().values()):
        named = named or values.get("config")
    if named:
        return Path(named).expanduser(), True
    return user_config_path("heliograph", appauthor=False) / "config.toml", False


def _read_config(path: Path, *, must_exist: bool) -> tuple[dict[str, Any], list[str]]:
    """What the configuration file says, and what is wrong with it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, [f"{PREFIX}CONFIG: there is no file {path}"] if must_exist else []
    except (OSError, ValueError) as error:
        return {}, [f"{path} cannot be read: {error}"]
    known = set(Settings.model_fields) - {"config"}
    mistakes = []
    for name in values:
        if name.upper().removeprefix(PREFIX) in KEY_NAMES:
            mistakes.append(f"{name} in {path}: keys do not belong here; use `heliograph auth set`")
        elif name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            mistakes.append(f"{name} in {path} is not a setting{hint}")
    return {name: value for name, value in values.items() if name in known}, mistakes


def find_key(settings: Settings, *, given: str | None = None) -> Key:
    """The API key and its origin.

    Order: an argument, `key_source`, the environment (also `…_FILE`), `.env`, the secrets folder,
    the system keyring (with the `keyring` extra installed).

    Raises:
        MissingKey: none of these has one.
        ConfigurationError: `key_source` is misspelt or its extra is not installed.
    """
    if given:
        return Key(secret=_clean(given, "the argument"), origin="the argument")
    for key in search_keys(settings):
        return key
    raise MissingKey(
        "There is no API key.",
        why="GEMINI_API_KEY and GOOGLE_API_KEY are set neither in the environment, in .env, in "
        f"{settings.secrets_dir}, nor in the keyring.",
        remedy=REMEDY_FOR_KEY,
    )


def search_keys(settings: Settings) -> Iterator[Key]:
    """The key of each place that has one, in order; the first is the one that is used.

    Raises:
        ConfigurationError: a place cannot be read, or what it holds cannot be a key.
    """
    for origin, read in _places(settings):
        found = {
            name: value
            for name, value in read().items()
            if name in KEY_NAMES and value is not None and value.strip()
        }
        if found:
            name = next(n for n in KEY_NAMES if n in found)
            other = next((n for n in found if n != name and found[n] != found[name]), None)
            yield Key(
                secret=_clean(found[name], f"{name} in {origin}"),
                origin=f"{name} in {origin}",
                note=f"{other} is set too and ignored, as in Google's own SDK." if other else None,
            )


def store_key(name: str, secret: str) -> None:
    """Put a key into the system keyring, where `find_key` looks last.

    Raises:
        ConfigurationError: it cannot be a key, or there is no keyring to put it into.
    """
    cleaned = _clean(secret, "the input")
    with _open_keyring() as keyring:
        keyring.set_password(KEYRING, name, cleaned)


def remove_key(name: str) -> bool:
    """Take a key out of the system keyring; False when it had none.

    Raises:
        ConfigurationError: there is no keyring, or it refuses.
    """
    with _open_keyring() as keyring:
        if keyring.get_password(KEYRING, name) is None:
            return False
        keyring.delete_password(KEYRING, name)
        return True


class _Keys(BaseSettings):
    """The two names a key can have, in whatever store."""

    GOOGLE_API_KEY: SecretStr | None = None
    GEMINI_API_KEY: SecretStr | None = None


Read = Callable[[], dict[str, str | None]]


def _places(settings: Settings) -> Iterator[tuple[str, Read]]:
    if settings.key_source:
        yield settings.key_source, lambda: _ask(_store(settings.key_source or ""))
    yield "the environment", lambda: _ask(EnvSettingsSource(_Keys, case_sensitive=True))
    yield "a file named by the environment", _key_files
    yield ".env", lambda: _ask(DotEnvSettingsSource(_Keys, env_file=".env", case_sensitive=True))
    if settings.secrets_dir.is_dir():
        # Docker secrets are usually lower case, so the names are matched without case here
        yield (
            str(settings.secrets_dir),
            lambda: _ask(SecretsSettingsSource(_Keys, secrets_dir=settings.secrets_dir)),
        )
    yield "the keyring", lambda: _keyring(required=False)


def _ask(source: PydanticBaseSettingsSource | Read) -> dict[str, str | None]:
    values = source()
    return {
        name.upper(): v.get_secret_value() if isinstance(v, SecretStr) else v
        for name, v in values.items()
    }


def _store(spec: str) -> PydanticBaseSettingsSource | Read:
    kind, _, place = spec.partition(":")
    stores: dict[str, tuple[str, Callable[[], PydanticBaseSettingsSource | Read]]] = {
        "aws-secrets-manager": ("aws", lambda: AWSSecretsManagerSettingsSource(_Keys, place)),
        "aws-parameter-store": ("aws", lambda: AWSSystemsManagerSettingsSource(_Keys, place)),
        "gcp-secret-manager": (
            "gcp",
            lambda: GoogleSecretManagerSettingsSource(_Keys, project_id=place or None),
        ),
        "azure-key-vault": (
            "azure",
            lambda: AzureKeyVaultSettingsSource(
                _Keys, place, _azure_credential(), dash_to_underscore=True
            ),
        ),
        "keyring": ("keyring", lambda: lambda: _keyring(required=True)),
    }
    if kind not in stores or (not place and kind not in ("keyring", "gcp-secret-manager")):
        near = difflib.get_close_matches(kind, stores, n=1, cutoff=0)
        raise ConfigurationError(
            f"{PREFIX}KEY_SOURCE={spec!r} is not a secret store.",
            remedy=f"Write it as `{near[0]}:NAME`; known stores: {', '.join(stores)}.",
        )
    extra, build = stores[kind]
    try:
        return build()
    except ImportError as error:
        raise _missing_extra(kind, extra) from error


def _azure_credential() -> Any:
    return importlib.import_module("azure.identity").DefaultAzureCredential()


def _keyring(*, required: bool) -> dict[str, str | None]:
    """Keys stored by `heliograph auth set` or `keyring set heliograph GEMINI_API_KEY`."""
    try:
        with _open_keyring() as keyring:
            return {name: keyring.get_password(KEYRING, name) for name in KEY_NAMES}
    except ConfigurationError:
        if required:
            raise
        return {}  # the last place of all: without a keyring there is simply no key


@contextmanager
def _open_keyring() -> Iterator[Any]:
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError as error:
        raise _missing_extra("keyring", "keyring") from error
    try:
        yield keyring
    except NoKeyringError as error:
        why = "Neither a desktop's secret service nor another backend was found."
        remedy = "Put the key into GEMINI_API_KEY or into .env instead."
        raise ConfigurationError("There is no keyring here.", why=why, remedy=remedy) from error
    except KeyringError as error:
        why = str(error) or type(error).__name__
        remedy = "Unlock it, or set GEMINI_API_KEY instead."
        raise ConfigurationError("The keyring refuses.", why=why, remedy=remedy) from error


def _missing_extra(kind: str, extra: str) -> ConfigurationError:
    return ConfigurationError(
        f"The key store {kind} needs a package that is not installed.",
        remedy=f'Install it: pip install "heliograph[{extra}]".',
    )


def _key_files() -> dict[str, str | None]:
    """`GEMINI_API_KEY_FILE=/path` as Docker and Kubernetes images use it."""
    found: dict[str, str | None] = {}
    for name in KEY_NAMES:
        path = os.environ.get(f"{name}_FILE")
        if path:
            try:
                found[name] = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"{name}_FILE names a file that cannot be read.",
                    why=f"{path}: {error}",
                    remedy="Mount the secret there, or unset the variable.",
                ) from error
    return found


def _clean(secret: str, origin: str) -> str:
    """The key without surrounding white space; refuses what cannot be sent as a header."""
    cleaned = secret.strip()
    if not cleaned.isascii() or not cleaned.isprintable() or " " in cleaned or not cleaned:
        raise ConfigurationError(
            f"The API key from {origin} holds characters that no key has.",
            remedy="Copy it again from AI Studio, without quotes or line breaks.",
        )
    return cleaned


def _unknown_variables() -> Iterator[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and os.environ[name] and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{name} is not a setting{hint}"


def _spelled(name: str, origin: str) -> str:
    """A setting as it is spelled where it comes from."""
    if origin in ("the environment", ".env"):
        return f"{PREFIX}{name.upper()}" + (f" in {origin}" if origin == ".env" else "")
    return f"{name} in {origin}" if origin != "an argument" else f"{PREFIX}{name.upper()}"


def _reasons(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Name and reason of each wrong setting."""
    for found in error.errors():
        message = found["msg"]
        yield _field_of(str(found["loc"][0])), f"{message[:1].lower()}{message[1:]}"
