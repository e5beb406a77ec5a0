// The charts, drawn by Plotly, whose script is fetched when the tables, which say the same, are already there.

const LIBRARY = "plotly.min.js";
let library = null;

function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = element("script", { src: LIBRARY });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error(`${LIBRARY} cannot be read: the tables have all numbers.`)));
    document.head.append(script);
  });
  return library;
}

// Plotly takes some markup in text: here none is meant.
function plainText(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function percentileColour(percent) {
  return percent === MEDIAN ? colour("accent") : colour(`series-${PERCENTILES.indexOf(percent)}`);
}

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };

function layoutOf(changes) {
  const axis = { fixedrange: true, gridcolor: colour("line"), zerolinecolor: colour("line"), automargin: true };
  const { xaxis = {}, yaxis = {}, ...more } = changes;
  return {
    height: 300,
    margin: { l: 48, r: 12, t: 12, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("text") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    dragmode: false,
    hovermode: "x unified",
    xaxis: { ...axis, ...xaxis },
    yaxis: { rangemode: "tozero", ...axis, ...yaxis },
    ...more,
  };
}

function lineOf(percent, { entry, measure }) {
  const days = [...entry.days];
  const found = days.map(([, total]) => percentileOf(total, measure.bounds, measure.ranged, percent)?.value ?? null);
  const few = days.map(([, total]) => total.pings < FEW);
  const line = { color: percentileColour(percent), width: percent === MEDIAN ? 3 : 1.5 };
  return {
    type: "scatter",
    mode: "lines+markers",
    name: percentileName(percent),
    x: days.map(([date]) => shownDate(date)),
    y: found,
    line,
    marker: { size: days.length > 40 ? 4 : 6, symbol: few.map((small) => (small ? "circle-open" : "circle")) },
    hovertemplate: "%{y:.5~g}",
  };
}

const DAY = 86_400_000; // milliseconds

// The same for all charts, so that days lie below each other; of few days each has its name.
function timeAxis(days) {
  const [first, last] = [days[0], days.at(-1)].map((day) => Date.parse(shownDate(day ?? "")));
  if (Number.isNaN(first + last)) {
    return { type: "date" };
  }
  const margin = DAY + (last - first) / 50;
  return { type: "date", range: [first - margin, last + margin], ...(last - first < 7 * DAY && { dtick: DAY, tickformat: "%b %-d\n%Y" }) };
}

function highestOf(lines) {
  return Math.max(0, ...lines.flatMap(({ y }) => y));
}

function evolutionCharts({ state, sides, days }) {
  const xaxis = timeAxis(days);
  const lines = sides.map((side) => state.percents.map((percent) => lineOf(percent, side)));
  const highest = highestOf(lines.flat()) * 1.05 || 1; // the same for both, so that they can be compared by eye
  const charts = sides.map((side, at) => {
    const label = `${nameOf(side)}: ${state.measure} over ${side.entry.days.size} days, ${state.percents.map(percentileName).join(", ")}`;
    return { title: nameOf(side), label, traces: lines[at], layout: { xaxis, yaxis: { range: [0, highest] } } };
  });
  return both(sides) ? [...charts, ratioChart(state, lines, xaxis)] : charts;
}

function ratioChart({ measure, percents }, [first, second], xaxis) {
  const traces = percents.map((percent, at) => {
    const others = new Map(second[at].x.map((date, i) => [date, second[at].y[i]]));
    const dates = first[at].x.filter((date) => others.has(date));
    const own = new Map(first[at].x.map((date, i) => [date, first[at].y[i]]));
    return { ...first[at], x: dates, y: dates.map((date) => ratioOf(own.get(date), others.get(date))), marker: { size: 4 } };
  });
  const label = `Ratio ${RATIO} of ${measure} on the days that both have`;
  return { title: `Ratio ${RATIO}`, label, traces, layout: { xaxis }, wide: true };
}

function distributionCharts({ state, sides }) {
  const bars = sides.map(barsOf);
  const yaxis = { tickformat: ".0%", range: [0, highestOf(bars) * 1.05 || 1] };
  return sides.map((side, at) => {
    const label = `${nameOf(side)}: the share of values of ${state.measure} in each bucket`;
    const layout = { hovermode: "closest", showlegend: false, xaxis: { type: "category" }, yaxis, bargap: 0.08 };
    return { title: nameOf(side), label, traces: [bars[at]], layout };
  });
}

function barsOf({ entry, measure }, at) {
  const buckets = distributionOf(entry.all, measure);
  const [first, last] = filledRange(buckets);
  const some = buckets.slice(first, last + 1);
  return {
    type: "bar",
    x: some.map(({ from, below }, i) => plainText(barName(measure, from, below, first + i))),
    y: some.map(({ share }) => share),
    marker: { color: colour(at ? "second" : "accent") },
    hovertemplate: "%{x}: %{y:.2%}<extra></extra>",
  };
}

function barName(measure, from, below, at) {
  if (measure.ranged) {
    return below === null ? `≥ ${from}` : String(from);
  }
  return meaningOf(measure, at) ? `${from} ${meaningOf(measure, at)}` : String(from);
}

// The first and last bucket that are not empty, and one beside each.
function filledRange(buckets) {
  const filled = buckets.map(({ count }) => count > 0);
  const first = Math.max(filled.indexOf(true) - 1, 0);
  const last = filled.lastIndexOf(true);
  return [first, last < 0 ? buckets.length - 1 : Math.min(last + 1, buckets.length - 1)];
}

// Draw charts in a place, each in a figure of its own.
function drawCharts(plotly, place, charts) {
  [...place.querySelectorAll(".chart")].forEach((chart) => plotly.purge(chart));
  place.replaceChildren(...charts.map(figureOf));
  const places = place.querySelectorAll(".chart");
  charts.forEach(({ traces, layout }, at) => plotly.newPlot(places[at], traces, layoutOf(layout), CONFIG));
}

// A figure with an empty chart, of which a screen reader hears the label alone.
function figureOf({ title, label, wide }) {
  const image = { role: "img", "aria-label": `${label}. The table below has the numbers.` };
  const chart = element("div", { class: "chart", "aria-hidden": "true" });
  return element("figure", wide ? { class: "wide" } : {}, element("figcaption", {}, title), element("div", image, chart));
}

async function draw(model, isStale) {
  const plotly = await loadLibrary();
  if (!isStale()) {
    drawCharts(plotly, byId("evolution-charts"), evolutionCharts(model));
    drawCharts(plotly, byId("distribution-charts"), distributionCharts(model));
    byId("js-plotly-tester")?.setAttribute("aria-hidden", "true"); // where it measures text
  }
}
