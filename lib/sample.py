"""Realistic raw Firefox pings made from a number: the same seed gives the same bytes, on every machine.

Each line is drawn from bits of one random.Random, so many to a line, whatever becomes of it: the lines of a shorter
run begin a longer one, and those that are not spoilt are the same with any share of bad lines. Every histogram of a
seed has VARIANTS texts, made when first drawn; a ping is one of each, so that two pings share about one histogram in
VARIANTS (more of the simple ones), while ids and the numbers of the measurements are new in every ping.
"""

import functools
import math
import os
import random
import re
import struct
from collections import namedtuple

from tel import definitions, jsonl
from tel.errors import UsageError

FULL, SMALL, HEALTH = "full", "small", "health"  # the shapes of ping: see `pings`
VARIANTS = 32  # a power of two: a byte is cut down to the number of one
UNREPORTED = 1 / 7  # of the variants of a histogram: pings in which it is not sent at all
TWINNED = ("CACHE_LOCK_WAIT_", "STORAGE_")  # clients send these families a second time, as STARTUP_<name>
DEFINITIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "Histograms.json")

SMALL_NAMES = (
    "CACHE_LOCK_WAIT_OPEN_MS",
    "STARTUP_CACHE_LOCK_WAIT_OPEN_MS",
    "HTTP_PAGE_CONNECT_TIME_MS",
    "MEMORY_SCRIPTS_KB",
    "TABS_OPEN_TOTAL",
    "GC_REASON_2",
    "PROFILE_LOCK_RESULT",
    "STARTUP_PROFILE_LOCK_RESULT",
    "HTTP_PAGE_SECURE",
    "SAFE_MODE_USED",
    "TABS_OPENED_COUNT",
    "UPDATE_END",
)

Channel = namedtuple("Channel", "name repository node version builds")
System = namedtuple("System", "application os version arch wow64")

RELEASE = Channel(
    "release", "releases/mozilla-release", "5b1e0c7d9a3f48626e0d17c4b8f29a53d06c41e7", "23.0.1", ("20130815101112",)
)
BETA = Channel(
    "beta",
    "releases/mozilla-beta",
    "c20f94ab6d7e31580b4a96f3e7d812c5490b6fa8",
    "24.0",
    ("20130819110203", "20130823104417", "20130827120931", "20130830103355"),
)
AURORA = Channel(
    "aurora",
    "releases/mozilla-aurora",
    "0e83d15f4b6a97c2d8e01f7a3b5c946082d7fe19",
    "25.0a2",
    tuple(f"201308{day:02d}004107" for day in range(20, 31)),
)
NIGHTLY = Channel(
    "nightly",
    "mozilla-central",
    "94d6b07e2c1f5a8e3b70d9416fc825ea7d03b1f6",
    "26.0a1",
    tuple(f"201308{day:02d}030311" for day in range(12, 31)),
)
CHANNELS = (RELEASE, BETA, AURORA, NIGHTLY)
APPLICATIONS = {
    "Firefox": "{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
    "Fennec": "{aa3c5121-dab2-40e2-81ca-7ea25febc110}",
}


