// The state: what is chosen, and how the address says it. A state is never changed; a new one takes its place.

const SIDES = ["A", "B"];
const BY = ["build", "submission"];

function newSide() {
  return { channel: null, version: null, filters: LEVELS.map(() => null), key: null };
}

function newState() {
  return { measure: null, by: BY[0], percents: [25, MEDIAN, 75], from: null, to: null, sides: [newSide()] };
}

function stateOf(text) {
  const said = new URLSearchParams(text.replace(/^#/, ""));
  const percents = PERCENTILES.filter((percent) => said.get("p")?.split(",").includes(String(percent)));
  return {
    measure: said.get("measure"),
    by: BY.find((by) => by === said.get("by")) ?? BY[0],
    percents: said.has("p") ? percents : newState().percents,
    from: said.get("from"),
    to: said.get("to"),
    sides: SIDES.filter((name) => name === "A" || said.has(`${name}.channel`)).map((name) => sideOf(said, name)),
  };
}

function sideOf(said, name) {
  const get = (field) => said.get(`${name}.${field}`);
  return {
    channel: get("channel"),
    version: get("version"),
    filters: LEVELS.map(([level]) => get(level)),
    key: get("key"),
  };
}

function textOf(state) {
  const said = new URLSearchParams();
  const say = (name, value) => value !== null && said.append(name, value);
  say("measure", state.measure);
  say("by", state.by);
  say("p", state.percents.join(","));
  say("from", state.from);
  say("to", state.to);
  state.sides.forEach((side, at) => sayOf(side, (field, value) => say(`${SIDES[at]}.${field}`, value)));
  return `#${said}`;
}

function sayOf(side, say) {
  say("channel", side.channel);
  say("version", side.version);
  LEVELS.forEach(([level], at) => say(level, side.filters[at]));
  say("key", side.key);
}

function withSide(state, at, changes) {
  return { ...state, sides: state.sides.map((side, i) => (i === at ? { ...side, ...changes } : side)) };
}

// The side with a channel and a version that there are: those it names, or the newest of the likeliest channel.
function settledVersion(side, versions, note) {
  const channel = versions.has(side.channel) ? side.channel : likeliest([...versions.keys()]);
  const there = versions.get(channel);
  const version = there.has(side.version) ? side.version : [...there.keys()].sort(naturally).at(-1);
  if ((side.channel ?? channel) !== channel || (side.version ?? version) !== version) {
    note(`There is no ${side.channel ?? channel} ${side.version ?? ""}: this is ${channel} ${version}.`);
  }
  return { ...side, channel, version };
}

function likeliest(channels) {
  return (
    ["nightly", "aurora", "beta", "release"].find((name) => channels.includes(name)) ?? channels.sort(naturally)[0]
  );
}

// The side without filters that nothing of its folder meets.
function settledFilters(side, leaves, note) {
  const filters = LEVELS.map(() => null);
  side.filters.forEach((value, level) => {
    filters[level] = value;
    if (value !== null && !leaves.some((leaf) => meets(leaf, filters))) {
      filters[level] = null;
      note(`${side.channel} ${side.version} has no ${LEVELS[level][1]} ${value} there: any is shown.`);
    }
  });
  return { ...side, filters };
}

function settledMeasure(measure, measures, note) {
  if (measures.has(measure) || measure === null) {
    return measure ?? [...measures.keys()][0] ?? null;
  }
  note(`There is no measure ${measure} in this version.`);
  return [...measures.keys()][0] ?? null;
}
