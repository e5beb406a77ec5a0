// The view: controls and tables. Text comes into the page as text alone, so that no name can be markup.

const MOST_OPTIONS = 200; // of a list that can be searched
const MOST_KEYS = 200; // rows of keys; files that are handed out have all

const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

// A control with its label before it.
function labelled(text, control, id) {
  control.id = id;
  return element("div", {}, element("label", { for: id }, text), control);
}

// Fill a select with [value, text] pairs; null, the value of "any", is the first of them.
function fillSelect(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => element("option", {}, text)));
  select.values = pairs.map(([value]) => value);
  select.selectedIndex = Math.max(0, select.values.indexOf(chosen));
}

function chosenOf(select) {
  return select.values[select.selectedIndex];
}

const named = (values, text = String) => values.map((value) => [value, text(value)]);

// A text field over a list of many options, found by words of them; its keys are those of the ARIA pattern.
class Combobox {
  constructor(input, list, choose) {
    Object.assign(this, { input, list, choose, options: [], found: [], at: -1, chosen: null });
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("focus", () => input.select()); // what is typed takes its place
    input.addEventListener("click", () => this.open(""));
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
    list.addEventListener("click", (event) =>
      this.pick([...list.children].indexOf(event.target.closest("[role=option]"))),
    );
  }

  // `options` are [value, hint] pairs.
  fill(options, chosen) {
    this.options = options;
    this.chosen = chosen;
    if (this.list.hidden) {
      this.input.value = chosen ?? "";
    }
  }

  open(text) {
    const words = text.toLowerCase().split(/\s+/);
    const meets = ([value, hint]) => words.every((word) => `${value} ${hint}`.toLowerCase().includes(word));
    const found = this.options.filter(meets);
    this.found = found.slice(0, MOST_OPTIONS);
    this.list.replaceChildren(...this.found.map((option, at) => this.optionOf(option, at)));
    if (found.length > MOST_OPTIONS || !found.length) {
      const more = found.length ? `${found.length - MOST_OPTIONS} more: type to narrow them down` : "Nothing like that";
      this.list.append(element("li", { role: "option", "aria-disabled": "true", class: "more" }, more));
    }
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(text ? 0 : this.found.findIndex(([value]) => value === this.chosen));
  }

  optionOf([value, hint], at) {
    const option = element(
      "li",
      { role: "option", id: `${this.list.id}-${at}`, "aria-selected": "false" },
      element("span", {}, keyName(value)),
    );
    if (hint) {
      option.append(element("small", {}, hint));
    }
    return option;
  }

