// The page: from the address to a model to what is seen, and from a control to the address.

class Page {
  constructor(tree) {
    Object.assign(this, { tree, state: stateOf(location.hash), model: null, asked: 0 });
    this.measure = new Combobox(byId("measure"), byId("measures"), (measure) => this.change({ measure }));
    this.sides = SIDES.map((name, at) => new SideControls(this, name, at));
    byId("sides").append(...this.sides.map(({ root }) => root));
    this.makePercents();
    this.listen();
  }

  makePercents() {
    const boxes = PERCENTILES.map((percent) => element("input", { type: "checkbox", value: percent }));
    byId("percents").append(
      ...boxes.map((box, at) => element("label", {}, box, ` ${percentileName(PERCENTILES[at])}`)),
    );
    this.percents = boxes;
  }

  listen() {
    const changed = (id, changes) => byId(id).addEventListener("change", (event) => this.change(changes(event.target)));
    byId("choices").addEventListener("submit", (event) => event.preventDefault());
    document.querySelectorAll("[name=by]").forEach((radio) => {
      radio.addEventListener("change", () => this.change({ by: radio.value, from: null, to: null }));
    });
    changed("from", (select) => ({ from: chosenOf(select) }));
    changed("to", (select) => ({ to: chosenOf(select) }));
    changed("percents", () => ({ percents: PERCENTILES.filter((_, at) => this.percents[at].checked) }));
    changed("compare", ({ checked }) => this.compared(checked));
    byId("skip").addEventListener("click", () => byId("results").focus());
    byId("shown").addEventListener("click", (event) => this.download(event.target.dataset.download));
    window.addEventListener("popstate", () => this.show(stateOf(location.hash)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.model && this.draw());
  }

  // A second selection begins as the first.
  compared(wanted) {
    const [first] = this.state.sides;
    return { sides: wanted ? [first, first] : [first] };
  }

  // Show another state, and let the address say it.
  change(changes) {
    const state = { ...this.state, ...changes };
    history.pushState(null, "", textOf(state));
    return this.show(state);
  }

  // Read what a state needs and show it, unless another was asked for meanwhile.
  async show(state) {
    this.state = state;
    const number = ++this.asked;
    byId("results").setAttribute("aria-busy", "true");
    byId("shown").dataset.charts = "old";
    try {
      const model = await modelOf(this.tree, state);
      if (number === this.asked) {
        this.present(model);
        await this.draw();
      }
    } catch (error) {
      if (number === this.asked) {
        this.fail(error);
      }
    }
  }

  present(model) {
    this.model = model;
    this.state = model.state;
    history.replaceState(null, "", textOf(model.state));
    byId("error").hidden = true;
    byId("shown").hidden = false;
    this.presentControls();
    this.presentWords();
    this.presentTables();
    byId("results").setAttribute("aria-busy", "false");
  }

  async draw() {
    const number = this.asked;
    const isStale = () => number !== this.asked;
    await draw(this.model, isStale);
    if (!isStale()) {
      byId("shown").dataset.charts = "drawn";
    }
  }

  fail(error) {
    byId("error").textContent = error.message;
    byId("error").hidden = false;
    byId("status").textContent = this.model ? "" : "There is nothing to show.";
    byId("results").setAttribute("aria-busy", "false");
  }

  presentControls() {
    const { state, dates, measures } = this.model;
    this.measure.fill(
      [...measures].map(([name, { description }]) => [name, description]),
      state.measure,
    );
    document.querySelectorAll("[name=by]").forEach((radio) => (radio.checked = radio.value === state.by));
    this.percents.forEach((box, at) => (box.checked = state.percents.includes(PERCENTILES[at])));
    fillSelect(byId("from"), [[null, "the first"], ...named(dates, shownDate)], state.from);
    fillSelect(byId("to"), [[null, "the last"], ...named(dates, shownDate)], state.to);
    byId("compare").checked = both(state.sides);
    this.sides.forEach((side) => side.present(this.model));
  }

  presentWords() {
    const { state, sides } = this.model;
    byId("name").textContent = state.measure ?? "No measure";
    byId("description").textContent = sides[0].measure.description;
    byId("status").textContent = sides.map((side) => sentenceOf(side, state)).join(" ");
    byId("warnings").replaceChildren(...warningsOf(this.model).map((text) => element("li", {}, text)));
    document.title = `${state.measure ?? "No measure"} – Telemetry histograms`;
  }

  presentTables() {
    byId("summary").replaceChildren(summaryTable(this.model));
    byId("evolution").replaceChildren(evolutionTable(this.model));
    byId("distribution").replaceChildren(...distributionTables(this.model));
    const keyed = this.model.sides.filter(({ measure }) => measure.keyed);
    byId("keys-section").hidden = !keyed.length;
    byId("keys").replaceChildren(...keyed.map((side) => keysTable(this.model, side)));
    const most = Math.max(0, ...keyed.map(({ entries }) => entries.length));
    byId("keys-note").textContent =
      most > MOST_KEYS ? `The ${MOST_KEYS} keys with most values; the files below have all ${most}.` : "";
  }

  download(what) {
    if (what === "json") {
      save(`${this.state.measure}.json`, "application/json", JSON.stringify(exportOf(this.model), null, 1));
    } else if (what) {
      const rows = (what === "evolution" ? evolutionRows : distributionRows)(this.model);
      save(`${this.state.measure}-${what}.csv`, "text/csv", csvOf(rows));
    }
  }
}

function sentenceOf({ name, side, entry, measure }, { by }) {
  const key = entry.key === null ? "" : `, key ${keyName(entry.key)}`;
  const median = shownPercentile(percentileOf(entry.all, measure.bounds, measure.ranged, MEDIAN));
  const days = `${counted(entry.days.size, by === "build" ? "build day" : "submission day")}`;
  return `${nameOf({ name, side })}${key}: ${counted(entry.all.pings, "ping")}, ${days}, median ${median}.`;
}

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// The controls of one selection.
class SideControls {
  constructor(page, name, at) {
    Object.assign(this, { page, name, at, root: byId("side").content.cloneNode(true).firstElementChild });
    this.root.querySelector("legend").textContent = `Selection ${name}`;
    this.channel = this.makeSelect("builds", "Channel", (channel) => this.change({ channel, version: null }));
    this.version = this.makeSelect("builds", "Version", (version) => this.change({ version }));
    this.selects = LEVELS.map(([, text], level) =>
      this.makeSelect("filters", text, (value) => this.filter(level, value)),
    );
    this.makeKeys();
  }

