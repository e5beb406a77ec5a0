"""The dashboard's page in a real browser: every control used, what is on screen against sums of our own.

Screenshots are kept below pytest's temporary folder.
"""

import csv
import datetime
import functools
import http.server
import importlib.util
import io
import json
import os
import re
import shutil
import threading
import time

import pytest

import published
from published import LEVELS
from tel import page
from tel.errors import IOFailed, UsageError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PLACE = "/sub/dir/"  # where on the server the page lies
PERCENTS = (5, 25, 50, 75, 95, 99, 99.9)
MOST_SECONDS = 2.0  # until a large tree's numbers are seen
if not importlib.util.find_spec("bokeh"):
    pytest.skip("bokeh is missing: the dashboard's page is not checked", allow_module_level=True)


@pytest.fixture(scope="session")
def chromium():
    if not CHROMIUM:
        pytest.skip("chromium is missing: the dashboard's page is not driven")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: the page is not driven")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A static server as there are many."""

    def log_message(self, *words):
        pass


def serve(place):
    """A server of a folder on a port of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=place))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def served(tmp_path_factory, make):
    """(what `make` says of the tree it makes, its folder, the address of its page)."""
    root = tmp_path_factory.mktemp("site")
    place = root.joinpath(*PLACE.strip("/").split("/"))
    place.mkdir(parents=True)
    tree = make(place)
    page.write(place, page.files())
    server = serve(root)
    yield tree, place, f"http://127.0.0.1:{server.server_address[1]}{PLACE}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    yield from served(tmp_path_factory, published.small)


@pytest.fixture(scope="session")
def shots(tmp_path_factory):
    """The folder of the screenshots."""
    return tmp_path_factory.mktemp("screenshots")


class Shown:
    """The page in a tab: what is chosen, what is seen, and what it asked for."""

    def __init__(self, context, address):
        self.context, self.tab, self.address = context, context.new_page(), address
        self.errors, self.requests = [], []
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))

    def open(self, state=""):
        self.tab.goto("about:blank")
        self.tab.goto(self.address + state)
        return self.settle()

    def settle(self):
        """Wait until what was asked for is shown."""
        self.tab.wait_for_selector('#results[aria-busy="false"]')
        return self

    def drawn(self):
        """Wait until the charts are drawn."""
        self.tab.wait_for_selector('#shown[data-charts="drawn"]')
        return self

    def text(self, id):
        return self.tab.locator(f"#{id}").inner_text()

    def select(self, label, value, side=0):
        """Choose in a select, by its label, of a selection."""
        self.side(side).get_by_label(label, exact=True).select_option(label=value)
        return self.settle()

    def side(self, at):
        return self.tab.locator(".side").nth(at)

    def check(self, label, wanted=True):
        self.tab.get_by_label(label, exact=True).set_checked(wanted)
        return self.settle()

    def table(self, place):
        """[(head, cells)] of the rows of the tables in a place."""
        code = "(place) => [...document.querySelectorAll(`#${place} tbody tr`)].map((row) => [...row.cells].map((cell) => cell.firstChild?.textContent ?? ''))"
        return [(cells[0], cells[1:]) for cells in self.tab.evaluate(code, place)]

    def summary(self, column=0):
        return {name: cells[column] for name, cells in self.table("summary")}

    def download(self, name):
        with self.tab.expect_download() as waiting:
            self.tab.get_by_role("button", name=name, exact=True).click()
        return waiting.value.path().read_text()


@pytest.fixture(scope="session")
def window(chromium):
    """A window whose tabs share what was fetched."""
    return windowed(chromium)


def windowed(browser, width=1280, scheme="light"):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(10_000)
    return context


@pytest.fixture
def shown(window, site):
    """The page in a tab; at the end there must have been no error, and no request to another host."""
    view = Shown(window, site[2])
    yield view
    view.tab.close()
    assert view.errors == []
    assert [url for url in view.requests if not url.startswith((site[2], "blob:", "data:", "about:"))] == []


def number(text):
    """The number that a cell shows."""
    return float(re.sub("[≥ ,]", "", text))


def close(value):
    """What is shown with five digits."""
    return pytest.approx(value, rel=1e-4)


def names(percents):
    return {percent: "median" if percent == 50 else f"{percent}%" for percent in percents}


def assert_summary(view, seen, percents=(25, 50, 75), column=0):
    """The summary says what was seen."""
    found = view.summary(column)
    assert (number(found["Pings"]), number(found["Values"])) == (seen.pings, seen.values)
    assert number(found["Mean"]) == close(seen.mean)
    for percent, name in names(percents).items():
        assert number(found[name]) == close(seen.percentile(percent))


def test_a_page_without_its_library_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        page.write(tmp_path, page.files())
    assert "the extra dashboard" in caught.value.cure and not list(tmp_path.iterdir())


def test_a_page_needs_its_folder(tmp_path):
    with pytest.raises(IOFailed):
        page.write(tmp_path / "missing", page.files())


def test_a_page_is_four_files(tmp_path):
    page.write(tmp_path, page.files())
    assert {path.name for path in tmp_path.iterdir()} == {"dashboard.css", "dashboard.js", "index.html", *page.LIBRARY}
    own = b"".join((tmp_path / name).read_bytes() for name in ("index.html", "dashboard.js", "dashboard.css"))
    assert b"http:" not in own and b"https:" not in own and b"innerHTML" not in own


def test_it_opens_with_the_newest_version_of_the_likeliest_channel(shown, site, shots):
    tree = site[0]
    shown.open().drawn()
    first = sorted([*tree.plain, *tree.keyed], key=str.lower)[0]
    assert shown.tab.locator("#measure").input_value() == first == shown.text("name")
    assert "A.channel=nightly&A.version=25" in shown.tab.url
    shown.tab.screenshot(path=shots / "first.png", full_page=True)


@pytest.mark.parametrize("measure", ["CYCLES", "WIDTHS", "STARTED", "CAUSE", "SHRINKS", "__proto__", "constructor"])
def test_every_kind_is_shown_as_computed(shown, site, measure):
    seen = site[0].seen("nightly/25", measure)
    shown.open(f"#measure={measure}&p={','.join(map(str, PERCENTS))}")
    assert_summary(shown, seen, PERCENTS)
    assert [number(cells[1]) for _, cells in shown.table("distribution")] == seen.counts
    assert [int(head) for head, _ in shown.table("distribution")] == list(seen.bounds)
    assert shown.text("description") == site[0].definition("nightly/25", measure)["description"]


def test_a_measure_is_searched_for_by_keyboard(shown, site):
    shown.open()
    field = shown.tab.get_by_label("Measure", exact=True)
    field.focus()
    shown.tab.keyboard.type("of a cycle")
    assert shown.tab.locator("#measures li").count() == 1 and field.get_attribute("aria-expanded") == "true"
    assert shown.tab.locator(f"#{field.get_attribute('aria-activedescendant')}").inner_text().startswith("CYCLES")
    field.press("Enter")
    shown.settle()
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES"))
    assert field.get_attribute("aria-expanded") == "false" and "measure=CYCLES" in shown.tab.url


def test_a_measure_is_chosen_by_arrows_or_by_clicks_or_not_at_all(shown, site):
    shown.open("#measure=CAUSE")
    field = shown.tab.get_by_label("Measure", exact=True)
    field.press("ArrowDown")
    field.press("ArrowDown")
    field.press("Enter")
    assert shown.settle().text("name") == "constructor"
    field.click()
    shown.tab.locator("#measures").get_by_text("WIDTHS", exact=True).click()
    assert shown.settle().text("name") == "WIDTHS"
    field.type("nothing of that name")
    assert shown.text("measures") == "Nothing like that"
    field.press("Escape")
    assert field.input_value() == "WIDTHS" and shown.tab.locator("#measures").is_hidden()


def test_by_submission_day(shown, site):
    shown.open("#measure=CYCLES").check("submission")
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES", "submission"))
    assert "submission day" in shown.text("status")
    shown.check("builds")
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES", "build"))


def test_percentiles_are_chosen(shown, site):
    shown.open("#measure=CYCLES&p=")
    for name in names(PERCENTS).values():
        shown.check(name)
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES"), PERCENTS)
    shown.check("25%", False)
    assert "25%" not in shown.summary() and "p=5%2C50" in shown.tab.url


def test_days_are_chosen(shown, site):
    tree, day = site[0], site[0].dates[3]
    shown.open("#measure=CYCLES")
    for label in ("From", "To"):
        shown.tab.get_by_label(label, exact=True).select_option(label="2013-01-04")
        shown.settle()
    assert_summary(shown, tree.seen("nightly/25", "CYCLES", date=day))
    assert len(shown.table("evolution")) == 1


def test_each_day_has_its_numbers_in_the_table_and_in_the_chart(shown, site):
    shown.open("#measure=CYCLES").drawn()
    shown.tab.get_by_text("The numbers of each day").click()
    rows = shown.table("evolution")
    seen = {f"{d[:4]}-{d[4:6]}-{d[6:]}": site[0].seen("nightly/25", "CYCLES", date=d) for d in site[0].dates}
    assert [day for day, _ in rows] == list(seen)
    for day, (pings, values, mean, low, median, high) in rows:
        assert [number(pings), number(values), number(mean)] == close(
            [seen[day].pings, seen[day].values, seen[day].mean]
        )
        assert [number(low), number(median), number(high)] == close([seen[day].percentile(p) for p in (25, 50, 75)])
    lines = shown.tab.evaluate("() => document.querySelector('#evolution-charts .chart').drawn.lines")
    times = [datetime.datetime.fromisoformat(f"{day}T00:00+00:00").timestamp() * 1000 for day in seen]
    assert [line["x"] for line in lines] == [times] * 3
    for line, percent in zip(lines, (25, 50, 75)):
        assert line["y"] == pytest.approx([each.percentile(percent) for each in seen.values()])


PIXELS = """(colour) => {
  const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const inside = (node) => [...node.querySelectorAll("*")].flatMap((each) => [each, ...(each.shadowRoot ? inside(each.shadowRoot) : [])]);
  const charts = [...document.querySelectorAll(".chart")];
  return charts.map((chart) => inside(chart).filter((each) => each instanceof HTMLCanvasElement && each.width).map((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) found += wanted.every((part, i) => data[at + i] === part) && data[at + 3] === 255;
    return found;
  }).reduce((sum, found) => sum + found, 0));
}"""


@pytest.mark.parametrize("measure", ["CYCLES", "constructor", "RARE"])
def test_charts_are_drawn_in_the_colours_of_the_page(shown, measure):
    shown.open(f"#measure={measure}").drawn()
    shown.tab.wait_for_timeout(300)
    evolution, distribution = shown.tab.evaluate(PIXELS, "#2f5fd0")
    assert evolution > 50 and distribution > 1000


def test_many_changes_at_once_end_in_the_last(shown, site):
    shown.open("#measure=CYCLES&p=")
    shown.tab.evaluate("() => document.querySelectorAll('#percents input').forEach((box) => box.click())")
    shown.settle()
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES"), PERCENTS)
    shown.drawn()
    assert shown.tab.evaluate("() => document.querySelector('#evolution-charts .chart').drawn.lines.length") == 7


def test_charts_that_are_gone_are_forgotten(shown):
    shown.open("#measure=CYCLES").drawn()
    for name in ("5%", "95%", "99%"):
        shown.check(name).drawn()
    assert shown.tab.evaluate("() => Bokeh.documents.length") == shown.tab.locator(".chart").count() == 2


FILTERS = [
    ("Reason", "reason", "idle_daily"),
    ("Application", "appName", "Fennec"),
    ("Operating system", "OS", "Linux"),
    ("Operating system", "OS", "<b>OS</b>"),
    ("OS version", "osVersion", "3.1"),
    ("OS version", "osVersion", "__proto__"),
    ("Architecture", "arch", "x86"),
    ("Architecture", "arch", "constructor"),
]


def test_each_filter_leaves_its_own(shown, site):
    shown.open("#measure=CYCLES")
    for label, level, value in FILTERS:
        shown.select(label, value)
        assert_summary(shown, site[0].seen("nightly/25", "CYCLES", **{level: value}))
        shown.select(label, "any")
        assert_summary(shown, site[0].seen("nightly/25", "CYCLES"))


def test_the_address_keeps_every_filter(shown, site):
    path = dict(zip(LEVELS, site[0].leaves[-1]))
    shown.open("#measure=CYCLES")
    for label, level, _ in FILTERS:
        shown.select(label, path[level])
    shown.open(shown.tab.url.removeprefix(site[2]))
    chosen = "[...document.querySelectorAll('.filters select')].map((select) => select.selectedOptions[0]?.textContent)"
    assert shown.tab.evaluate(chosen)[: len(LEVELS)] == list(path.values())
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES", **path))


def test_filters_offer_what_the_others_leave(shown, site):
    shown.open("#measure=CYCLES").select("Operating system", "Linux").select("OS version", "3.10")
    offered = shown.side(0).get_by_label("Architecture", exact=True).locator("option").all_inner_texts()
    assert offered == ["any", "x86"]
    assert_summary(shown, site[0].seen("nightly/25", "CYCLES", OS="Linux", osVersion="3.10"))


def test_another_version_and_channel(shown, site):
    shown.open("#measure=CYCLES").select("Version", "24")
    assert_summary(shown, site[0].seen("nightly/24", "CYCLES"))
    shown.select("Channel", "release")
    assert_summary(shown, site[0].seen("release/24", "CYCLES"))


def test_two_selections_and_their_ratio(shown, site, shots):
    shown.open("#measure=CYCLES").check("Compare with a second selection")
    shown.select("Version", "24", side=1).select("Operating system", "WINNT", side=1).drawn()
    first, second = site[0].seen("nightly/25", "CYCLES"), site[0].seen("nightly/24", "CYCLES", OS="WINNT")
    assert_summary(shown, first)
    assert_summary(shown, second, column=1)
    ratios = {name: number(text) for name, text in shown.summary(2).items()}
    assert ratios["median"] == close(second.percentile(50) / first.percentile(50))
    assert (ratios["Pings"], ratios["Mean"]) == (close(second.pings / first.pings), close(second.mean / first.mean))
    shares = [(a / first.values, b / second.values) for a, b in zip(first.counts, second.counts)]
    for (_, cells), (a, b) in zip(shown.table("distribution"), shares):
        assert cells[-1] == "–" if not a else number(cells[-1]) == close(b / a)
    assert shown.tab.locator("#evolution-charts .chart").count() == 3
    shown.tab.screenshot(path=shots / "compared.png", full_page=True)
    shown.check("Compare with a second selection", False)
    assert shown.tab.locator(".side:visible").count() == 1


def test_the_ratio_of_each_day_is_in_its_chart(shown, site):
    shown.open("#measure=CYCLES&p=50&A.channel=nightly&A.version=25&B.channel=nightly&B.version=24").drawn()
    ratios = [
        site[0].seen("nightly/24", "CYCLES", date=day).percentile(50)
        / site[0].seen("nightly/25", "CYCLES", date=day).percentile(50)
        for day in site[0].dates
    ]
    assert shown.tab.evaluate("() => document.querySelector('.wide .chart').drawn.lines[0].y") == pytest.approx(ratios)


def test_selections_with_other_buckets_have_tables_of_their_own(shown, site):
    shown.open("#measure=SHRINKS&A.channel=nightly&A.version=24&B.channel=nightly&B.version=25")
    bounds = [*site[0].bounds("nightly/24", "SHRINKS"), *site[0].bounds("nightly/25", "SHRINKS")]
    assert [int(head) for head, _ in shown.table("distribution")] == bounds
    assert shown.tab.locator("#distribution table").count() == 2


def test_ranges_of_buckets_are_exact(shown, site):
    shown.open("#measure=CYCLES")
    bounds = site[0].bounds("nightly/25", "CYCLES")
    ends = [cells[0] for _, cells in shown.table("distribution")]
    assert ends == [*map(str, bounds[1:]), "and more"]


def test_a_measure_that_was_keyed_at_times_is_there_twice(shown, site):
    shown.open("#measure=WIDTHS")
    assert_summary(shown, site[0].seen("nightly/25", "WIDTHS"))
    field = shown.tab.get_by_label("Measure", exact=True)
    field.press("Control+A")
    field.type("WIDTHS (keyed)")
    field.press("Enter")
    shown.settle().open(shown.tab.url.removeprefix(site[2]))
    assert shown.text("name") == "WIDTHS (keyed)"
    shown.tab.wait_for_selector("#keys tbody tr")
    key = shown.side(0).get_by_label("Key", exact=True).input_value()
    assert_summary(shown, site[0].seen("nightly/25", "WIDTHS (keyed)", key=key))


def test_each_key_of_a_keyed_histogram(shown, site):
    shown.open("#measure=BY_ADDON")
    assert {head: number(cells[0]) for head, cells in shown.table("keys")} == {
        each or "(empty)": site[0].seen("nightly/25", "BY_ADDON", key=each).pings for each in published.KEYS
    }
    for key in published.KEYS:
        shown.side(0).get_by_label("Key", exact=True).click()
        shown.tab.locator("#keys-of-A li span").get_by_text(key or "(empty)", exact=True).click()
        assert_summary(shown.settle(), site[0].seen("nightly/25", "BY_ADDON", key=key))
    shown.open(shown.tab.url.removeprefix(site[2]))
    assert_summary(shown, site[0].seen("nightly/25", "BY_ADDON", key=published.KEYS[-1]))


def test_small_data_is_shown_and_said_to_be_small(shown, site):
    seen = site[0].seen("nightly/25", "RARE", OS="Linux", arch="x86", date=site[0].dates[0])
    day = site[0].dates[0]
    shown.open(f"#measure=RARE&from={day}&to={day}").select("Operating system", "Linux").select("Architecture", "x86")
    found = shown.summary()
    assert (number(found["Pings"]), number(found["median"])) == (seen.pings, close(seen.percentile(50)))
    assert f"small data: {seen.pings} ping" in shown.text("warnings")
    shown.open("#measure=RARE")
    assert shown.tab.locator("#evolution small.few").count() == len(site[0].dates)


def test_the_json_holds_all_keys(shown, site):
    shown.open("#measure=BY_ADDON&B.channel=release")
    found = json.loads(shown.download("All as JSON"))
    assert [each["version"] for each in found["selections"]] == ["25", "24"]
    for each in found["selections"]:
        series = {one["key"]: one for one in each["series"]}
        assert set(series) == set(published.KEYS)
        for key, one in series.items():
            seen = site[0].seen(f"{each['channel']}/{each['version']}", "BY_ADDON", key=key)
            assert [bucket["count"] for bucket in one["distribution"]] == seen.counts
            assert one["percentiles"]["p50"]["value"] == pytest.approx(seen.percentile(50))
            assert one["mean"] == pytest.approx(seen.mean) and len(one["days"]) == len(site[0].dates)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_csv_files_hold_what_is_shown(shown, site):
    shown.open("#measure=BY_ADDON").select("Operating system", "<b>OS</b>")
    evolution, distribution = (rows_of(shown.download(f"{name} as CSV")) for name in ("Evolution", "Distribution"))
    assert {row["key"] for row in evolution} == set(published.KEYS) and {row["OS"] for row in evolution} == {
        "<b>OS</b>"
    }
    for row in evolution:
        seen = site[0].seen("nightly/25", "BY_ADDON", key=row["key"], date=row["build_date"], OS="<b>OS</b>")
        assert (int(row["pings"]), float(row["p75"])) == (seen.pings, pytest.approx(seen.percentile(75)))
    for key in published.KEYS:
        seen = site[0].seen("nightly/25", "BY_ADDON", key=key, OS="<b>OS</b>")
        assert [int(row["count"]) for row in distribution if row["key"] == key] == seen.counts


def test_back_goes_to_what_was_shown_before(shown):
    shown.open("#measure=CYCLES").select("Version", "24").select("Operating system", "Linux")
    before = shown.text("status")
    shown.select("Reason", "saved_session").check("submission")
    shown.tab.go_back()
    shown.tab.go_back()
    shown.tab.wait_for_function("(before) => document.querySelector('#status').innerText === before", arg=before)
    assert "Linux" in shown.tab.url


def test_an_address_that_asks_for_what_is_not_there_is_answered_with_words(shown):
    shown.open("#measure=GONE&A.channel=esr&A.version=3&A.OS=BeOS&from=19990101&A.key=x")
    words = shown.text("warnings")
    for expected in ("no esr 3", "no measure GONE", "BeOS", "1999-01-01"):
        assert expected in words
    assert number(shown.summary()["Pings"]) > 0


def test_names_are_text_and_nothing_else(shown, site):
    shown.open("#measure=constructor").select("Operating system", "<b>OS</b>").drawn()
    assert shown.text("description") == "<img src=x onerror=alert(1)>"
    assert shown.tab.locator("#results img, #choices img, main b").count() == 0


CONTROLS = {
    "button",
    "combobox",
    "checkbox",
    "radio",
    "textbox",
    "listbox",
    "option",
    "region",
    "image",
    "table",
    "group",
}


@pytest.mark.parametrize("state", ["#measure=CYCLES", "#measure=BY_ADDON&B.channel=release"])
def test_everything_has_a_name_for_a_screen_reader(shown, state):
    shown.open(state).drawn()
    tree = shown.context.new_cdp_session(shown.tab).send("Accessibility.getFullAXTree")["nodes"]
    heard = [node for node in tree if not node["ignored"] and node["role"]["value"].lower() in CONTROLS]
    roles = {node["role"]["value"] for node in heard}
    assert {"button", "combobox", "checkbox", "radio", "region", "table"} <= roles
    nameless = [node["role"]["value"] for node in heard if not node["name"]["value"].strip()]
    assert nameless == []
    assert shown.tab.locator("[role=status]").get_attribute("aria-live") == "polite"


def test_all_controls_are_reached_by_keyboard(shown):
    shown.open("#measure=BY_ADDON")
    shown.tab.keyboard.press("Tab")
    assert shown.tab.evaluate("document.activeElement.id") == "skip"
    wanted = shown.tab.evaluate(
        "[...document.querySelectorAll('input, select, button, summary')].filter((each) => each.offsetParent && each.type !== 'radio').length"
    )
    reached = set()
    for _ in range(wanted + 12):
        reached.add(shown.tab.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        shown.tab.keyboard.press("Tab")
    assert len(reached) >= wanted
    shown.tab.locator("#skip").focus()
    shown.tab.keyboard.press("Enter")
    assert shown.tab.evaluate("document.activeElement.id") == "results"


@pytest.mark.parametrize("state", ["#measure=CYCLES", "#measure=BY_ADDON&p=5,25,50,75,95,99,99.9&B.channel=release"])
def test_it_fits_a_phone(chromium, site, shots, state):
    view = Shown(windowed(chromium, width=360), site[2]).open(state).drawn()
    view.tab.get_by_text("The numbers of each day").click()
    assert view.tab.evaluate("document.documentElement.scrollWidth") <= 360
    view.tab.get_by_label("Measure", exact=True).click()
    assert view.tab.evaluate("document.documentElement.scrollWidth") <= 360
    view.tab.keyboard.press("Escape")
    view.tab.screenshot(path=shots / f"phone-{len(state)}.png", full_page=True)
    view.context.close()
    assert view.errors == []


def luminance(colour):
    """The relative luminance of WCAG 2 of a colour #rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark(chromium, site, shots, scheme):
    view = Shown(windowed(chromium, scheme=scheme), site[2]).open("#measure=RARE&B.channel=release").drawn()
    read = "(name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()"
    light = {
        name: luminance(view.tab.evaluate(read, name))
        for name in ("page", "card", "text", "soft", "warn", "warn-page", "accent", "error")
    }
    assert (light["page"] > light["text"]) == (scheme == "light")
    for text, ground in [
        ("text", "card"),
        ("text", "page"),
        ("soft", "card"),
        ("warn", "warn-page"),
        ("accent", "card"),
        ("error", "card"),
    ]:
        low, high = sorted((light[text], light[ground]))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)
    view.tab.screenshot(path=shots / f"{scheme}.png", full_page=True)
    accents = {"light": "#2f5fd0", "dark": "#84a9ff"}
    view.tab.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
    deadline = time.monotonic() + 10
    while not view.tab.evaluate(PIXELS, accents["light" if scheme == "dark" else "dark"])[0]:
        assert time.monotonic() < deadline, "the charts are not drawn in the other colours"
    view.context.close()
    assert view.errors == []


