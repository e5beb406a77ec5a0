// Reads a published tree by telemetry.js (v1), given by its path, from a server; prints all that it sees as one JSON.
"use strict";

const http = require("http");
const [, , client, server] = process.argv;
const { Telemetry } = require(client);

Telemetry.getUrl = (url, callback) => {
  http.get(server + new URL(url).pathname.replace(/^.*\/v7\//, "/v7/"), (response) => {
    if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode}`);
    let text = "";
    response.setEncoding("utf8").on("data", (data) => (text += data)).on("end", () => callback(null, JSON.parse(text)));
  });
};

const asked = (ask, ...words) => new Promise((done) => ask(...words, done));

// What a histogram says of itself, and of what each of its filters leaves of it.
function said(histogram) {
  const told = {
    kind: histogram.kind(),
    buckets: histogram.map((count, start) => [start, count]),
    count: histogram.count(),
    submissions: histogram.submissions(),
    mean: histogram.mean(),
    percentiles: histogram.count() ? [5, 25, 50, 75, 95].map((percent) => histogram.percentile(percent)) : [],
    filter: histogram.filterName(),
    filtered: {},
  };
  for (const option of histogram.filterOptions()) told.filtered[option] = said(histogram.filter(option));
  return told;
}

async function evolution(load, version, measure) {
  const dates = {};
  (await asked(load, version, measure)).each((date, histogram) => {
    dates[date.toISOString().slice(0, 10).replace(/-/g, "")] = said(histogram);
  });
  return dates;
}

(async () => {
  await asked(Telemetry.init);
  const found = {};
  for (const version of Telemetry.versions()) {
    found[version] = {};
    for (const [measure, told] of Object.entries(await asked(Telemetry.measures, version))) {
      const builds = await evolution(Telemetry.loadEvolutionOverBuilds, version, measure);
      const submissions = await evolution(Telemetry.loadEvolutionOverTime, version, measure);
      found[version][measure] = { ...told, builds, submissions };
    }
  }
  console.log(JSON.stringify(found));
})();
