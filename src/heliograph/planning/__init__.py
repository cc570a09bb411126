"""Planning: what a request will be, cost and be held against, before anything is sent.

    plan          Request → Plan, or InvalidRequest with every problem
    estimate      the price of one image by model, size and tier
    offers        every live model × size × tier with its price
    catalogue     what is known of each model, dated and sourced
    uses          the table of named uses

Invariant: pure; facts are data in three TOML files next to this one.
"""

from heliograph.planning.catalogue import Catalogue, Model, PriceRow
from heliograph.planning.load import catalogue
from heliograph.planning.plan import CONTEXT_LOST, DEFAULT_MODEL, DEFAULT_SIZE, plan
from heliograph.planning.price import Offer, estimate, offers
from heliograph.planning.rows import CatalogueError
from heliograph.planning.uses import Use, Uses, uses

__all__ = [
    "CONTEXT_LOST",
    "DEFAULT_MODEL",
    "DEFAULT_SIZE",
    "Catalogue",
    "CatalogueError",
    "Model",
    "Offer",
    "PriceRow",
    "Use",
    "Uses",
    "catalogue",
    "estimate",
    "offers",
    "plan",
    "uses",
]
