"""The tiny models of make_family_references.py: one case per family and per switch of a family.

Heads are of 8 to 16 elements; windows, soft-caps and original context lengths are small enough
that 64 tokens feel them. `changes` are ablations: each must move the logits, or the case would not
show what it is there for.
"""

from .case import ROPE, VOCABULARY, WINDOW
from .cohere_and_later import COHERE_AND_LATER
from .delta_nets import WITH_DELTA_NETS
from .experts import EXPERTS
from .gemma import GEMMA, LATER_GEMMA
from .layer_norm import WITH_LAYER_NORM
from .llama import LLAMA, MISTRAL_AND_QWEN
from .phi_and_others import PHI_AND_OTHERS
from .state_spaces import WITH_STATE_SPACES

__all__ = ["CASES", "ROPE", "VOCABULARY", "WINDOW"]

CASES = (
    LATER_GEMMA | LLAMA | EXPERTS | WITH_DELTA_NETS | WITH_STATE_SPACES | MISTRAL_AND_QWEN | GEMMA
    | PHI_AND_OTHERS | WITH_LAYER_NORM | COHERE_AND_LATER
)  # fmt: skip
