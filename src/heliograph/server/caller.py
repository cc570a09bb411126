"""Who asks, what is asked for, and what comes of it: the nouns between faces and gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.accounts import SCOPES, ApiKey, Role, Scope, User
from heliograph.jobs import Job
from heliograph.types import NOTHING, Request, Result


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who a request comes from, once that is proven."""

    user: User
    key: ApiKey
    address: str  # of the client, as far as proxies are believed
    request_id: str  # names the request in logs and answers

    def may(self, scope: Scope) -> bool:
        """Whether role and key allow it."""
        return scope in SCOPES[self.user.role] and scope in self.key.scopes

    @property
    def is_admin(self) -> bool:
        return self.user.role is Role.ADMIN and Scope.ADMIN in self.key.scopes

    @property
    def sees(self) -> str | None:
        """Whose things it sees: its user's id, or None for everybody's."""
        return None if self.is_admin else self.user.id


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What a face asks the gateway for."""

    caller: Caller
    face: str  # "gemini", "openai" or "native"
    route: str  # method and route template: "POST /images/generations"
    request: Request  # owner and access are set by the gateway
    count: int = 1  # pictures
    # what of the answer's shape belongs to the request: an idempotency key promises it, too
    shape: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    key: str | None = None  # idempotency key
    retries: int = 0  # the client's `x-stainless-retry-count`
    wait: float | None = None  # seconds to wait for a job that runs already; None: as the rules say
    durable: bool = False  # it goes on after a restart, and nobody waits on the connection
    webhook: str | None = None  # id of the webhook to tell


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of an errand."""

    job: Job
    results: tuple[Result, ...]  # at least one
    replayed: bool = False  # a job that was there already answers: no call, no charge

    @property
    def cost(self) -> int:
        """What this request cost, pictures that failed included, in micro-dollars."""
        return 0 if self.replayed else self.job.cost
