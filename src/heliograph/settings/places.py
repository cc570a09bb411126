"""Where keys lie: secret stores, the environment, files, the system keyring.

Invariant: a place is read only when its turn comes, and no key is written anywhere but into the
keyring, when its owner asks for it.
"""

import difflib
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr
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
)

from heliograph.errors import ConfigurationError
from heliograph.settings.model import PREFIX, Settings
from heliograph.settings.pool import NAMES, POOL_NAMES, read_key, read_pool

KEYRING = "heliograph"  # the service name under which keys are stored


class _Keys(BaseSettings):
    """The names that keys can have, in whatever store."""

    GOOGLE_API_KEYS: SecretStr | None = None
    GEMINI_API_KEYS: SecretStr | None = None
    GOOGLE_API_KEY: SecretStr | None = None
    GEMINI_API_KEY: SecretStr | None = None


Read = Callable[[], dict[str, Any]]  # text or None by name; a secret store may hold anything


def places(settings: Settings) -> Iterator[tuple[str, Read]]:
    """What to call each place, and how to read it, in the order in which they are asked.

    Reading one raises ConfigurationError when it cannot be read, or has no such store or extra.
    """
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


def _ask(source: PydanticBaseSettingsSource | Read) -> dict[str, Any]:
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
            return {name: keyring.get_password(KEYRING, name) for name in NAMES}
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
    for name in NAMES:
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


def store_key(name: str, secret: str) -> None:
    """Put a key, or several, into the system keyring, where they are looked for last.

    Args:
        name: one of `KEY_NAMES`, or of `POOL_NAMES` for several.
        secret: the key, or `label=KEY` for each of several.

    Raises:
        ConfigurationError: it cannot be a key, or there is no keyring to put it into.
    """
    if name in POOL_NAMES:
        text = ",".join(f"{key.project}={key.secret}" for key in read_pool(secret, "the input"))
    else:
        text = read_key(secret, "the input").secret
    with _open_keyring() as keyring:
        keyring.set_password(KEYRING, name, text)


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