def test_a_file_that_cannot_be_read_is_named(chromium, site):
    view = Shown(windowed(chromium), site[2])
    view.tab.route("**/WIDTHS-by-build-date.json", lambda route: route.fulfill(status=503))
    view.open("#measure=CYCLES")
    view.tab.evaluate("location.hash = '#measure=WIDTHS'")
    view.tab.wait_for_selector("#error:visible")
    assert "WIDTHS-by-build-date.json cannot be read: the server says 503" in view.text("error")
    view.tab.unroute("**/WIDTHS-by-build-date.json")
    view.check("submission").check("builds")
    assert view.tab.locator("#error").is_hidden()
    view.context.close()


def test_without_the_charts_the_tables_have_all_numbers(chromium, site):
    view = Shown(windowed(chromium), site[2])
    view.tab.route(f"**/{page.LIBRARY[0]}", lambda route: route.abort())
    view.open("#measure=CYCLES")
    view.tab.wait_for_selector("#error:visible")
    assert "the tables have all numbers" in view.text("error")
    assert_summary(view, site[0].seen("nightly/25", "CYCLES"))
    view.tab.unroute(f"**/{page.LIBRARY[0]}")
    view.check("5%").drawn()
    assert view.tab.locator("#error").is_hidden()
    view.context.close()