def weighted(*pairs):
    """A tuple of 256 values to choose from by a byte, each there in proportion to its weight.

    >>> weighted((3, "a"), (1, "b")).count("b")
    64
    """
    total, start, table = sum(weight for weight, _ in pairs), 0, []
    for weight, value in pairs:
        start += weight
        table += [value] * (256 * start // total - len(table))
    return tuple(table)


CHANNEL = weighted((55, RELEASE), (20, BETA), (9, AURORA), (16, NIGHTLY))
REASON = weighted((56, "idle-daily"), (42, "saved-session"), (2, "test-ping"))
SCHEME = weighted((1, "http"), (1, "https"))
DIGITS = weighted((3, 12), (1, 40))
LOCALE = weighted(
    *((40, "en-US"), (12, "de"), (9, "fr"), (7, "es-ES"), (6, "pl"), (6, "ru"), (5, "pt-BR"), (4, "ja"), (3, "it")),
    *((3, "zh-CN"), (2, "nl"), (1, "cs"), (1, "sr"), (1, "ja-JP-mac")),
)
SYSTEM = weighted(
    (28, System("Firefox", "WINNT", "6.1", "x86", "true")),
    (18, System("Firefox", "WINNT", "6.1", "x86", "false")),
    (18, System("Firefox", "WINNT", "5.1", "x86", "false")),
    (11, System("Firefox", "WINNT", "6.2", "x86", "true")),
    (5, System("Firefox", "WINNT", "6.0", "x86", "false")),
    (5, System("Firefox", "Darwin", "12.4.0", "x86-64", "false")),
    (3, System("Firefox", "Darwin", "10.8.0", "x86-64", "false")),
    (3, System("Firefox", "Linux", "3.8.0-29-generic", "x86-64", "false")),
    (2, System("Firefox", "Linux", "3.2.0-52-generic-pae", "x86", "false")),
    (3, System("Fennec", "Android", "17", "arm", "false")),
    (1, System("Fennec", "Android", "10", "arm", "false")),
)
PROCESSORS = weighted((2, 1), (9, 2), (8, 4), (3, 8), (1, 3))
MEMORY = weighted((1, 447), (2, 1014), (5, 2038), (4, 3070), (8, 4077), (5, 8173), (1, 16336))  # megabytes
# JSON texts, for how a string is escaped is a part of what clients send.
ADAPTER = weighted(
    (9, '"Intel(R) HD Graphics Family"'),
    (7, '"NVIDIA GeForce 9600 GT"'),
    (6, '"ATI Radeon HD 4600 Series"'),
    (4, '"Mobile Intel(R) 4 Series Express Chipset (Microsoft Corporation - WDDM 1.1)"'),
    (1, '"Carte graphique intégrée Intel® GMA 950"'),
    (1, '"グラフィックス アダプター"'),
    (1, '"Видеоадаптер \\"Стандарт\\" \\\\ VGA"'),
    (1, '"\\u00dcbertakteter Adapter \\ud83d\\ude80"'),
    (1, '"Adapter 🦊 𝔾𝕃"'),
)
ADDONS = weighted(
    (12, ""),
    (6, ",tabs-in-rows%40sample.example:1.4.2"),
    (4, ",%7B5c7a1b0e-1d5f-4a6b-9a53-0c1d2e3f4a5b%7D:2.0,quiet-pages%40sample.example:0.9.11"),
    (1, ",übersetzer%40sample.example:3.1"),
    (1, ",𝒻ox-🦊%40sample.example:1.0"),
)
STATEMENTS = (
    "SELECT name FROM items WHERE parent = :parent ORDER BY position /* marks.sqlite */",
    "UPDATE visits SET weight = WEIGH(page) WHERE weight < 0 /* visits.sqlite */",
    "DELETE FROM counters WHERE day < :oldest /* counters.sqlite */",
    "INSERT OR REPLACE INTO icons (page, data, expires) VALUES (:page, :data, :expires) /* icons.sqlite */",
    "SELECT groups.name AS name, choices.value AS value FROM choices JOIN groups ON groups.id = choices.owner "
    "WHERE choices.key = :key AND (groups.name = :name OR groups.name LIKE :pattern) /* choices.sqlite */",
    "COMMIT TRANSACTION /* visits.sqlite */",
    "PRAGMA incremental_vacuum(10) /* storage.sqlite */",
    "SELECT key, value FROM kept WHERE scope = :scope LIMIT -1 OFFSET :start /* kept.sqlite */",
)


# --- definitions


def definitions_text():
    """The bytes of the one Histograms.json that all sampled revisions have."""
    with open(DEFINITIONS, "rb") as file:
        return file.read()


@functools.cache
def known():
    """The definitions of the sample: {name: tel.definitions.Definition}."""
    return definitions.load(definitions_text())


@functools.cache
def _extended():
    """The names whose logarithms clients add up; they send 0 for the others."""
    raw = jsonl.loads(definitions_text())
    return frozenset(name for name, fields in raw.items() if "extended_statistics_ok" in fields)


@functools.cache
def reported_names():
    """The names a full ping may report, in its order: each definition's, and those of the twins."""
    names = []
    for name in known():
        names.append(name)
        if name.startswith(TWINNED):
            names.append(f"STARTUP_{name}")
    return tuple(names)


def write_definitions(directory):
    """Write `<repository>/<node>/Histograms.json` for every revision that pings name; yield each path."""
    from tel import streams

    for channel in CHANNELS:
        folder = os.path.join(directory, channel.repository, channel.node)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "Histograms.json")
        streams.replace(path, definitions_text())
        yield path


# --- histograms


