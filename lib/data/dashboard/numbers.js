// Numbers: what published rows say, without a page. A row is [b0..bN, five statistics, pings, filter id].

const STATISTICS = 5;
const ABSENT = -1; // a statistic that a row lacks
const FEW = 100; // pings; fewer are small data
const PERCENTILES = [5, 25, 50, 75, 95, 99, 99.9];
const MEDIAN = 50;

// The bucket formulas are those of Firefox's histogram_tools.py, unchanged since 2013.
function linearBounds(low, high, size) {
  const span = size - 2;
  const bound = (i) => Math.floor((low * (size - 1 - i) + high * (i - 1)) / span + 0.5);
  return Array.from({ length: size }, (_, i) => (i ? bound(i) : 0));
}

function exponentialBounds(low, high, size) {
  const bounds = [0, low];
  for (let i = 2, current = low; i < size; i++) {
    const step = (Math.log(high) - Math.log(current)) / (size - i);
    current = Math.max(current + 1, Math.floor(Math.exp(Math.log(current) + step) + 0.5));
    bounds.push(current);
  }
  return bounds;
}

// The lower bounds of a definition's buckets; the last bucket has no upper one.
function boundsOf({ kind, low, high, n_buckets: size, n_values: values }) {
  if (size !== undefined) {
    return (kind === "exponential" ? exponentialBounds : linearBounds)(Number(low ?? 1), Number(high), Number(size));
  }
  const highest = values === undefined ? 2 : Number(values);
  return linearBounds(1, highest, highest + 1);
}

// Whether a bucket stands for a range of values; else it stands for one.
function isRanged({ kind }) {
  return kind === "linear" || kind === "exponential";
}

function isWhole(row, size) {
  return Array.isArray(row) && row.length === size + STATISTICS + 2 && row.every(Number.isFinite);
}

function nothing(size) {
  return { counts: new Array(size).fill(0), sum: 0, summed: 0, pings: 0, odd: 0 };
}

// The sum of rows whose filter id is one of some; rows of another form are counted in `odd`, and left out.
function addRows(rows, size, ids) {
  const total = nothing(size);
  for (const row of rows) {
    if (!isWhole(row, size)) {
      total.odd += 1;
    } else if (ids.has(row[size + STATISTICS + 1])) {
      const counts = row.slice(0, size);
      const [sum, summed] = row[size] === ABSENT ? [0, 0] : [row[size], valuesIn({ counts })];
      addTo(total, { counts, sum, summed, pings: row[size + STATISTICS], odd: 0 });
    }
  }
  return total;
}

// `summed` counts the values that `sum` is the sum of: a row may lack its sum.
function addTo(total, more) {
  total.counts.forEach((count, i) => (total.counts[i] = count + more.counts[i]));
  ["sum", "summed", "pings", "odd"].forEach((name) => (total[name] += more[name]));
  return total;
}

function addAll(totals, size) {
  return totals.reduce(addTo, nothing(size));
}

function valuesIn({ counts }) {
  return counts.reduce((sum, count) => sum + count, 0);
}

function meanOf({ sum, summed }) {
  return summed ? sum / summed : null;
}

// {value, open} of a percentile, interpolated within its bucket as if values lay evenly; null of no values.
// `open`: it lies in the last bucket, so that it is the value given or more.
function percentileOf({ counts }, bounds, ranged, percent) {
  const wanted = (valuesIn({ counts }) * percent) / 100;
  let before = 0;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0 && before + counts[i] >= wanted) {
      const open = ranged && i === counts.length - 1;
      const width = ranged && !open ? bounds[i + 1] - bounds[i] : 0;
      return { value: bounds[i] + (width * (wanted - before)) / counts[i], open };
    }
    before += counts[i];
  }
  return null;
}

// How many times the first the second is; null where that says nothing.
function ratioOf(first, second) {
  return first && second !== null && second !== undefined ? second / first : null;
}

// What is said of one sum: pings, values, the mean, and its percentiles as a Map.
function statisticsOf(total, { bounds, ranged }, percents) {
  const percentiles = new Map(percents.map((percent) => [percent, percentileOf(total, bounds, ranged, percent)]));
  return { pings: total.pings, values: valuesIn(total), mean: meanOf(total), percentiles };
}

// [{from, below, count, share}] of each bucket; `below` is null where there is no end.
function distributionOf(total, { bounds }) {
  const values = valuesIn(total);
  return bounds.map((from, i) => {
    const count = total.counts[i];
    return { from, below: bounds[i + 1] ?? null, count, share: values ? count / values : null };
  });
}

function sameBounds(first, second) {
  return first.length === second.length && first.every((bound, i) => bound === second[i]);
}

const DIGITS = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const PERCENT = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 2, maximumFractionDigits: 2 });
const NONE = "–";

function shown(number, format = DIGITS) {
  return number === null || number === undefined ? NONE : format.format(number);
}

function shownPercentile(found) {
  return found ? (found.open ? "≥ " : "") + shown(found.value) : NONE;
}

function percentileName(percent) {
  return percent === MEDIAN ? "median" : `${percent}%`;
}

function shownDate(text) {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

// Lines of RFC 4180.
function csvOf(rows) {
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return rows.map((row) => row.map((cell) => quoted(String(cell ?? ""))).join(",") + "\r\n").join("");
}
