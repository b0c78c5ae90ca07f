"""What the gate said of a delta, beside the delta in the store.

A delta never changes, and its manifest names the versions of the first run that found this difference. At which later ones
it was found again, and passed the gate, its evaluation says: rolling back must know.
"""

from retrieval.store.objects import ObjectStore
from schemas.delta import DeltaEvaluation, delta_evaluation_key


def write_evaluation(store: ObjectStore, evaluation: DeltaEvaluation) -> None:
    """Note what the gate said. What passed once stays passed: at older versions the difference was right."""
    known = read_evaluation(store, evaluation.delta_id)
    if evaluation.passed or known is None or not known.passed:
        store.put(delta_evaluation_key(evaluation.delta_id), evaluation.to_json())


def read_evaluation(store: ObjectStore, delta_id: str) -> DeltaEvaluation | None:
    """What the gate said of a delta last; None where it was not asked. Raises Corrupt."""
    found = store.get(delta_evaluation_key(delta_id))
    return DeltaEvaluation.from_json(found.data, delta_evaluation_key(delta_id)) if found else None