class Pool:
    """The VARIANTS texts of one histogram, `"NAME":{...}` as bytes; an empty one is a histogram not reported."""

    __slots__ = ("name", "definition", "seed", "texts")

    def __init__(self, name, seed):
        self.name, self.seed = name, seed
        self.definition = definitions.find(known(), name)
        self.texts = [None] * VARIANTS

    def text(self, at):
        """The text of variant `at`, made when it is first asked for."""
        if self.texts[at] is None:
            self.texts[at] = self._made(random.Random(self.seed * VARIANTS + at))
        return self.texts[at]

    def _made(self, source):
        if self.definition.kind != "flag" and source.random() < UNREPORTED:
            return b""
        layout = _one_of(source, self.definition.layouts)
        counts = _counts(source, self.definition, layout)
        amounts = [(count, _amount(source, layout, at)) for at, count in counts.items()]
        sent = sorted(_with_neighbours(layout, counts).items())
        values = ",".join(f'"{layout.keys[at]}":{count}' for at, count in sent)
        text = (
            f'"{self.name}":{{"range":[{layout.low},{layout.high}],"bucket_count":{layout.n_buckets},'
            f'"histogram_type":{_one_of(source, layout.types)},"values":{{{values}}},{_statistics(self, amounts)}}}'
        )
        return text.encode()


def _one_of(source, values):
    return values[int(source.random() * len(values))]


def _counts(source, definition, layout):
    """{bucket index: count > 0} of one session, of the form its kind has; {} for one in which nothing happened."""
    if definition.kind == "flag":
        return {int(source.random() < 0.2): 1}
    if definition.kind == "count":
        return {0: _many(source)}
    if definition.kind in ("linear", "exponential"):
        return _spread(source, layout.n_buckets)
    # The last bucket of a choice among some values is for what lies beyond them.
    return _chosen(source, len(definition.labels) or layout.n_buckets - 1)


def _many(source):
    """How many samples a histogram holds: mostly few, rarely some ten thousand."""
    power = source.random() * source.random() * 15
    return 1 + int((1 << int(power)) * (1 + power % 1))  # no floating power, on which C libraries differ


def _squared(number):
    return number * number


def _spread(source, n_buckets):
    """Counts of a quantity: a quarter only in the first bucket, the others a hill with gaps; a few nothing at all."""
    form = source.random()
    if form < 0.02:
        return {}
    if form < 0.28:
        return {0: _many(source)}
    counts, start, many = {}, int(_squared(source.random()) * n_buckets), _many(source)
    for at in range(start, min(start + 1 + int(_squared(source.random()) * 56), n_buckets)):
        if at == start or source.random() < 0.8:
            counts[at] = 1 + int(many * _squared(source.random()))
            many = many * 3 // 4
    return counts


def _chosen(source, choices):
    """Counts of a choice: one to four of the first `choices` buckets, the first more often."""
    picked = {int(_squared(source.random()) * choices) for _ in range(1 + int(source.random() * 4))}
    return {at: _many(source) for at in sorted(picked)}


def _with_neighbours(layout, counts):
    """The counts and, as clients send them, an empty bucket on either side, where there is one."""
    edges = {min(counts) - 1, max(counts) + 1} if counts else ()
    return {**{at: 0 for at in edges if 0 <= at < layout.n_buckets}, **counts}


def _amount(source, layout, at):
    """A measured amount that falls into bucket `at`."""
    low, after = layout.bounds[at], layout.bounds[min(at + 1, layout.n_buckets - 1)]
    return low + int(source.random() * (after - low))


def _statistics(pool, amounts):
    """The sums of (count, amount) pairs, as JSON members: of logarithms for exponential histograms, else of squares."""
    if pool.definition.kind == "count":
        amounts = [(count, 1) for count, _ in amounts]
    total = sum(count * amount for count, amount in amounts)
    if pool.definition.kind == "exponential":
        return f'"sum":{total},{_logarithms(amounts if pool.name.replace("STARTUP_", "") in _extended() else ())}'
    squares = sum(count * amount * amount for count, amount in amounts)
    low = (squares + 2**31) % 2**32 - 2**31  # clients print the lower half as a signed number
    return f'"sum":{total},"sum_squares_lo":{low},"sum_squares_hi":{squares >> 32}'


def _logarithms(amounts):
    """The sums of log(1 + amount), in single precision as clients have it: then C libraries agree on it."""
    total = squares = 0
    for count, amount in amounts:  # not by sum(), which adds floats in another way since Python 3.12
        log = struct.unpack("f", struct.pack("f", math.log(1 + amount)))[0]
        total, squares = total + count * log, squares + count * log * log
    return f'"log_sum":{total or 0!r},"log_sum_squares":{squares or 0!r}'


# --- pings