@pytest.fixture(scope="session")
def great(tmp_path_factory):
    yield from served(tmp_path_factory, published.large)


@pytest.mark.slow
def test_a_large_tree_opens_quickly_and_asks_for_one_measure_alone(chromium, great, shots):
    tree, _, address = great
    view = Shown(windowed(chromium), address)
    took = []
    for _ in range(3):  # the machine may be busy with something else
        start = time.monotonic()
        view.open("#measure=MEASURE_0777")
        took.append(time.monotonic() - start)
    assert min(took) < MOST_SECONDS, took
    assert_summary(view, tree.seen("nightly/24", "MEASURE_0777"))
    paths = {url.removeprefix(address).partition("#")[0] for url in view.requests if url.startswith(address)}
    folder = "v7/data/nightly/24"
    files = {f"{folder}/{name}.json" for name in ("filter-tree", "histograms", "keyed", "MEASURE_0777-by-build-date")}
    assert paths == files | {"", "dashboard.css", "dashboard.js", *page.LIBRARY, "v7/versions.json"}
    field = view.tab.get_by_label("Measure", exact=True)
    field.press("Control+A")
    field.type("0778")
    assert view.tab.locator("#measures li").all_inner_texts()[0].startswith("MEASURE_0778")
    field.press("Escape")
    view.drawn().tab.screenshot(path=shots / "large.png", full_page=True)
    view.context.close()
    assert view.errors == []


