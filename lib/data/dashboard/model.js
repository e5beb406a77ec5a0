// The model: all that a state shows, and what is handed out of it as CSV and JSON.

// {state, sides, dates, notes}: the state as it can be had, and what was read for it.
async function modelOf(tree, wanted) {
  const notes = [];
  const note = (text) => notes.push(text);
  const versions = await tree.versions();
  if (!versions.size) {
    throw new Error("Nothing has been published here yet.");
  }
  const settled = wanted.sides.map((side) => settledVersion(side, versions, note));
  const folders = settled.map((side) => versions.get(side.channel).get(side.version));
  const known = await Promise.all(folders.map((folder) => tree.folder(folder)));
  const measure = settledMeasure(wanted.measure, known[0].measures, note);
  const state = { ...wanted, measure, sides: settled.map((side, at) => settledFilters(side, known[at].leaves, note)) };
  const read = await Promise.all(folders.map((folder, at) => entriesOf(tree, folder, known[at], state, note)));
  return { ...shownOf(state, known, read, note), measures: known[0].measures, versions, notes };
}

// [[key, {date: rows}]] of the measure in a folder; the key is null where it is not keyed.
async function entriesOf(tree, folder, { measures }, { measure, by }, note) {
  const definition = measures.get(measure);
  if (!definition) {
    note(measure === null ? "This version has no measures." : `${folder} has no ${measure}.`);
    return [];
  }
  const values = await tree.values(folder, definition, by);
  return definition.keyed ? [...values] : [[null, values]];
}

function shownOf(state, known, read, note) {
  const days = read.flatMap((entries) => entries.flatMap(([, byDate]) => [...byDate.keys()]));
  const dates = [...new Set(days)].sort();
  const settled = { ...state, from: dateOf(state.from, dates, note), to: dateOf(state.to, dates, note) };
  const within = (date) => (settled.from ?? "") <= date && (settled.to === null || date <= settled.to);
  const sides = [];
  settled.sides.forEach((side, at) => {
    const key = side.key ?? sides[0]?.side.key ?? null; // a second selection is of the same key, unless it says another
    sides.push(sideShown(SIDES[at], { ...side, key }, known[at], settled, read[at], within, note));
  });
  settled.sides = sides.map(({ side }) => side);
  return { state: settled, sides, dates, days: dates.filter(within) };
}

function dateOf(date, dates, note) {
  if (date === null || dates.includes(date)) {
    return date;
  }
  note(`There is nothing of ${shownDate(date)}: all days are shown.`);
  return null;
}

const NO_MEASURE = { kind: "", description: "", labels: [], keyed: false, bounds: [], ranged: false };

function sideShown(name, side, { leaves, measures }, state, read, within, note) {
  const measure = measures.get(state.measure) ?? NO_MEASURE;
  const ids = idsOf(leaves, side.filters);
  const entries = read.map(([key, byDate]) => entryOf(key, byDate, measure.bounds.length, ids, within));
  entries.sort((a, b) => valuesIn(b.all) - valuesIn(a.all) || (a.key < b.key ? -1 : 1));
  const entry = chosenEntry(side, entries, measure, note);
  return { name, side: { ...side, key: entry.key }, leaves, measure, entries, entry };
}

// {key, days, all}: the sum of each day that has pings, and of all days shown.
function entryOf(key, byDate, size, ids, within) {
  const dates = [...byDate.keys()].filter(within).sort();
  const sums = dates.map((date) => [date, addRows(byDate.get(date), size, ids)]);
  const all = addAll(
    sums.map(([, total]) => total),
    size,
  );
  return { key, days: new Map(sums.filter(([, total]) => total.pings)), all };
}

function chosenEntry(side, entries, { bounds, keyed }, note) {
  const found = entries.find(({ key }) => key === side.key);
  if (keyed && side.key !== null && !found) {
    note(`There is no key ${side.key} there.`);
  }
  return found ?? entries[0] ?? { key: null, days: new Map(), all: nothing(bounds.length) };
}

