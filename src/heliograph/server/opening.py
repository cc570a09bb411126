"""Opens a gateway: client, secrets, limits, and what earlier processes had left.

Invariant: what was opened is closed in every case, the calls under way first.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from heliograph.client import AsyncHeliograph
from heliograph.ports import Observer
from heliograph.server.admission import Admission
from heliograph.server.events import Hub, ignore
from heliograph.server.gateway import Gateway
from heliograph.server.rates import open_rates
from heliograph.server.secrets import open_beside_keys
from heliograph.upstream import Keys

LOG = logging.getLogger("heliograph.server")


@asynccontextmanager
async def open_gateway(
    *,
    home: Path | None = None,
    simulate: bool | None = None,
    base_url: str | None = None,
    api_key: Keys = None,
    settings: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway that takes errands; drains when it is left.

    Raises:
        ConfigurationError: a setting or a secret is wrong.
        MissingKey: nothing is simulated, and there is no key for the upstream.
    """
    hub = Hub()

    def tell(event: Any) -> None:
        hub.take(event)
        if observer is not None:
            observer(event)

    client = AsyncHeliograph(
        home=home,
        simulate=simulate,
        base_url=base_url,
        api_key=api_key,
        settings=settings,
        observer=tell,
    )
    wanted = client.settings
    try:
        access = await client.access()
        store = await client.store()
        folder = wanted.server_secrets or store.home / "server"
        secrets = await open_beside_keys(store.accounts, folder, warn=LOG.warning)
        gateway = Gateway(
            client,
            store,
            hub=hub,
            admission=Admission(
                wanted.server_calls_at_once, wanted.server_waiting, wanted.server_user_waiting
            ),
            rates=await open_rates(wanted.server_redis),
            secrets=secrets,
            simulated=access.simulated,
            observer=observer or ignore,
        )
    except BaseException:
        await client.close()
        raise
    gateway.begin()
    try:
        async with gateway.webhooks:
            yield gateway
    finally:
        await gateway.drain(wanted.server_drain)
        await gateway.close()
