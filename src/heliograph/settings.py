"""Settings: read once, frozen, all mistakes reported together. The only file that reads the
environment.

Invariant: a key is looked for in one documented order, and whoever uses it can say where it was
found. Nothing here is ever written to a log.
"""

import difflib
import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, ValidationError
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
REMEDY_FOR_KEY = (
    "Set GEMINI_API_KEY (or put it into .env), or add --simulate (library: simulate=True) "
    "to use the local emulator at no cost."
)


class Settings(BaseSettings):
    """Everything an operator can set, from `HELIOGRAPH_…` variables or a `.env` file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    home: Path = Field(
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
    secrets_dir: Path = Field(
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


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key and where it came from."""

    secret: str = field(repr=False)
    origin: str  # "GEMINI_API_KEY in the environment", "… in .env" …
    note: str | None = None  # something to tell the user, such as a second key that is ignored


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; keyword arguments win over the environment, None means not given.

    Raises:
        ConfigurationError: lists every mistake, unknown `HELIOGRAPH_…` variables included.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    mistakes = list(_unknown_variables())
    settings: Settings | None = None
    try:
        settings = Settings(**given)
    except ValidationError as error:
        mistakes += [_mistake(dict(e)) for e in error.errors()]
    if mistakes or settings is None:
        raise ConfigurationError(
            f"The settings have {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}.",
            why="; ".join(mistakes),
            remedy="See docs/reference/settings.md for all settings.",
            facts={"mistakes": mistakes},
        )
    return settings


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
    for origin, read in _places(settings):
        found = {
            name: value
            for name, value in read().items()
            if name in KEY_NAMES and value is not None and value.strip()
        }
        if found:
            name = next(n for n in KEY_NAMES if n in found)
            other = next((n for n in found if n != name and found[n] != found[name]), None)
            return Key(
                secret=_clean(found[name], f"{name} in {origin}"),
                origin=f"{name} in {origin}",
                note=f"{other} is set too and ignored, as in Google's own SDK." if other else None,
            )
    raise MissingKey(
        "There is no API key.",
        why="GEMINI_API_KEY and GOOGLE_API_KEY are set neither in the environment, in .env, in "
        f"{settings.secrets_dir}, nor in the keyring.",
        remedy=REMEDY_FOR_KEY,
    )


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
    """Keys stored by `keyring set heliograph GEMINI_API_KEY`."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        if required:
            raise _missing_extra("keyring", "keyring") from error
        return {}
    try:
        return {name: keyring.get_password("heliograph", name) for name in KEY_NAMES}
    except KeyringError as error:
        if required:
            raise ConfigurationError(
                "The system keyring cannot be read.",
                why=str(error),
                remedy="Unlock it, or set GEMINI_API_KEY instead.",
            ) from error
        return {}


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
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{name} is not a setting{hint}"


def _mistake(error: dict[str, Any]) -> str:
    name = "_".join(str(part) for part in error["loc"])
    name = name if name.isupper() else PREFIX + name.upper()
    return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}"
