"""mmroute: offline measurement of routers over multimodal language models.

``load_router(folder)`` loads a router that ``mmroute export`` has written; ``Budget(router, usd)``
keeps a mean cost over the queries that it is asked.
"""

from importlib import import_module
from typing import Any

__all__ = ["Budget", "load_router"]

_HOMES = {"Budget": "mmroute.decision.budget", "load_router": "mmroute.decision.deployed"}


def __getattr__(name: str) -> Any:
    """Load what takes time to load when it is asked for, and keep it out of every digest."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