// What must be said of a model for its numbers to be understood.
function warningsOf({ sides, notes }) {
  return [...notes, ...sides.flatMap(({ name, entry }) => warningsOfEntry(name, entry))];
}

function warningsOfEntry(name, { days, all }) {
  const few = [...days.values()].filter(({ pings }) => pings < FEW).length;
  const warnings = [];
  if (!all.pings) {
    warnings.push(`${name}: no pings for this selection.`);
  } else if (all.pings < FEW) {
    warnings.push(`${name}: small data: ${counted(all.pings, "ping")} in all. Its percentiles may be far off.`);
  } else if (few) {
    warnings.push(
      `${name}: small data: ${few} of ${counted(days.size, "day")} have fewer than ${FEW} pings; they are marked.`,
    );
  }
  if (all.odd) {
    warnings.push(`${name}: ${counted(all.odd, "row")} of another form left out.`);
  }
  return warnings;
}

function counted(number, noun) {
  return `${shown(number, WHOLE)} ${noun}${number === 1 ? "" : "s"}`;
}

// Percentiles of an exported sum: {name: {value, open}} in the order chosen.
function exportedStatistics(total, measure, percents) {
  const { pings, values, mean, percentiles } = statisticsOf(total, measure, percents);
  return {
    pings,
    values,
    mean,
    percentiles: Object.fromEntries([...percentiles].map(([percent, found]) => [`p${percent}`, found])),
  };
}

// All that is shown, and of a keyed measure all keys, as one value for JSON.
function exportOf({ state, sides }) {
  const { measure, by, percents, from, to } = state;
  return { measure, by, from, to, percents, selections: sides.map((shownSide) => exportedSide(shownSide, percents)) };
}

function exportedSide({ name, side, measure, entries }, percents) {
  const { channel, version, filters, key } = side;
  const named = Object.fromEntries(LEVELS.map(([level], at) => [level, filters[at]]));
  const { kind, keyed, description } = measure;
  const series = entries.map((entry) => exportedEntry(entry, measure, percents));
  return { name, channel, version, filters: named, kind, description, keyed, shown_key: key, series };
}

function exportedEntry({ key, days, all }, measure, percents) {
  const byDate = [...days].map(([date, total]) => ({ date, ...exportedStatistics(total, measure, percents) }));
  return {
    key,
    ...exportedStatistics(all, measure, percents),
    days: byDate,
    distribution: distributionOf(all, measure),
  };
}

const SELECTION_COLUMNS = ["selection", "measure", "channel", "version", ...LEVELS.map(([level]) => level), "key"];

function selectionCells({ name, side }, measure, key) {
  return [name, measure, side.channel, side.version, ...side.filters, key];
}

// The evolution of every key as rows for CSV, the first of names.
function evolutionRows({ state, sides }) {
  const { measure, by, percents } = state;
  const names = [
    ...SELECTION_COLUMNS,
    `${by}_date`,
    "pings",
    "values",
    "mean",
    ...percents.map((percent) => `p${percent}`),
  ];
  const rows = everyEntry(sides, ({ shownSide, key, days }) =>
    [...days].map(([date, total]) => {
      const { pings, values, mean, percentiles } = statisticsOf(total, shownSide.measure, percents);
      const found = percents.map((percent) => percentiles.get(percent)?.value);
      return [...selectionCells(shownSide, measure, key), date, pings, values, mean, ...found];
    }),
  );
  return [names, ...rows];
}

function distributionRows({ state, sides }) {
  const rows = everyEntry(sides, ({ shownSide, key, all }) =>
    distributionOf(all, shownSide.measure).map(({ from, below, count, share }) => {
      return [...selectionCells(shownSide, state.measure, key), from, below, count, share];
    }),
  );
  return [[...SELECTION_COLUMNS, "from", "below", "count", "share"], ...rows];
}

function everyEntry(sides, rows) {
  return sides.flatMap((shownSide) => shownSide.entries.flatMap((entry) => rows({ shownSide, ...entry })));
}
