// What is deployed, whether it answers, and what it costs.

import { ask } from "./api.js";
import { $, busy, date, make, money, number, pairs, say, time } from "./page.js";

let last = null;

export function start() {
  $("refresh").addEventListener("click", refresh);
}

export function show() {
  if (last === null) refresh();
}

function refresh() {
  busy($("refresh"), $("stage-error"), $("stage-status"), async () => {
    const { answer } = await ask("GET", "/endpoints");
    last = { deployed: answer, states: await states(), at: new Date() };
    render();
  });
}

/** How each endpoint is, by its instance type; nothing if the API cannot say. */
async function states() {
  const lines = await ask("GET", "/health").then(
    ({ answer }) => answer.endpoints,
    // Where none answers as it should, the error has the lines.
    (error) => error.answer?.endpoints ?? [],
  );
  return new Map(lines.map((line) => [line.instance_type, line.status]));
}

export function render() {
  if (last === null) return;
  const { deployed, at } = last;
  $("stage-status").textContent = say("upToDate", { time: time(at) });
  const { model } = deployed;
  const facts = [
    ["serving", say(deployed.serving)],
    ["model", `${model.id} ${model.version}, ${say("dimension", { count: model.dimension })}`],
    ["corpus", make("span", { class: "code" }, deployed.corpus.sha256)],
    ["bake", make("span", { class: "code" }, deployed.bake_id)],
  ];
  $("deployed").replaceChildren(
    make("div", { class: "card" }, make("h2", {}, say("endpoints")), table()),
    make(
      "div",
      { class: "card" },
      make("h2", {}, say("stage")),
      pairs(facts.map(([key, value]) => [say(key), value])),
    ),
  );
}

function table() {
  const { endpoints } = last.deployed;
  const columns = ["instanceType", "endpointName", "state", "instances", "perHour"];
  const numeric = ["instances", "perHour"];
  const heading = columns.map((key) => header(key, numeric.includes(key)));
  const known = endpoints.every((each) => each.hourly_price !== null);
  const foot = make(
    "tr",
    {},
    make("th", { scope: "row", colSpan: 4 }, say("total")),
    make("td", { class: "number" }, known ? cost(endpoints) : say("unknown")),
  );
  const price = endpoints.find((each) => each.hourly_price)?.hourly_price;
  const note = price ? say("pricesAsOf", { date: date(new Date(price.as_of)) }) : "";
  const box = { class: "scroll", tabIndex: 0, role: "region", "aria-label": say("endpoints") };
  return make(
    "div",
    box,
    make(
      "table",
      {},
      make("caption", {}, note),
      make("thead", {}, make("tr", {}, ...heading)),
      make("tbody", {}, ...endpoints.map(row)),
      make("tfoot", {}, foot),
    ),
  );
}

function header(key, numeric) {
  return make("th", { scope: "col", class: numeric ? "number" : "" }, say(key));
}

function row(endpoint) {
  const { min_instances: least, max_instances: most, hourly_price: price } = endpoint;
  const state = last.states.get(endpoint.instance_type);
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, endpoint.instance_type),
    make("td", {}, endpoint.endpoint_name),
    make("td", {}, state ? say(state) : say("unknown")),
    make("td", { class: "number" }, range(least, most, number)),
    make("td", { class: "number" }, price ? cost([endpoint]) : say("unknown")),
  );
}

/** What endpoints of known prices cost an hour, with the fewest and the most instances. */
function cost(endpoints) {
  const sum = (instances) =>
    endpoints.reduce((all, each) => all + each[instances] * each.hourly_price.amount, 0);
  const { currency } = endpoints[0].hourly_price;
  return range(sum("min_instances"), sum("max_instances"), (value) => money(value, currency));
}

function range(from, to, format) {
  return from === to ? format(from) : say("fromTo", { from: format(from), to: format(to) });
}
