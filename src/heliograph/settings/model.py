"""The settings themselves: what an operator can set, with defaults, limits and meanings.

Invariant: frozen, and valid by themselves; a value that cannot work is refused here, before
anything is sent.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from platformdirs import user_data_path
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from heliograph.money import parse_dollars
from heliograph.settings.server import ServerSettings

PREFIX = "HELIOGRAPH_"
DAY = 86400.0  # seconds
# They load, but name another zone on each machine, or count leap seconds.
NO_ZONES = ("localtime", "posixrules", "posix/", "right/")


def _expanded(path: Path) -> Path:
    """`~` as a shell would read it; a configuration file has no shell."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
        known = not name.startswith(NO_ZONES)
    except (ValueError, KeyError, OSError):  # each of them, by what is wrong with the name
        known = False
    if not known:
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "such are UTC and Europe/Berlin"
        raise ValueError(f"{name!r} is no time zone; {hint}")
    return name


def _written(value: Any) -> Any:
    """An amount that TOML has read as a number, back as it was written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _amount(text: str) -> str:
    if parse_dollars(text) == 0:
        raise ValueError("with nothing to spend no call could ever be made; leave it unset")
    return text


Folder = Annotated[Path, AfterValidator(_expanded)]
Zone = Annotated[str, AfterValidator(_zone)]
Dollars = Annotated[str, BeforeValidator(_written), AfterValidator(_amount)]


class Settings(ServerSettings):
    """Everything an operator can set; `load_settings` gathers it from all places."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        allow_inf_nan=False,
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
    transport: Literal["generate_content", "interactions"] = Field(
        default="generate_content",
        description="How a call is made: wait for the answer on one connection "
        "(`generate_content`), or submit it and ask for the answer (`interactions`), which loses "
        "nothing when the process dies.",
    )
    files: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Which input images are uploaded once and named by their address from then "
        "on, for 48 hours: large ones of sessions and casts, and what does not fit into a request "
        "(`auto`), all (`always`) or none (`never`). Uploads are free.",
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
    cache: Literal["off", "seeded", "all"] = Field(
        default="seeded",
        description="Which requests an identical earlier picture from the library may answer, at "
        "no cost: none (`off`), those with a seed (`seeded`), or `all`.",
    )
    cache_ttl: float = Field(
        default=30 * DAY,
        gt=0,
        le=36500 * DAY,
        description="Seconds for which an earlier picture may answer; 30 days by default.",
    )
    idempotency_ttl: float = Field(
        default=3 * DAY,
        ge=DAY,
        le=31 * DAY,
        description="Seconds for which the same idempotency key gets the same picture and no "
        "second charge; 72 hours by default.",
    )
    budget_zone: Zone = Field(
        default="UTC",
        description="Time zone in which the days and months of budgets begin, such as "
        "`Europe/Berlin`.",
    )
    spend_per_10_minutes: Dollars | None = Field(
        default=None,
        description="Dollars that a project may spend in ten minutes at the provider, such as "
        "`10`, which is what Google allows in Tier 1; calls wait or are refused here before "
        "Google does it. Without it there is no limit of ours.",
    )
    connect_timeout: float = Field(
        default=5.0, gt=0, le=600, description="Seconds to reach the upstream."
    )
    write_timeout: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds to send the request, its images included."
    )
    answer_timeout: float = Field(
        default=180.0, gt=0, le=3600, description="Seconds to the first byte of an answer."
    )
    late_timeout: float = Field(
        default=120.0,
        ge=0,
        le=3600,
        description="Seconds to go on listening after `answer_timeout`, for a late picture that "
        "is paid for.",
    )
    silence_timeout: float = Field(
        default=30.0, gt=0, le=3600, description="Seconds of silence inside an answer."
    )
    call_timeout: float = Field(default=300.0, gt=0, le=3600, description="Seconds of one call.")
    patience: float = Field(
        default=600.0, gt=0, le=86400, description="Seconds for all attempts and waits together."
    )
    retry_unknown: bool = Field(
        default=False,
        description="Ask once more when the outcome of a call is unknown. It may be paid twice; "
        "every such case is marked in the ledger.",
    )
    bodies_at_once: int = Field(
        default=16,
        ge=1,
        le=1024,
        description="Answers that are received at the same time; any number of calls may wait.",
    )
    workers: int = Field(
        default=2, ge=1, le=64, description="Processes that decode and encode images."
    )

    @classmethod
    def settings_customise_sources(cls, *sources: Any, **named: Any) -> tuple[Any, ...]:
        """Only what is handed in: `gather.py` reads the places, to know which one gave what."""
        return (named.get("init_settings") or sources[1],)
