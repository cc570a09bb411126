"""What an emulator process is told at start; invariant: frozen, and only ever loopback."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SizePolicy = Literal["strict", "silent"]
Billing = Literal["on_complete", "on_accept", "on_first_byte"]
SignatureLength = Literal["realistic", "short"]


class StartError(ValueError):
    """The emulator cannot start as it was told to; the text says why."""


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings:
    """Everything that can be chosen about one emulator."""

    host: str = "127.0.0.1"
    """Address to listen on; anything outside loopback is refused."""
    port: int = 0
    """0 takes a free port."""
    ledger: Path | None = None
    """Append-only JSONL file; none keeps the ledger in memory only."""
    latency: float | Literal["realistic"] = 0.0
    """Seconds the model thinks, or measured ranges by model and size."""
    small: bool = False
    """Cheap plain pictures (still the exact pixels), for volume runs."""
    tiny: bool = False
    """Pictures of about 64 by 64 pixels whatever is asked, for the largest runs; implies small."""
    signatures: SignatureLength | None = None
    """Length of thought signatures; none means short when small, else realistic."""
    api_keys: tuple[str, ...] = ()
    """Accepted keys; empty accepts every key."""
    rules: Path | None = None
    """JSON file with fault rules to start with."""
    quotas: Path | None = None
    """JSON file with quotas to start with."""
    tls: bool = False
    """Listen on TLS ports too, one good and three with bad certificates."""
    enforce_signatures: bool = True
    """Answer 400 for model parts that come back without their signature."""
    size_policy: SizePolicy = "strict"
    """What an unknown imageSize gets: 400, or a silent 1K picture."""
    billing: Billing = "on_complete"
    """When a call becomes a bill: see README.md."""
    seed: int | None = None
    """Same seed and same calls, same bytes; none draws one."""
    exit_with_stdin: bool = False
    """Stop when standard input ends, so a dead parent leaves no orphan."""

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise StartError(
                f"refusing to listen on {self.host!r}: the emulator has no real security and "
                "serves loopback addresses only (127.0.0.0/8, ::1, localhost)"
            )
        if not 0 <= self.port <= 65535:
            raise StartError(f"{self.port} is not a port: 0 to 65535")

    @property
    def short_signatures(self) -> bool:
        """Whether signatures are a few hundred characters instead of millions."""
        small = self.small or self.tiny
        return self.signatures == "short" or (self.signatures is None and small)


def is_loopback(host: str) -> bool:
    """Whether a host can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