class Draft:
    """A ver 1 ping in pieces, so that it can be spoilt: `front`, the `histograms`, `middle` and `info` (bytes)."""

    __slots__ = ("front", "histograms", "middle", "info")

    def __init__(self, front, histograms, middle, info):
        self.front, self.histograms, self.middle, self.info = front, histograms, middle, info

    def text(self):
        """The ping as compact JSON."""
        return b"%s%s%s%s}" % (self.front, b",".join(self.histograms), self.middle, self.info)


class Classic:
    """The source of ver 1 pings, full or small."""

    def __init__(self, seed, small):
        names = reported_names()
        wanted = SMALL_NAMES if small else names
        self.pools = [Pool(name, seed * 65536 + at) for at, name in enumerate(names) if name in wanted]
        self.small, self.random = small, random.Random(seed)

    def draw(self):
        """(document id, Draft) of the next ping."""
        size = 64 + len(self.pools)
        data = self.random.getrandbits(8 * size).to_bytes(size, "little")
        front, middle = _small_frame(data) if self.small else _frame(data)
        draft = Draft(front.encode(), self._histograms(data[64:]), middle.encode(), f',"info":{_info(data)}'.encode())
        return document_id(data.hex()), draft

    def _histograms(self, data):
        """The texts of the histograms that are reported, one of each pool, chosen by a byte."""
        texts = [pool.texts[byte % VARIANTS] for pool, byte in zip(self.pools, data)]
        if None in texts:
            texts = [pool.text(byte % VARIANTS) for pool, byte in zip(self.pools, data)]
        return list(filter(None, texts))