  mark(at) {
    this.list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    this.at = at < this.found.length ? at : -1;
    const option = this.list.children[this.at];
    this.input.setAttribute("aria-activedescendant", option?.id ?? "");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    if (Object.hasOwn(steps, event.key)) {
      event.preventDefault();
      this.list.hidden
        ? this.open("")
        : this.mark(Math.min(Math.max(this.at + steps[event.key], 0), this.found.length - 1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.pick(this.at);
    } else if (event.key === "Escape") {
      this.close();
    }
  }

  pick(at) {
    if (!this.list.hidden && this.found[at]) {
      [this.chosen] = this.found[at];
      this.close();
      this.choose(this.chosen);
    }
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.setAttribute("aria-activedescendant", "");
    this.input.value = this.chosen ?? "";
  }
}

// A table of groups of columns, [{name, columns}], and rows, [{cells, few}], whose first cell is their head.
function tableOf(caption, groups, rows) {
  const table = element("table", {}, element("caption", {}, caption));
  const head = element("thead");
  if (groups.some(({ name }) => name)) {
    head.append(element("tr", {}, ...groups.map(groupHead)));
  }
  head.append(
    element("tr", {}, ...groups.flatMap(({ columns }) => columns.map((name) => element("th", { scope: "col" }, name)))),
  );
  table.append(head, element("tbody", {}, ...rows.map(rowOf)));
  return table;
}

function groupHead({ name, columns }) {
  return name
    ? element("th", { scope: "colgroup", colspan: columns.length }, name)
    : element("td", { colspan: columns.length });
}

function rowOf({ cells: [first, ...rest], few }) {
  const head = element("th", { scope: "row" }, first);
  if (few) {
    head.append(element("small", { class: "few" }, "few pings"));
  }
  return element("tr", few ? { class: "few" } : {}, head, ...rest.map((cell) => element("td", {}, cell)));
}

function nameOf({ name, side }) {
  return [`${name}: ${side.channel} ${side.version}`, ...side.filters.filter((value) => value !== null)].join(" · ");
}

const both = (sides) => sides.length > 1;
const RATIO = "B / A";

function statisticCells({ pings, values, mean, percentiles }) {
  return [shown(pings, WHOLE), shown(values, WHOLE), shown(mean), ...[...percentiles.values()].map(shownPercentile)];
}

function statisticNames(percents) {
  return ["Pings", "Values", "Mean", ...percents.map(percentileName)];
}

function ratioCells([first, second]) {
  const numbers = ({ pings, values, mean, percentiles }) => [
    pings,
    values,
    mean,
    ...[...percentiles.values()].map((found) => found?.value),
  ];
  const others = numbers(second);
  return numbers(first).map((number, at) => shown(ratioOf(number, others[at])));
}

// The numbers of all days shown: a row for each, a column for each selection, and their ratio.
function summaryTable({ state, sides }) {
  const found = sides.map(({ entry, measure }) => statisticsOf(entry.all, measure, state.percents));
  const columns = [...found.map(statisticCells), ...(both(sides) ? [ratioCells(found)] : [])];
  const rows = statisticNames(state.percents).map((name, at) => ({
    cells: [name, ...columns.map((column) => column[at])],
  }));
  return tableOf("All days shown", [{ columns: ["", ...sides.map(nameOf), ...(both(sides) ? [RATIO] : [])] }], rows);
}

function evolutionTable({ state, sides, days }) {
  const names = statisticNames(state.percents);
  const groups = sides.map((side) => ({ name: nameOf(side), columns: names }));
  const first = { name: "", columns: [state.by === "build" ? "Build" : "Submitted"] };
  const ratios = both(sides) ? [{ name: RATIO, columns: names }] : [];
  const there = days.filter((day) => sides.some(({ entry }) => entry.days.has(day)));
  return tableOf(
    `Each day, ${state.measure}`,
    [first, ...groups, ...ratios],
    there.map((day) => dayRow(state, sides, day)),
  );
}

function dayRow({ percents }, sides, day) {
  const totals = sides.map(({ entry, measure }) => entry.days.get(day) ?? nothing(measure.bounds.length));
  const found = totals.map((total, at) => statisticsOf(total, sides[at].measure, percents));
  const cells = [shownDate(day), ...found.flatMap(statisticCells), ...(both(sides) ? ratioCells(found) : [])];
  return { cells, few: totals.some(({ pings }) => pings > 0 && pings < FEW) };
}

// One table where the selections have the same buckets, else one for each.
function distributionTables({ state, sides }) {
  const same = both(sides) && sameBounds(sides[0].measure.bounds, sides[1].measure.bounds);
  return (same ? [sides] : sides.map((side) => [side])).map((some) => distributionTable(state, some));
}

function distributionTable({ measure: name }, sides) {
  const { measure } = sides[0];
  const found = sides.map((side) => distributionOf(side.entry.all, side.measure));
  const range = { name: "", columns: measure.ranged ? ["From", "Below"] : ["Value", "Meaning"] };
  const groups = sides.map((side) => ({ name: nameOf(side), columns: ["Count", "Share"] }));
  const ratios = both(sides) ? [{ name: RATIO, columns: ["Share"] }] : [];
  const rows = measure.bounds.map((_, at) => ({
    cells: [...rangeCells(measure, found[0][at], at), ...shareCells(found, at)],
  }));
  return tableOf(`Buckets of ${name}`, [range, ...groups, ...ratios], rows);
}

function rangeCells(measure, { from, below }, at) {
  return [String(from), measure.ranged ? (below === null ? "and more" : String(below)) : meaningOf(measure, at)];
}

function meaningOf({ kind, labels }, at) {
  const words = kind === "boolean" ? ["no", "yes"] : kind === "flag" ? ["not set", "set"] : labels;
  return words[at] ?? "";
}

function shareCells(found, at) {
  const cells = found.flatMap((buckets) => [shown(buckets[at].count, WHOLE), shown(buckets[at].share, PERCENT)]);
  return found.length > 1 ? [...cells, shown(ratioOf(found[0][at].share, found[1][at].share))] : cells;
}

function keyName(key) {
  return key || "(empty)";
}

// The keys of a selection, those with most values first.
function keysTable({ state }, shownSide) {
  const rows = shownSide.entries.slice(0, MOST_KEYS).map(({ key, all }) => {
    return {
      cells: [keyName(key), ...statisticCells(statisticsOf(all, shownSide.measure, state.percents))],
      few: all.pings < FEW,
    };
  });
  return tableOf(nameOf(shownSide), [{ columns: ["Key", ...statisticNames(state.percents)] }], rows);
}
