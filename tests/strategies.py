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


members = st.dictionaries(st.sampled_from(["x", "y", "simpleMeasurements", "log"]), json_values, max_size=2)
small = st.text("abc", max_size=3) | st.integers(0, 9)


def keyed(draw, fields):
    """{name: {key: histogram}} for some keyed definitions."""
    return {
        name: draw(
            st.dictionaries(st.text("kl ", max_size=3), raw_histograms(definitions.define(name, entry)), max_size=2)
        )
        for name, entry in fields.items()
    }


@st.composite
def holders(draw, fields, keyed_fields):
    """An object that holds plain and keyed histograms, as a payload or a process does."""
    plain = {name: draw(raw_histograms(definitions.define(name, entry))) for name, entry in fields.items()}
    return draw(
        st.fixed_dictionaries(
            {},
            optional={
                "histograms": st.just(plain),
                "keyedHistograms": st.just(keyed(draw, keyed_fields)),
                "z": json_values,
            },
        )
    )


@st.composite
def raw_pings(draw):
    """({name: fields of its definition}, a raw ping of any generation whose histograms all fit)."""
    fields = draw(st.dictionaries(st.sampled_from("ABCDEF"), definition_fields(), max_size=4))
    keyed_fields = {
        name: {**entry, "keyed": True}
        for name, entry in draw(st.dictionaries(st.sampled_from("STUV"), definition_fields(), max_size=2)).items()
    }
    some = holders(fields, keyed_fields)
    inside = {**draw(members), **draw(some)}
    inside["processes"] = {name: draw(some) for name in draw(st.sets(st.sampled_from(["content", "gpu"])))}
    inside["childPayloads"] = draw(st.lists(some, max_size=2))
    info = draw(st.dictionaries(st.sampled_from(["reason", "OS", "locale", "addons", "version"]), small))
    form = draw(st.sampled_from(["classic", "device", "main", "saved-session", "health"]))
    defined = {**fields, **keyed_fields}
    if form == "classic":
        return defined, {"ver": 1, "info": info, **inside}
    if form == "device":
        return defined, {"ver": 3, "deviceinfo.platform_version": draw(small), "locale": draw(small), **draw(members)}
    ping = {"type": form, "version": 4, "id": "i", "clientId": "c", "payload": {"ver": 4, "info": info, **inside}}
    ping["application"] = draw(st.dictionaries(st.sampled_from(["name", "channel", "version", "buildId", "q"]), small))
    adapter = st.dictionaries(st.sampled_from(["description", "RAM", "GPUActive"]), small)
    systems = st.fixed_dictionaries({}, optional={
        "os": st.fixed_dictionaries({"name": st.sampled_from(["Windows_NT", "Linux"]), "version": small}),
        "memoryMB": small,
        "gfx": st.fixed_dictionaries({"adapters": st.lists(adapter, max_size=3)}),
    })  # fmt: skip
    ping["environment"] = {"system": draw(systems), "settings": {"locale": draw(small)}}
    return defined, ping