class Health:
    """The source of version 4 pings that carry no histograms; its drafts are their JSON text."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.applications, self.payloads, self.times = _health_applications(), _health_payloads(), _health_times()

    def draw(self):
        """(document id, ping as compact JSON) of the next ping."""
        data = self.random.getrandbits(320).to_bytes(40, "little")
        digits = data.hex()
        id = document_id(digits)
        text = (
            f'{{"type":"health","id":"{id}",'
            f'"creationDate":"2018-06-{self.times[data[35]]}:{data[36] % 60:02d}.{data[39]:03d}Z","version":4,'
            f'"application":{self.applications[data[37]]},"payload":{self.payloads[data[38]]},'
            f'"clientId":"{document_id(digits[34:])}"}}'
        )
        return id, text.encode()


_VARIANT_DIGIT = dict(zip("0123456789abcdef", "89ab" * 4))


def document_id(digits):
    """A version 4 UUID of the first 32 hex digits.

    >>> document_id("0123456789abcdef0123456789abcdef")
    '01234567-89ab-4def-8123-456789abcdef'
    """
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT_DIGIT[digits[16]]}{digits[17:20]}-{digits[20:32]}"


def _number(data, at, size=2):
    return int.from_bytes(data[at : at + size], "little")


def _frame(data):
    """The text before and after the histograms of a full ping, from bytes 32 to 63 of its data."""
    start, paint, read = 20 + data[32], 1500 + _number(data, 33), 10_000_000 + _number(data, 35, 3)
    steps = ",".join(f'"{name}":{start + share * (paint - start) // 16}' for name, share in _STEPS)
    front = (
        f'{{"ver":1,"simpleMeasurements":{{"uptime":{_number(data, 38)},'
        f'"addonManager":{{"installedUnpacked":{data[40] % 4}}},'
        f'"start":{start},{steps},"startupInterrupted":{data[41] % 2},"debuggerAttached":0,'
        f'"js":{{"setProto":{data[42] % 8},"customIter":{data[43] % 8}}},"shutdownDuration":{_number(data, 44)},'
        f'"maximalNumberOfConcurrentThreads":{20 + data[46] % 64},"startupSessionRestoreReadBytes":{read},'
        f'"startupSessionRestoreWriteBytes":{_number(data, 47)},"startupWindowVisibleReadBytes":{read},'
        f'"startupWindowVisibleWriteBytes":{_number(data, 47)},"savedPings":{data[49] % 10}}},"histograms":{{'
    )
    middle = (
        f'}},"slowSQL":{{"mainThread":{{{_slow(data[50:54])}}},"otherThreads":{{{_slow(data[54:64])}}}}},'
        '"chromeHangs":{"memoryMap":[],"stacks":[],"durations":[]},'
        '"lateWrites":{"memoryMap":[],"stacks":[]},"addonHistograms":{}'
    )
    return front, middle


_STEPS = (  # moments of the start, in sixteenths of the time to the first painting
    *(("main", 4), ("startupCrashDetectionBegin", 5), ("startupCrashDetectionEnd", 160), ("firstPaint", 16)),
    *(("sessionRestored", 17), ("createTopLevelWindow", 7), ("firstLoadURI", 16), ("AMI_startup_begin", 5)),
    *(("XPI_startup_begin", 5), ("XPI_bootstrap_addons_begin", 6), ("XPI_bootstrap_addons_end", 6)),
    *(("XPI_startup_end", 6), ("AMI_startup_end", 6), ("delayedStartupStarted", 16)),
    *(("sessionRestoreInitialized", 16), ("delayedStartupFinished", 17)),
)


def _small_frame(data):
    """The text before and after the histograms of a small ping."""
    front = (
        f'{{"ver":1,"simpleMeasurements":{{"uptime":{_number(data, 38)},"start":{20 + data[32]},'
        f'"firstPaint":{1500 + _number(data, 33)},"savedPings":{data[49] % 10}}},"histograms":{{'
    )
    return front, '},"slowSQL":{"mainThread":{},"otherThreads":{}}'


def _slow(data):
    """Slow statements, each with how often it ran and its milliseconds, from two bytes for each."""
    found = {STATEMENTS[at % len(STATEMENTS)]: (at, time) for at, time in zip(data[::2], data[1::2]) if time < 224}
    return ",".join(f'"{words}":[{1 + at // 32},{100 + 3 * time}]' for words, (at, time) in found.items())


def _info(data):
    """The info object of a ping, from bytes 16 to 31 of its data."""
    channel, system = CHANNEL[data[16]], SYSTEM[data[18]]
    build = channel.builds[data[17] % len(channel.builds)]
    revision = f"{SCHEME[data[19]]}://hg.mozilla.org/{channel.repository}/rev/{channel.node[: DIGITS[data[20]]]}"
    return (
        f'{{"reason":"{REASON[data[21]]}","OS":"{system.os}","appID":"{APPLICATIONS[system.application]}",'
        f'"appVersion":"{channel.version}","appName":"{system.application}","appBuildID":"{build}",'
        f'"appUpdateChannel":"{channel.name}","platformBuildID":"{build}","revision":"{revision}",'
        f'"locale":"{LOCALE[data[22]]}","cpucount":{PROCESSORS[data[23]]},"memsize":{MEMORY[data[24]]},'
        f'"arch":"{system.arch}","version":"{system.version}",{_instructions(system.arch != "arm")},'
        f'"isWow64":{system.wow64},{_adapter(data)},'
        f'"persona":"{_number(data, 29)}","addons":"%7B972ce4c6-7e08-4474-a285-3208198ce6fd%7D:{channel.version}'
        f'{ADDONS[data[26]]}","flashVersion":"11.8.800.{data[31] % 128}"}}'
    )


def _adapter(data):
    return (
        f'"adapterDescription":{ADAPTER[data[25]]},"adapterVendorID":"0x10de","adapterDeviceID":"0x{data[27]:04x}",'
        f'"adapterRAM":"{256 << data[28] % 4}","adapterDriver":"driver{data[28] % 16}",'
        f'"adapterDriverVersion":"8.17.{data[27]}.{data[28]}",'
        f'"adapterDriverDate":"{1 + data[27] % 12}-{1 + data[28] % 28}-2011","DWriteVersion":"6.1.7601.18177"'
    )


@functools.cache
def _instructions(intel):
    """What the processor can do."""
    names = ("MMX", "SSE", "SSE2", "SSE3", "SSSE3", "SSE4A", "SSE4_1", "SSE4_2", "EDSP", "ARMv6", "ARMv7", "NEON")
    has = names[:5] if intel else names[8:]
    return ",".join(f'"has{name}":{"true" if name in has else "false"}' for name in names)


def _health_times():
    """256 days, hours and minutes."""
    return [f"{1 + at % 30:02d}T{at % 24:02d}:{at % 59:02d}" for at in range(256)]


def _health_applications():
    """256 texts of `application`, by weight."""
    text = (
        '{{"architecture":"{}","buildId":"{}","name":"Firefox","version":"{}","displayVersion":"{}","vendor":"Mozilla",'
        '"platformVersion":"{}","xpcomAbi":"{}","channel":"{}"}}'
    )
    return weighted(
        (6, text.format("x86-64", "20180605171542", "60.0.2", "60.0.2", "60.0.2", "x86_64-msvc", "release")),
        (3, text.format("x86", "20180605171542", "60.0.2", "60.0.2", "60.0.2", "x86-msvc", "release")),
        (2, text.format("x86-64", "20180611134954", "61.0", "61.0b13", "61.0", "x86_64-gcc3", "beta")),
        (1, text.format("x86-64", "20180612100117", "62.0a1", "62.0a1", "62.0a1", "x86_64-gcc3", "nightly")),
    )


def _health_payloads():
    """256 texts of `payload`, by weight."""
    text = '{{"os":{{"name":"{}","version":"{}"}},"reason":"{}","sendFailure":{{"{}":{}}}}}'
    windows = ((6, "Windows_NT", "10.0"), (3, "Windows_NT", "6.1"))
    systems = (*windows, (2, "Darwin", "17.6.0"), (1, "Linux", "4.15.0-22-generic"))
    failures = ((4, "immediate", "timeout", 1), (2, "delayed", "eUnreachable", 3), (1, "shutdown", "eChannelOpen", 2))
    return weighted(*((a * b, text.format(*system, *failure)) for a, *system in systems for b, *failure in failures))


# --- what can be bad

# What a kind spoils: a line of any shape, the info of a ver 1 ping, or one of its histograms.
LINE, INFO, HISTOGRAM = "line", "info", "histogram"


class Kind(namedtuple("Kind", "error_type scope spoil")):
    """One way to spoil a ping: the `error_type` it is to be rejected with, what it spoils, and the function that does.

    A LINE kind is called with (document id, text, turn) and returns the line; an INFO kind with (info bytes, turn), a
    HISTOGRAM kind with (name, histogram, turn), and they return what takes the place. `turn` counts its uses, from 0.
    """

    __slots__ = ()

    @property
    def whole_line(self):
        """Whether the line is rejected, or else only one of its histograms."""
        return self.scope != HISTOGRAM


def _line(id, text):
    return b"%s\t%s" % (id.encode(), text)


def _cut_short(id, text, turn):
    """A quarter, half or three quarters of the ping, cut before a quote, where no character is cut through."""
    return _line(id, text[: text.rindex(b'"', 0, len(text) * (1 + turn % 3) // 4)])


def _id_empty(id, text, turn):
    """No id before the tab, nor, where a ping names its own, in the ping: it could be found there."""
    return _line("", re.sub(rb'"id":"[^"]*",', b"", text, count=1))


def _with_member(*values):
    """Put a member that holds one of the values (JSON texts) first or last in the ping."""

    def spoil(id, text, turn):
        member = b'"spoilt":' + values[turn // 2 % len(values)]
        return _line(id, b"{%s,%s" % (member, text[1:]) if turn % 2 else b"%s,%s}" % (text[:-1], member))

    return spoil


def _trailing(id, text, turn):
    return _line(id, text + (b",", b"}", b" {}", b"\\n")[turn % 4])


def _generation(new):
    """Exchange the member that tells the ping's generation: `ver`, or `version` before `application`."""

    def spoil(id, text, turn):
        return _line(id, re.sub(rb'"(ver|version)":[14],', new, text, count=1))

    return spoil


