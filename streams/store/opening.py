"""Which store the settings mean. Its library, a large one, is loaded only where it is used."""

from __future__ import annotations

from config.settings import StoreSettings
from streams.store.ports import Store


def open_store(settings: StoreSettings) -> Store:
    """The ClickHouse server at ``settings.url``, or where that is empty the embedded one.

    A server need not be up yet. Raises Usage for a URL that is none and StoreError where another process
    has the embedded store.
    """
    if settings.url:
        from streams.store.server import ServerStore

        return ServerStore(settings)
    from streams.store.embedded import EmbeddedStore

    return EmbeddedStore(settings)
