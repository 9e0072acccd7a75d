"""An exported router as a plug-in of LiteLLM's proxy, beside its config."""

from pathlib import Path

from mmroute.litellm import MMRoute

plugin = MMRoute(Path(__file__).with_name("router"))
