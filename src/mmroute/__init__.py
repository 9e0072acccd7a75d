"""mmroute: offline measurement of routers over multimodal language models.

``load_router(folder)`` loads a router that ``mmroute export`` has written.
"""

from importlib import import_module
from typing import Any

__all__ = ["load_router"]


def __getattr__(name: str) -> Any:
    """Load what takes time to load when it is asked for, and keep it out of every digest."""
    if name == "load_router":
        return import_module("mmroute.decision.deployed").load_router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