  field(name) {
    return this.root.querySelector(`[data-field=${name}]`);
  }

  makeSelect(field, text, choose) {
    const select = element("select");
    select.addEventListener("change", () => choose(chosenOf(select)));
    this.field(field).append(labelled(text, select, `${text}-of-${this.name}`.replaceAll(" ", "-")));
    return select;
  }

  makeKeys() {
    this.keys = this.field("key");
    const [input, list] = [this.keys.querySelector("input"), this.keys.querySelector("ul")];
    list.id = `keys-of-${this.name}`;
    input.id = `key-of-${this.name}`;
    input.setAttribute("aria-controls", list.id);
    this.keys.querySelector("label").htmlFor = input.id;
    this.key = new Combobox(input, list, (key) => this.change({ key }));
  }

  filter(level, value) {
    const { filters } = this.page.state.sides[this.at];
    this.change({ filters: filters.with(level, value) });
  }

  change(changes) {
    const { sides } = withSide(this.page.state, this.at, changes);
    this.page.change({ sides });
  }

  present({ sides, versions }) {
    this.root.hidden = !sides[this.at];
    if (!this.root.hidden) {
      this.presentSide(sides[this.at], versions);
    }
  }

  presentSide({ side, leaves, measure, entries }, versions) {
    fillSelect(this.channel, named([...versions.keys()].sort(naturally)), side.channel);
    fillSelect(this.version, named([...versions.get(side.channel).keys()].sort(naturally)), side.version);
    this.selects.forEach((select, level) => {
      fillSelect(select, [[null, "any"], ...named(choicesOf(leaves, side.filters, level))], side.filters[level]);
    });
    this.keys.hidden = !measure.keyed;
    this.key.fill(
      entries.map(({ key, all }) => [key ?? "", counted(all.pings, "ping")]),
      side.key,
    );
  }
}

const page = new Page(new Tree("v7/"));
page.show(page.state);
