"""A routing plug-in for LiteLLM: an exported router chooses the model of each request.

LiteLLM itself is not needed to import this.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from mmroute.decision.deployed import DeployedRouter, load_router
from mmroute.errors import InputError

NAME = "mmroute"
"""Of its signals."""
logger = logging.getLogger(NAME)


class Context(Protocol):
    """``litellm.types.router.RoutingContext``, as far as it is used."""

    structured_messages: list[dict[str, object]]
    candidate_models: list[str]
    metadata: dict[str, object]
    signals: dict[str, object]


_Context = TypeVar("_Context", bound=Context)


class Refused(InputError):
    """A request that cannot be decided; LiteLLM answers it with this status, and asks no model."""

    status_code = 400


class MMRoute:
    """Chooses the model of each request; one for ``Router(plugins=[...])`` of LiteLLM.

    Of a model group's deployments it leaves those of one model. A group of one model has nothing
    to choose and stays as it is. Where LiteLLM tries a request again, the best of the models
    that were not tried is next.

    Parameters
    ----------
    router
        A folder that ``mmroute export`` has written, or the router that ``load_router`` made of it.
    models
        By the ``model`` of ``litellm_params``, the name that the router has for it; None: it is
        none that the router chooses among. Of a name that is not given the router's is the same,
        or what follows the provider: ``gpt-5`` of ``openai/gpt-5``.
    budget, trade_off, trade_off_usd, images_from_network
        As for ``DeployedRouter.route``.

    Raises
    ------
    InputError
        As ``load_router`` and ``route``, or if ``models`` has a name that the router does not.
    """

    def __init__(
        self,
        router: DeployedRouter | str | Path,
        models: Mapping[str, str | None] | None = None,
        *,
        budget: float | None = None,
        trade_off: float | None = None,
        trade_off_usd: float | None = None,
        images_from_network: bool = False,
    ) -> None:
        self.router = router if isinstance(router, DeployedRouter) else load_router(router)
        self._given = dict(models or {})
        for name, own in self._given.items():
            if own is not None and own not in self.router.models:
                raise InputError(
                    f"models: {name!r:.80} is to be {own!r:.80}, which is not in the pool; it "
                    f"has: {', '.join(self.router.models)}"
                )
        self.router.threshold(budget, trade_off, trade_off_usd)
        self._how = {
            "budget": budget,
            "trade_off": trade_off,
            "trade_off_usd": trade_off_usd,
            "images_from_network": images_from_network,
        }
        self._reported: set[str] = set()

    async def run(self, context: _Context) -> _Context:
        """Leave the deployments of the model to ask; its prediction goes into the signals.

        Raises
        ------
        Refused
            If the router knows none of several models, or cannot decide on the messages.
        """
        names = context.candidate_models
        if len(set(names)) < 2 or all(self._given.get(name, name) is None for name in names):
            return context
        try:
            own = self._known(names)
            tried = _tried(context.metadata)
            left = set(own.values()).difference(tried) or set(own.values())
            answer = await self.router.aroute(
                messages=context.structured_messages, models=sorted(left), **self._how
            )
        except InputError as error:
            raise Refused(f"mmroute cannot decide: {error}") from None
        context.candidate_models = [name for name in names if own.get(name) == answer.model]
        context.signals[NAME] = {
            "model": answer.model,
            "utility": answer.utility[answer.model],
            "cost_usd": answer.cost_usd[answer.model],
            "tried": [*tried, answer.model],
            "left_out": sorted({name for name in names if name not in own}),
        }
        return context

    def _known(self, names: Sequence[str]) -> dict[str, str]:
        """Name the router's models for those of LiteLLM that it knows."""
        own = {name: found for name in names if (found := self._own(name)) is not None}
        for name in {*names} - {*own} - {*self._given} - self._reported:
            self._reported.add(name)
            logger.warning(
                "LiteLLM's model %.80r is none of the router's, and not chosen; name it in models",
                name,
            )
        if not own:
            raise InputError(
                f"the router knows none of {', '.join(sorted({*names})):.200}; it has: "
                f"{', '.join(self.router.models)}; give models={{LiteLLM's name: the router's}}, "
                "None where it shall not choose"
            )
        for model, count in Counter(own.values()).items():
            alike = [name for name, found in own.items() if found == model]
            if count > 1 and not self._given.keys() >= {*alike}:
                raise InputError(
                    f"{' and '.join(alike):.200} may both be the router's {model!r:.80}; say so of "
                    "each in models, or None of one"
                )
        return own

    def _own(self, name: str) -> str | None:
        """The router's name for a model of LiteLLM, None if it has none."""
        if name in self._given:
            return self._given[name]
        if name in self.router.models:
            return name
        parts = name.split("/")
        ends = ["/".join(parts[start:]) for start in range(1, len(parts))]
        found = [end for end in ends if end in self.router.models]
        if len(found) > 1:
            raise InputError(f"{name!r:.80} may be {' or '.join(found):.200}; say which in models")
        return found[0] if found else None


def _tried(metadata: Mapping[str, object]) -> list[str]:
    """The router's models that earlier tries of a request have left, and that gave no answer.

    Signals of a former request stay where its caller uses its metadata again, so that only
    ``previous_models`` tells an earlier try: LiteLLM sets it on failure, and takes it out at first.
    """
    if not metadata.get("previous_models"):
        return []
    match metadata.get("routing_plugin_signals"):
        case {"mmroute": {"tried": list(tried)}}:
            return [name for name in tried if isinstance(name, str)]
    return []
