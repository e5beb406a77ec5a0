"""Hypothesis strategies: JSON values, definitions and histograms that fit them."""

from hypothesis import strategies as st

from tel import definitions

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@st.composite
def definition_fields(draw):
    """The fields of one entry of a Histograms.json, of any kind."""
    kind = draw(st.sampled_from(["boolean", "flag", "count", "enumerated", "linear", "exponential", "categorical"]))
    fields = {"kind": kind}
    if kind == "enumerated":
        fields["n_values"] = draw(st.integers(2, 60) | st.sampled_from(["3 * 7", *definitions.CONSTANTS]))
    elif kind == "categorical":
        fields["labels"] = [f"label{n}" for n in range(draw(st.integers(2, 60)))]
    elif kind in ("linear", "exponential"):
        buckets = draw(st.integers(3, 60))
        fields.update(low=draw(st.integers(1, 50)), high=draw(st.integers(200, 10**6)), n_buckets=buckets)
    return fields


@st.composite
def raw_histograms(draw, definition):
    """A histogram as a client would send it for a Definition."""
    layout = draw(st.sampled_from(definition.layouts))
    counts = st.dictionaries(st.sampled_from(layout.keys), st.integers(0, 2**60), max_size=8)
    statistics = {
        "sum": st.integers(0, 5 * 10**12),
        "log_sum": st.floats(0, 1e9),
        "log_sum_squares": st.floats(0, 1e9),
        "sum_squares_lo": st.integers(-(2**31), -2) | st.integers(0, 2**31),
        "sum_squares_hi": st.integers(0, 2**31),
    }
    return {
        "range": layout.range,
        "bucket_count": layout.n_buckets,
        "histogram_type": layout.types[0],
        "values": draw(counts),
        **draw(st.fixed_dictionaries({}, optional=statistics)),
    }


@st.composite
def defined_histograms(draw):
    """({name: fields of its definition}, {name: a histogram that fits it}), with some STARTUP_ twins."""
    fields = draw(st.dictionaries(st.sampled_from("ABCDEFGH"), definition_fields(), max_size=5))
    histograms = {}
    for name, entry in fields.items():
        twin = draw(st.sampled_from(["", "STARTUP_"]))
        histograms[twin + name] = draw(raw_histograms(definitions.define(name, entry)))
    return fields, histograms