# A tree that the tools made of raw pings, against these pings.
@pytest.fixture(scope="session")
def real(tmp_path_factory, run_tool):
    """({channel/version: {measure: [histograms, as they were sent]}}, the page's folder and address)."""

    def make(place):
        raw = run_tool("tel-sample", "-n", 60, "--seed", 5).stdout
        ingest = "tel-resolve --date 20130901 | tel-convert | tel-persist --store store --batch b > stored"
        publish = "tel-map --files-from stored dashboard | tel-reduce dashboard | tel-dashboard --to ."
        script = f"tel-sample --definitions h > none; {ingest} && {publish}"
        env = {**os.environ, "TEL_HISTOGRAMS": "h"}
        done = run_tool("bash", "-o", "pipefail", "-c", script, stdin=raw, cwd=place, env=env)
        assert done.returncode == 0, done.stderr
        return sent(line.split(b"\t", 1)[1] for line in raw.splitlines() if b"\t" in line)

    yield from served(tmp_path_factory, make)


def sent(pings):
    """{channel/major version: {measure: its histograms in some raw pings}}."""
    found = {}
    for ping in map(json.loads, pings):
        version = f"{ping['info']['appUpdateChannel']}/{ping['info']['appVersion'].split('.')[0]}"
        for name, histogram in ping["histograms"].items():
            found.setdefault(version, {}).setdefault(name, []).append(histogram)
    return found


def test_what_was_sent_is_what_is_seen(real, window):
    versions, _, address = real
    view, seen = Shown(window, address), 0
    for version, measures in sorted(versions.items(), key=lambda item: -len(item[1]))[:3]:
        channel, number_of = version.split("/")
        for name in sorted(measures)[::40]:
            histograms = measures[name]
            if len({histogram["bucket_count"] for histogram in histograms}) > 1:
                continue  # of the newest build's length only
            view.open(f"#measure={name}&A.channel={channel}&A.version={number_of}")
            counts = {}
            for histogram in histograms:
                for bound, count in histogram["values"].items():
                    counts[int(bound)] = counts.get(int(bound), 0) + count
            found = view.summary()
            assert number(found["Pings"]) == len(histograms) and number(found["Values"]) == sum(counts.values()), name
            if counts:
                assert number(found["Mean"]) == close(sum(h["sum"] for h in histograms) / sum(counts.values()))
            rows = {int(head): number(cells[1]) for head, cells in view.table("distribution")}
            assert {bound: count for bound, count in rows.items() if count} == {b: c for b, c in counts.items() if c}
            seen += 1
    assert seen > 5 and view.errors == []
    view.tab.close()
