// The plots: charts drawn by Bokeh, whose scripts are fetched when the tables, which say the same, are there.

const MOST_NAMES = 16; // below the bars of one chart
const LIBRARY = ["bokeh.min.js", "bokeh-api.min.js"];
let library = null;

function loadLibrary() {
  library ??= Promise.all(LIBRARY.map(loadScript)).then(ready, (error) => {
    library = null; // it may be there when it is asked for again
    throw error;
  });
  return library;
}

function ready() {
  window.Bokeh.set_log_level("error");
  return window.Bokeh;
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
    const source = new bokeh.ColumnDataSource({
      data: { x, y, fill: few.map((small) => (small ? colour("card") : color)) },
    });
    const line = plot.line({ field: "x" }, { field: "y" }, { source, color, line_width: width });
    const dots = plot.scatter(
      { field: "x" },
      { field: "y" },
      { source, size: x.length > 40 ? 4 : 7, line_color: color, fill_color: { field: "fill" } },
    );
    plot.add_tools(hoverOf(bokeh, dots, { [name]: "@y{0,0.[000]}", day: "@x{%F}" }));
    return new bokeh.LegendItem({ label: name, renderers: [line, dots] });
  });
  const look = {
    orientation: "horizontal",
    background_fill_color: null,
    border_line_color: null,
    label_text_color: colour("text"),
    label_text_font_size: "12px",
    padding: 0,
    margin: 4,
    spacing: 14,
  };
  plot.add_layout(new bokeh.Legend({ items, ...look }), "above");
}

function addBars(bokeh, plot, { bars }) {
  const source = new bokeh.ColumnDataSource({ data: { x: [...bars.x.keys()], y: bars.y, name: bars.x } });
  const boxes = plot.vbar({ field: "x" }, 0.92, { field: "y" }, 0, {
    source,
    fill_color: bars.colour,
    line_color: null,
  });
  plot.add_tools(hoverOf(bokeh, boxes, { bucket: "@name", share: "@y{0.00%}" }));
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

function hoverOf(bokeh, renderer, words) {
  const tooltips = Object.entries(words);
  return new bokeh.HoverTool({ renderers: [renderer], tooltips, formatters: { "@x": "datetime" }, mode: "mouse" });
}

function paint(bokeh, plot, { bars }) {
  const [text, line] = [colour("text"), colour("line")];
  const look = {
    major_label_text_color: text,
    major_label_text_font_size: "12px",
    axis_line_color: line,
    major_tick_line_color: line,
    minor_tick_line_color: null,
  };
  [...plot.below, ...plot.left].forEach((axis) => axis.setv(look));
  const grids = plot.center.filter((each) => each instanceof bokeh.Grid);
  grids.forEach((grid) => grid.setv({ grid_line_color: bars && grid.dimension === 0 ? null : line }));
}

// A figure of the page, of which a screen reader hears the label alone.
function figureOf({ title, label, wide }) {
  const image = { role: "img", "aria-label": `${label}. The table below has the numbers.` };
  const chart = element("div", { class: "chart", "aria-hidden": "true" });
  return element(
    "figure",
    wide ? { class: "wide" } : {},
    element("figcaption", {}, title),
    element("div", image, chart),
  );
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
