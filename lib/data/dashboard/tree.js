// The published tree: which files there are, and what they say. Names in it are anybody's: they are kept in Maps.

const LEVELS = [
  ["reason", "Reason"],
  ["appName", "Application"],
  ["OS", "Operating system"],
  ["osVersion", "OS version"],
  ["arch", "Architecture"],
];

const POINTER = "versions.json"; // to folders whose files never change

function mapOf(object) {
  return new Map(Object.entries(object));
}

// [{id, path}] of the leaves of a filter tree; `path` has the value of each level.
function leavesOf(node, path = []) {
  const children = Object.entries(node).filter(
    ([name, child]) => name !== "_id" && name !== "name" && child instanceof Object,
  );
  if (!children.length) {
    return [{ id: node._id, path }];
  }
  return children.flatMap(([name, child]) => leavesOf(child, [...path, name]));
}

// Whether a leaf has the values asked for: one a level, or null for any; `but` is a level that does not matter.
function meets({ path }, filters, but = -1) {
  return filters.every((value, level) => value === null || level === but || path[level] === value);
}

function idsOf(leaves, filters) {
  return new Set(leaves.filter((leaf) => meets(leaf, filters)).map((leaf) => leaf.id));
}

// The values that a level can be filtered by, given what is chosen at the others.
function choicesOf(leaves, filters, level) {
  const values = leaves.filter((leaf) => meets(leaf, filters, level)).map((leaf) => leaf.path[level]);
  return [...new Set(values.filter((value) => value !== undefined))].sort(naturally);
}

function naturally(a, b) {
  return a.localeCompare(b, "en", { numeric: true }) || (a < b ? -1 : a > b ? 1 : 0);
}

// {channel: {version: folder}} as Maps, of {"channel/version": folder}.
function versionsOf(published) {
  const channels = new Map();
  for (const [name, folder] of Object.entries(published)) {
    const slash = name.lastIndexOf("/");
    const channel = name.slice(0, slash);
    channels.set(channel, channels.get(channel) ?? new Map());
    channels.get(channel).set(name.slice(slash + 1), folder);
  }
  return channels;
}

// {name: measure} as a Map; a measure that was keyed in some builds only is there twice.
function measuresOf(plain, keyed) {
  const keyedName = (name) => (Object.hasOwn(plain, name) ? `${name} (keyed)` : name);
  const measures = [
    ...Object.entries(plain).map(([name, fields]) => [name, measureOf(name, fields, false)]),
    ...Object.entries(keyed).map(([name, fields]) => [keyedName(name), measureOf(name, fields, true)]),
  ];
  return new Map(measures.sort(([a], [b]) => naturally(a, b)));
}

function measureOf(file, fields, keyed) {
  const { kind, description = "", labels = [] } = fields;
  return { file, kind, description, labels, keyed, bounds: boundsOf(fields), ranged: isRanged(fields) };
}

// Reads files below a folder, each once.
class Tree {
  constructor(root) {
    this.root = root;
    this.files = new Map();
  }

  read(...parts) {
    const path = this.root + parts.map(encodeURIComponent).join("/");
    if (!this.files.has(path)) {
      this.files.set(
        path,
        this.fetch(path).catch((error) => this.failed(path, error)),
      );
    }
    return this.files.get(path);
  }

  async fetch(path) {
    const answer = await fetch(path, path.endsWith(POINTER) ? { cache: "no-cache" } : {});
    if (!answer.ok) {
      throw new Error(`the server says ${answer.status}`);
    }
    return answer.json();
  }

  failed(path, error) {
    this.files.delete(path); // it may be there when it is asked for again
    throw new Error(`${path} cannot be read: ${error.message}`);
  }

  async versions() {
    return versionsOf(await this.read(POINTER));
  }

  // {leaves, measures} of a folder.
  async folder(name) {
    const files = ["filter-tree.json", "histograms.json", "keyed.json"];
    const [filters, plain, keyed] = await Promise.all(files.map((file) => this.read(...name.split("/"), file)));
    return { leaves: leavesOf(filters), measures: measuresOf(plain, keyed) };
  }

  // {date: rows} of a measure as a Map, of a keyed one {key: {date: rows}}.
  async values(folder, { file, keyed }, by) {
    const name = `${file}${keyed ? "-keyed" : ""}-by-${by}-date.json`;
    const found = mapOf(await this.read(...folder.split("/"), name));
    return keyed ? new Map([...found].map(([key, days]) => [key, mapOf(days)])) : found;
  }
}
