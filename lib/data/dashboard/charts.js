// The charts, drawn by Bokeh, whose scripts are fetched when the tables, which say the same, are already there.

const LIBRARY = ["bokeh.min.js", "bokeh-api.min.js"];
const DAY = 86_400_000; // milliseconds
const MOST_NAMES = 16; // below the bars of one chart
let library = null;

function loadLibrary() {
  library ??= Promise.all(LIBRARY.map(loadScript)).then(() => {
    window.Bokeh.set_log_level("error");
    return window.Bokeh;
  });
  return library;
}

function loadScript(name) {
  return new Promise((resolve, reject) => {
    const script = element("script", { src: name });
    script.async = false; // in their order
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error(`${name} cannot be read: the tables have all numbers.`)));
    document.head.append(script);
  });
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function percentileColour(percent) {
  return percent === MEDIAN ? colour("accent") : colour(`series-${PERCENTILES.indexOf(percent)}`);
}

// What is to be drawn: a line of a percentile over days, in milliseconds, and which days have few pings.
function lineOf(percent, { entry, measure }) {
  const days = [...entry.days].filter(([date]) => !Number.isNaN(timeOf(date)));
  return {
    name: percentileName(percent),
    x: days.map(([date]) => timeOf(date)),
    y: days.map(([, total]) => percentileOf(total, measure.bounds, measure.ranged, percent)?.value ?? null),
    few: days.map(([, total]) => total.pings < FEW),
    colour: percentileColour(percent),
    width: percent === MEDIAN ? 3 : 1.5,
  };
}

function timeOf(date) {
  return Date.parse(shownDate(date ?? ""));
}

// The first and last time of all charts, so that days lie below each other.
function timesOf(days) {
  const times = days.map(timeOf).filter((time) => !Number.isNaN(time));
  const [first, last] = times.length ? [times[0], times.at(-1)] : [0, 0];
  const margin = DAY + (last - first) / 50;
  return [first - margin, last + margin];
}

function highestOf(series) {
  return Math.max(0, ...series.flatMap(({ y }) => y)) * 1.05 || 1;
}

function evolutionCharts({ state, sides, days }) {
  const times = timesOf(days);
  const lines = sides.map((side) => state.percents.map((percent) => lineOf(percent, side)));
  const highest = highestOf(lines.flat()); // the same for both, so that they can be compared by eye
  const charts = sides.map((side, at) => {
    const label = `${nameOf(side)}: ${state.measure} over ${side.entry.days.size} days, ${state.percents.map(percentileName).join(", ")}`;
    return { title: nameOf(side), label, times, highest, lines: lines[at] };
  });
  return both(sides) ? [...charts, ratioChart(state, lines, times)] : charts;
}

function ratioChart({ measure, percents }, [first, second], times) {
  const lines = percents.map((_, at) => ratioLine(first[at], second[at]));
  const label = `Ratio ${RATIO} of ${measure} on the days that both have`;
  return { title: `Ratio ${RATIO}`, label, times, highest: highestOf(lines), lines, wide: true };
}

function ratioLine(first, second) {
  const others = new Map(second.x.map((time, at) => [time, at]));
  const common = first.x.map((time, at) => [at, others.get(time)]).filter(([, other]) => other !== undefined);
  return {
    ...first,
    x: common.map(([at]) => first.x[at]),
    y: common.map(([at, other]) => ratioOf(first.y[at], second.y[other])),
    few: common.map(([at, other]) => first.few[at] || second.few[other]),
  };
}

function distributionCharts({ state, sides }) {
  const bars = sides.map(barsOf);
  return sides.map((side, at) => {
    const label = `${nameOf(side)}: the share of values of ${state.measure} in each bucket`;
    return { title: nameOf(side), label, highest: highestOf(bars), bars: bars[at] };
  });
}

// The buckets between the first and the last that are not empty, and one beside each.
function barsOf({ entry, measure }, at) {
  const buckets = distributionOf(entry.all, measure);
  const [first, last] = filledRange(buckets);
  const some = buckets.slice(first, last + 1);
  return {
    x: some.map(({ from, below }, i) => barName(measure, from, below, first + i)),
    y: some.map(({ share }) => share ?? 0),
    colour: colour(at ? "second" : "accent"),
  };
}

function barName(measure, from, below, at) {
  if (measure.ranged) {
    return below === null ? `≥ ${from}` : String(from);
  }
  return meaningOf(measure, at) ? `${from} ${meaningOf(measure, at)}` : String(from);
}

function filledRange(buckets) {
  const filled = buckets.map(({ count }) => count > 0);
  const last = filled.lastIndexOf(true);
  return [Math.max(filled.indexOf(true) - 1, 0), last < 0 ? buckets.length - 1 : Math.min(last + 1, buckets.length - 1)];
}

// A Bokeh figure of a chart in the page's colours.
function plotOf(bokeh, chart) {
  const plot = bokeh.Plotting.figure({
    height: 300,
    sizing_mode: "stretch_width",
    tools: [],
    toolbar_location: null,
    x_axis_type: chart.lines ? "datetime" : "auto",
    x_range: rangeOf(bokeh, ...(chart.lines ? chart.times : [-0.6, chart.bars.x.length - 0.4])),
    y_range: rangeOf(bokeh, 0, chart.highest),
    background_fill_color: null,
    border_fill_color: null,
    outline_line_color: null,
  });
  (chart.lines ? addLines : addBars)(bokeh, plot, chart);
  paint(bokeh, plot, chart);
  return plot;
}

