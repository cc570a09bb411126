"""What an operator can set for the gateway (`heliograph serve`), beside the settings of all faces.

Invariant: as in `model.py`; every default is safe on a laptop and on a public machine alike.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

MINUTE = 60.0  # seconds


class ServerSettings(BaseSettings):
    """The settings whose names begin with `server_`."""

    server_host: str = Field(
        default="127.0.0.1",
        description="Address that `heliograph serve` listens on. Another one than this machine's "
        "own needs at least one user, and TLS in front.",
    )
    server_port: int = Field(default=8700, ge=0, le=65535, description="Its port; 0 takes any.")
    server_url: str | None = Field(
        default=None,
        description="How clients reach the gateway, such as `https://images.example.com/helio`; "
        "used in links. Without it, the host that a request names, if that is allowed.",
        pattern=r"^https?://[^\s/]+(/[^\s?#]*)?$",
    )
    server_hosts: str = Field(
        default="",
        description="Host names that requests may name, separated by commas; those of "
        "`server_url` and of this machine are always allowed.",
    )
    server_proxies: str = Field(
        default="",
        description="Addresses or networks of reverse proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed, separated by commas.",
    )
    server_secrets: Path | None = Field(
        default=None,
        description="Folder with the gateway's own secrets (pepper, signing keys), made at the "
        "first start; without it `server/` in the home folder.",
    )
    server_query_keys: bool = Field(
        default=False,
        description="Accept `?key=` on the Gemini face. Addresses end up in logs of proxies.",
    )
    server_calls_at_once: int = Field(
        default=2000, ge=1, le=100_000, description="Calls under way upstream, of all users."
    )
    server_waiting: int = Field(
        default=10_000, ge=0, le=1_000_000, description="Jobs that may wait for a free place."
    )
    server_user_at_once: int = Field(
        default=600, ge=1, le=100_000, description="Calls under way of one user, by default."
    )
    server_user_waiting: int = Field(
        default=2000, ge=0, le=1_000_000, description="Jobs of one user that may wait."
    )
    server_user_per_minute: int = Field(
        default=1200, ge=1, le=1_000_000, description="Requests of one user in 60 s, by default."
    )
    server_keepalive: float = Field(
        default=15.0,
        ge=1,
        le=600,
        description="Seconds between signs of life in event streams while a picture is made.",
    )
    server_mismatch: Literal["flag", "error"] = Field(
        default="flag",
        description="What a picture of other pixels than asked becomes: a success that says so "
        "(`flag`), or an error (`error`); either way it is kept.",
    )
    server_drain: float = Field(
        default=200.0,
        ge=0,
        le=3600,
        description="Seconds after SIGTERM for calls under way; above the 180 s that the first "
        "byte of an answer may take.",
    )
    server_link_life: float = Field(
        default=15 * MINUTE,
        ge=1,
        le=7 * 86400,
        description="Seconds for which a signed link to a picture is good.",
    )
    server_body_limit: int = Field(
        default=150 << 20, ge=1 << 20, le=1 << 30, description="Bytes of one request body."
    )
    server_redis: str | None = Field(
        default=None,
        description="Address of a Redis that several gateways share their rate limits in, such "
        "as `redis://localhost:6379/0`.",
    )
    server_metrics: Literal["local", "key", "open", "off"] = Field(
        default="local",
        description="Who may read `/metrics`: this machine (`local`), admins (`key`), anybody "
        "(`open`) or nobody (`off`).",
    )
    server_telemetry: bool = Field(
        default=False,
        description="Make spans of OpenTelemetry; needs the extra `telemetry`, and an exporter "
        "that OpenTelemetry itself is told of.",
    )
    server_docs: bool = Field(
        default=False, description="Serve the API's reference pages at `/docs` to anybody."
    )
    server_webhook_hosts: str = Field(
        default="",
        description="Host names that webhooks may be sent to, separated by commas; `*` is any "
        "public one. Without any, webhooks are off.",
    )
