"""Users, keys, money and calls, as they are asked for and answered."""

from typing import Annotated, Literal

from pydantic import Field

from heliograph.money import MAX_MICRO
from heliograph.server.native.shapes.forms import NAME
from heliograph.server.native.shapes.plain import (
    INTEGRAL,
    Asked,
    Id,
    Micro,
    Moment,
    Money,
    Told,
)

RoleName = Literal["admin", "member", "viewer"]
ScopeName = Literal["generate", "read", "manage", "admin"]
UserName = Annotated[str, Field(max_length=64, pattern=NAME, examples=["anna"])]
KeyName = Annotated[str, Field(max_length=64, pattern=NAME, examples=["laptop"])]
Hours = Annotated[int, Field(ge=0, le=24 * 366), INTEGRAL]


class LimitsWanted(Asked):
    """How much at a time; what is left out has no limit of its own."""

    per_minute: Annotated[int, Field(ge=1, le=1_000_000), INTEGRAL] | None = Field(
        default=None, description="Requests in any 60 s."
    )
    at_once: Annotated[int, Field(ge=1, le=100_000), INTEGRAL] | None = Field(
        default=None, description="Calls under way."
    )


class Limits(Told):
    """How much at a time; null is no limit of its own."""

    per_minute: int | None
    at_once: int | None


class UserWanted(Asked):
    """A new user."""

    name: UserName
    role: RoleName = "member"
    limits: LimitsWanted | None = None


class UserChange(Asked):
    """What is to be different; what is left out stays."""

    name: UserName | None = None
    role: RoleName | None = None
    disabled: bool | None = None
    limits: LimitsWanted | None = None


class User(Told):
    """One user."""

    id: str
    name: str
    role: RoleName
    disabled: bool
    limits: Limits
    created: Moment
    changed: Moment


class Users(Told):
    """All users, those made first first."""

    items: list[User]


class BudgetsWanted(Asked):
    """Budgets of a key; what is left out is as that of the key that makes it."""

    total: Micro | None = None
    day: Micro | None = None
    month: Micro | None = None


class KeyWanted(Asked):
    """A new key; never with more than the key that makes it."""

    name: KeyName
    user: Id | None = Field(default=None, description="Whose; an admin may say another's.")
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=4)] | None = Field(
        default=None, description="What it may be used for; without it all that you may."
    )
    hours: Annotated[int, Field(ge=1, le=24 * 3660), INTEGRAL] | None = Field(
        default=None, description="How long it is good; without it as long as yours."
    )
    limits: LimitsWanted | None = None
    budgets: BudgetsWanted | None = None


class Rotation(Asked):
    """How a key is replaced."""

    overlap_hours: Hours = Field(
        default=24, description="How long the old one stays good beside the new one."
    )


class Key(Told):
    """One key, without its text."""

    id: str
    user: str
    name: str
    scopes: list[ScopeName]
    created: Moment
    expires: Moment | None
    revoked: Moment | None
    last_used: Moment | None
    limits: Limits


class NewKey(Key):
    """One key with its text, which is shown this once."""

    text: str = Field(
        description="The key itself. It is kept nowhere; store it now.",
    )


class Keys(Told):
    """Keys, those made first first; revoked ones, too."""

    items: list[Key]


class Me(Told):
    """Who you are here."""

    user: User
    key: Key


# ---------------------------------------------------------------- money


class CostRow(Told):
    """One row of a cost report; simulated and real money never share one."""

    group: str
    calls: int
    images: int
    cost: Money
    simulated: bool


class Costs(Told):
    """Settled cost."""

    by: str
    items: list[CostRow]


class BudgetWanted(Asked):
    """What may be spent; what was spent before counts."""

    limit_micro: Annotated[
        int, Field(ge=1, le=MAX_MICRO, description="Micro-dollars: 1,000,000 are $1."), INTEGRAL
    ]


class Budget(Told):
    """One budget and what is taken of it now."""

    name: str
    limit: Money
    taken: Money = Field(description="Settled, reserved and held, real and simulated apart.")
    taken_simulated: Money
    left: Money


class Budgets(Told):
    """Budgets that count for you."""

    items: list[Budget]


class Balance(Told):
    """What one account has taken."""

    scope: str
    simulated: bool
    settled: Money
    reserved: Money = Field(description="Of calls under way.")
    held: Money = Field(description="Of calls whose outcome is unknown.")


class Balances(Told):
    """Your money here."""

    left: Money | None = Field(description="In the tightest budget; null without any.")
    items: list[Balance]


# ---------------------------------------------------------------- calls


class Call(Told):
    """One call of unknown outcome."""

    id: str
    job: str
    stage: str
    model: str
    upstream: str
    project: str
    simulated: bool
    reserved: Money = Field(description="What it may have cost at most.")
    begun: Moment
    changed: Moment
    note: str | None


class Calls(Told):
    """Calls, those begun last first."""

    items: list[Call]


class Resolution(Asked):
    """What the provider's billing says of a call."""

    micro: Annotated[int, Field(ge=0, le=MAX_MICRO), INTEGRAL] | None = Field(
        description="Micro-dollars that were billed; null when nothing was."
    )