function rangeOf(bokeh, start, end) {
  return new bokeh.Range1d({ start, end });
}

// Ticks that name days: each of them, or as many as there is room for.
function nameDays(bokeh, [axis], [start, end]) {
  const days = (end - start) / DAY;
  const ticks = Array.from({ length: Math.floor(days) + 1 }, (_, at) => (Math.ceil(start / DAY) + at) * DAY);
  axis.setv({
    formatter: new bokeh.DatetimeTickFormatter({ hours: "%b %d", days: "%b %d", months: "%b %Y", years: "%Y" }),
    ...(days < 8 && { ticker: new bokeh.FixedTicker({ ticks }) }),
  });
}

function addLines(bokeh, plot, { lines, times }) {
  nameDays(bokeh, plot.below, times);
  plot.left[0].formatter = new bokeh.NumeralTickFormatter({ format: "0,0.[000]" });
  const items = lines.map(({ name, x, y, few, colour: color, width }) => {
    const source = new bokeh.ColumnDataSource({ data: { x, y, fill: few.map((small) => (small ? colour("card") : color)) } });
    const line = plot.line({ field: "x" }, { field: "y" }, { source, color, line_width: width });
    const dots = plot.scatter({ field: "x" }, { field: "y" }, { source, size: x.length > 40 ? 4 : 7, line_color: color, fill_color: { field: "fill" } });
    plot.add_tools(hoverOf(bokeh, dots, [[name, "@y{0,0.[000]}"], ["day", "@x{%F}"]], { "@x": "datetime" }));
    return new bokeh.LegendItem({ label: name, renderers: [line, dots] });
  });
  const look = { orientation: "horizontal", background_fill_color: null, border_line_color: null, label_text_color: colour("text"), label_text_font_size: "12px", padding: 0, margin: 4, spacing: 14 };
  plot.add_layout(new bokeh.Legend({ items, ...look }), "above");
}

function addBars(bokeh, plot, { bars }) {
  const source = new bokeh.ColumnDataSource({ data: { x: [...bars.x.keys()], y: bars.y, name: bars.x } });
  const boxes = plot.vbar({ field: "x" }, 0.92, { field: "y" }, 0, { source, fill_color: bars.colour, line_color: null });
  plot.add_tools(hoverOf(bokeh, boxes, [["bucket", "@name"], ["share", "@y{0.00%}"]], {}));
  plot.left[0].formatter = new bokeh.NumeralTickFormatter({ format: "0%" });
  nameBars(bokeh, plot.below, bars.x);
}

// Ticks that name buckets: each, or as many as there is room for. None is taken for a formula.
function nameBars(bokeh, [axis], names) {
  const step = Math.ceil(names.length / MOST_NAMES);
  const ticks = [...names.keys()].filter((at) => at % step === 0);
  axis.setv({
    ticker: new bokeh.FixedTicker({ ticks }),
    major_label_overrides: new Map(ticks.map((at) => [at, names[at].replaceAll("$$", "$ $")])),
    major_label_orientation: names.length > 8 || names.join("").length > 40 ? 0.8 : "horizontal",
  });
}

function hoverOf(bokeh, renderer, tooltips, formatters) {
  return new bokeh.HoverTool({ renderers: [renderer], tooltips, formatters, mode: "mouse" });
}

function paint(bokeh, plot, { bars }) {
  const [text, line] = [colour("text"), colour("line")];
  const look = { major_label_text_color: text, major_label_text_font_size: "12px", axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null };
  [...plot.below, ...plot.left].forEach((axis) => axis.setv(look));
  const grids = plot.center.filter((each) => each instanceof bokeh.Grid);
  grids.forEach((grid) => grid.setv({ grid_line_color: bars && grid.dimension === 0 ? null : line }));
}

// A figure of the page, of which a screen reader hears the label alone.
function figureOf({ title, label, wide }) {
  const image = { role: "img", "aria-label": `${label}. The table below has the numbers.` };
  const chart = element("div", { class: "chart", "aria-hidden": "true" });
  return element("figure", wide ? { class: "wide" } : {}, element("figcaption", {}, title), element("div", image, chart));
}

// Draw charts in a place, instead of those that are there, as long as they are wanted.
async function drawCharts(bokeh, place, charts, isStale) {
  place.querySelectorAll(".chart").forEach((chart) => forget(bokeh, chart));
  place.replaceChildren(...charts.map(figureOf));
  const places = [...place.querySelectorAll(".chart")];
  for (const [at, chart] of charts.entries()) {
    if (isStale()) {
      return;
    }
    places[at].view = await bokeh.Plotting.show(plotOf(bokeh, chart), places[at]);
    places[at].drawn = chart;
  }
}

// Bokeh keeps the document of every plot until it is told.
function forget(bokeh, { view }) {
  if (view) {
    const { document } = view.model;
    view.remove();
    bokeh.documents.splice(bokeh.documents.indexOf(document), 1);
  }
}

async function draw(model, isStale) {
  const bokeh = await loadLibrary();
  if (!isStale()) {
    await drawCharts(bokeh, byId("evolution-charts"), evolutionCharts(model), isStale);
  }
  if (!isStale()) {
    await drawCharts(bokeh, byId("distribution-charts"), distributionCharts(model), isStale);
  }
}