def _instead(*texts):
    """Put another JSON text in the place of the ping."""
    return lambda id, text, turn: _line(id, texts[turn % len(texts)])


def _info_instead(*texts):
    return lambda info, turn: texts[turn % len(texts)]


def _revision(*revisions):
    """Put another revision (JSON text; None takes the member out) into the info.

    The version goes too, so that nothing else in the ping can lead to definitions that happen to be known.
    """

    def spoil(info, turn):
        new = revisions[turn % len(revisions)]
        info = re.sub(rb'"appVersion":"[^"]*"', b'"appVersion":"0.9"', info)
        before, _, after = re.split(rb'("revision":"[^"]*",)', info)
        return before + (b"" if new is None else b'"revision":%s,' % new) + after

    return spoil


def _renamed(*names):
    return lambda name, histogram, turn: (names[turn % len(names)], histogram)


def _value(*values):
    """Put something else in the place of the histogram."""
    return lambda name, histogram, turn: (name, values[turn % len(values)])


def _with(member, change):
    """Set a member of the histogram to `change(its value)`."""
    return lambda name, histogram, turn: (name, {**histogram, member: change(histogram[member])})


def _counted(count):
    """Set the count of the first bucket."""
    return _with("values", lambda values: {**values, "0": count})


def _bucket(key):
    """Add a bucket whose key is `key(low, high)`."""

    def spoil(name, histogram, turn):
        return name, {**histogram, "values": {**histogram["values"], key(*histogram["range"]): 1}}

    return spoil


def _without(member):
    return lambda name, histogram, turn: (name, {key: value for key, value in histogram.items() if key != member})


