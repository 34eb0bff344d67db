"""What the cases are made of."""

from dataclasses import dataclass, field

VOCABULARY = 250  # the smallest: tokens are below it
WINDOW = 12
ROPE = "rope_parameters"


@dataclass(frozen=True)
class Case:
    config: type  # of transformers
    values: dict  # for its constructor
    changes: dict = field(default_factory=dict)  # dotted key of config.json: another value
    old_keys: bool = False  # config.json as transformers 4 wrote it
    hub: dict = field(default_factory=dict)  # what else the hub's config.json has
    absent: str = ""  # keys that the hub's config.json leaves to their defaults
    rename: tuple = ("", "")  # (what names begin with for save_pretrained, and in hub files)
    unused: dict = field(default_factory=dict)  # tensors of hub files that no model needs: shapes
    copies: dict = field(default_factory=dict)  # a second name of another tensor's values
    unread: str = ""  # before names of tensors that text does not need
    text_of: str = ""  # model_type of the config whose text_config this is
    stacked: bool = False  # a layer's experts are in one tensor, as modules hold them


def sizes(vocabulary=VOCABULARY, **others):
    """What most families call alike: 3 layers of 4 heads of 12 elements."""
    return dict(
        vocab_size=vocabulary, hidden_size=48, intermediate_size=80, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=128, pad_token_id=None, bos_token_id=1,
        eos_token_id=2,
    ) | others  # fmt: skip


def rope(kind="default", theta=10000.0, **others):
    return {ROPE: {"rope_type": kind, "rope_theta": theta} | others}


def both_kinds(theta, **scaling):
    """Rope of layers with a window, and of the others, which scaling is about."""
    plain = {"rope_type": "default", "rope_theta": theta}
    return {ROPE: {"sliding_attention": plain, "full_attention": plain | scaling}}


def gqa(**others):
    return sizes(num_key_value_heads=2, **others)


def per_layer(layers, name, shape):
    return {name.format(layer): shape for layer in range(layers)}


NO_SCALING = {"rope_scaling": None}
DEFAULT_ROPE = {f"{ROPE}.rope_type": "default"}
# Two ways of 12 / 2 = 6 factors; short ones that are not 1, so that they cannot be left out.
SHORT = [1.0, 1.05, 1.1, 1.2, 1.4, 1.7]
LONG = [1.0, 1.5, 2.5, 4.0, 7.0, 11.0]
