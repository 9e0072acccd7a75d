"""One decision, and what came of it."""

from datetime import UTC, datetime
from pathlib import Path

from mmroute.decision_log import Decision, DecisionLog, Outcome

log = DecisionLog(Path("log.jsonl"))
log.write(Decision(id="q17", time=datetime.now(UTC), model="small", propensity=0.95))
log.write(Outcome(id="q17", correct=True, cost_usd=0.0004))