_NODE = b"0" * 40
BAD_KINDS = {
    "json_cut_short": Kind("not_json", LINE, _cut_short),
    "json_nan": Kind("not_json", LINE, _with_member(b"NaN", b"Infinity", b"-Infinity", b"[1,NaN]", b"1e999")),
    "json_leading_zero": Kind("not_json", LINE, _with_member(b"01", b"-01", b"00", b'{"a":[007]}')),
    "json_number_form": Kind("not_json", LINE, _with_member(b"+1", b".5", b"1.", b"0x10", b"1e", b"-")),
    "json_control_character": Kind("not_json", LINE, _with_member(b'"\x01"', b'"a\x1fb"', b'"\x00"')),
    "json_escape": Kind("not_json", LINE, _with_member(b'"\\x41"', b'"\\u12"', b'"\\u{41}"')),
    "json_trailing": Kind("not_json", LINE, _trailing),
    "json_not_at_all": Kind("not_json", LINE, _instead(b"", b"<html></html>", b"undefined", b"{'ver':1}", b"{ver:1}")),
    "lone_surrogate": Kind("lone_surrogate", LINE, _with_member(b'"\\ud800"', b'"\\uDFFF"', b'"\\ude00\\ud83d"')),
    "utf8_invalid": Kind(
        "not_utf8", LINE, _with_member(b'"\xff\xfe"', b'"\xe9t\xe9"', b'"\xc0\xaf"', b'"\xf4\x90\x80\x80"')
    ),
    "utf8_surrogate": Kind("not_utf8", LINE, _with_member(b'"\xed\xa0\xbd\xed\xb8\x80"', b'"\xed\xa0\x80"')),
    "ping_not_an_object": Kind("not_an_object", LINE, _instead(b"[]", b'"ver"', b"1", b"null")),
    "tab_missing": Kind("no_tab", LINE, lambda id, text, turn: id.encode() + (b"", b" ", b",")[turn % 3] + text),
    "id_empty": Kind("no_id", LINE, _id_empty),
    "ver_unknown": Kind("unknown_version", LINE, _generation(rb'"\1":99,')),
    "ver_missing": Kind("unknown_version", LINE, _generation(b"")),
    "info_missing": Kind("missing_info", INFO, _info_instead(b"")),
    "info_not_an_object": Kind("missing_info", INFO, _info_instead(b',"info":[]', b',"info":null', b',"info":"a"')),
    "revision_unknown": Kind(
        "definitions_not_found",
        INFO,
        _revision(
            b'"https://hg.mozilla.org/mozilla-central/rev/%s"' % _NODE[:12],
            b'"http://hg.mozilla.org/releases/mozilla-release/rev/%s"' % _NODE,
            b'"https://hg.mozilla.org/integration/no-such-tree/rev/%s"' % _NODE,
        ),
    ),
    "revision_missing": Kind("definitions_not_found", INFO, _revision(None)),
    "revision_malformed": Kind(
        "definitions_not_found",
        INFO,
        _revision(
            *(b'""', b'"unknown"', b"17", b"null", b"{}", b'"%s"' % _NODE),
            b'"https://hg.mozilla.org/mozilla-central/rev/xyz"',
        ),
    ),
    "revision_hostile": Kind(
        "definitions_not_found",
        INFO,
        _revision(
            b'"https://hg.mozilla.org/../../../../etc/rev/%s"' % _NODE,
            b'"https://hg.mozilla.org/mozilla-central/rev/../../../../etc/passwd"',
            b'"https://hg.mozilla.org//etc/rev/%s"' % _NODE,
            b'"https://hg.mozilla.org/a\\u0000b/rev/%s"' % _NODE,
            b'"file:///etc/passwd"',
            b'"%s"' % (b"../" * 400),
        ),
    ),
    "histogram_unknown": Kind(
        "unknown_histogram",
        HISTOGRAM,
        _renamed("NO_SUCH_HISTOGRAM", "STARTUP_NO_SUCH_HISTOGRAM", "STARTUP_", "", "no/such\n"),
    ),
    "histogram_not_an_object": Kind("not_an_object", HISTOGRAM, _value([], None, 5, "{}", True)),
    "type_wrong": Kind("wrong_type", HISTOGRAM, _with("histogram_type", lambda type: 0 if type else 1)),
    "type_a_string": Kind("wrong_type", HISTOGRAM, _with("histogram_type", str)),
    "bucket_count_wrong": Kind("wrong_bucket_count", HISTOGRAM, _with("bucket_count", lambda count: count + 1000)),
    "range_wrong": Kind("wrong_range", HISTOGRAM, _with("range", lambda range: [range[0], range[1] + 1])),
    "bucket_between": Kind("unknown_bucket", HISTOGRAM, _bucket(lambda low, high: str(high - 1))),
    "bucket_beyond": Kind("unknown_bucket", HISTOGRAM, _bucket(lambda low, high: str(high + 1))),
    "bucket_not_canonical": Kind("unknown_bucket", HISTOGRAM, _bucket(lambda low, high: "01")),
    "bucket_not_a_number": Kind("unknown_bucket", HISTOGRAM, _bucket(lambda low, high: "")),
    "count_fraction": Kind("bad_count", HISTOGRAM, _counted(1.5)),
    "count_negative": Kind("bad_count", HISTOGRAM, _counted(-1)),
    "count_a_string": Kind("bad_count", HISTOGRAM, _counted("1")),
    "sum_a_string": Kind("bad_statistic", HISTOGRAM, _with("sum", str)),
    "sum_null": Kind("bad_statistic", HISTOGRAM, _with("sum", lambda sum: None)),
    "values_missing": Kind("missing_values", HISTOGRAM, _without("values")),
}
_NAMES = {
    FULL: tuple(BAD_KINDS),
    SMALL: tuple(BAD_KINDS),
    HEALTH: tuple(name for name, kind in BAD_KINDS.items() if kind.scope == LINE),
}


