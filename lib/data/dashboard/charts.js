// The charts: what is to be drawn of a model, whatever draws it.

const DAY = 86_400_000; // milliseconds

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
    const names = state.percents.map(percentileName).join(", ");
    const label = `${nameOf(side)}: ${state.measure} over ${side.entry.days.size} days, ${names}`;
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
  const [first, last] = [filled.indexOf(true), filled.lastIndexOf(true)];
  return first < 0 ? [0, buckets.length - 1] : [Math.max(first - 1, 0), Math.min(last + 1, buckets.length - 1)];
}