def share(text):
    """The percentage that `5%` or `0.5%` names, in millionths of all. Raises UsageError.

    >>> share("2.5%")
    25000
    """
    match = re.fullmatch(r"(\d{1,3})(?:\.(\d{1,4}))?%", text, re.ASCII)
    millionths = int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0")) if match else -1
    if not 0 <= millionths <= 1_000_000:
        raise UsageError(f"--bad takes a percentage from 0% to 100%, not {text!r}")
    return millionths


def bad_kind(i, bad, shape=FULL):
    """The name in BAD_KINDS of what is bad about line `i` (from 0) where `bad` millionths are, or None if it is good.

    >>> [bad_kind(i, 500_000) for i in range(4)]
    [None, 'json_cut_short', None, 'json_nan']
    """
    return _bad_kind(i, bad, shape)[0]


def _bad_kind(i, bad, shape):
    """(the kind's name or None, how often that kind has been used before)."""
    before = i * bad // 1_000_000
    if (i + 1) * bad // 1_000_000 == before:
        return None, 0
    names = _NAMES[shape]
    return names[before % len(names)], before // len(names)


def _spoilt(kind, id, draft, turn):
    """The line of a ping (a Draft, or the text of one without histograms), spoilt."""
    if kind.scope == INFO:
        draft.info = kind.spoil(draft.info, turn)
    if kind.scope == HISTOGRAM:
        _spoil_histogram(kind, draft, turn)
    text = draft if isinstance(draft, bytes) else draft.text()
    return kind.spoil(id, text, turn) if kind.scope == LINE else _line(id, text)


def _spoil_histogram(kind, draft, turn):
    """Spoil one histogram of a draft: another one each time, and a kind that leaves room for every way to be bad."""
    histograms = draft.histograms
    for at in range(turn * 7, turn * 7 + len(histograms)):
        at %= len(histograms)
        [(name, histogram)] = jsonl.loads(b"{%s}" % histograms[at]).items()
        if kind is not BAD_KINDS["bucket_between"] or _has_gap(histogram):
            histograms[at] = jsonl.dumps(dict([kind.spoil(name, histogram, turn)]))[1:-1]
            return


def _has_gap(histogram):
    """Whether no bucket begins one below the last: so it is where the buckets are exponential and the range is wide."""
    return histogram["histogram_type"] == 0 and histogram["range"][1] >= 1000


def pings(count, seed=1, bad=0, shape=FULL):
    """Yield `count` lines, `<document id> TAB <compact JSON>` in bytes; `bad` millionths of them are bad: `bad_kind`.

    Shapes: FULL pings of ver 1 have about 330 histograms in 70 KB, SMALL ones a dozen in 3 KB; HEALTH pings of version
    4 have none, in 500 bytes.
    """
    source = Health(seed) if shape == HEALTH else Classic(seed, shape == SMALL)
    draw, health = source.draw, shape == HEALTH
    for i in range(count):
        id, draft = draw()
        name, turn = _bad_kind(i, bad, shape) if bad else (None, 0)
        if name is not None:
            yield _spoilt(BAD_KINDS[name], id, draft, turn)
        else:
            yield _line(id, draft if health else draft.text())
