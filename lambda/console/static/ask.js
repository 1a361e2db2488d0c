// A question and its answers.

import { ask } from "./api.js";
import { $, busy, make, number, pairs, say } from "./page.js";

let last = null;

export function start() {
  $("ask-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { queries: [$("question").value], top_k: Number($("answers").value) };
    if ($("endpoint").value) body.instance_type = $("endpoint").value;
    busy(event.submitter, $("ask-error"), $("ask-status"), async () => {
      last = null;
      $("hits").replaceChildren();
      last = await ask("POST", "/search", body);
      render();
    });
  });
}

/** Lets the user choose among the deployed endpoints. */
export function offer(endpoints) {
  const types = endpoints.map((each) => make("option", {}, each.instance_type));
  const first = make("option", { value: "", "data-text": "anyEndpoint" }, say("anyEndpoint"));
  $("endpoint").replaceChildren(first, ...types);
  $("endpoint-choice").hidden = types.length < 2;
}

export function render() {
  if (last === null) return;
  const { answer, ms } = last;
  const [hits] = answer.results;
  const key = hits.length ? "found" : "nothingFound";
  const status = say(key, { count: hits.length, ms, type: answer.served_by.instance_type });
  $("ask-status").textContent = [status, ...failures(answer.served_by)].join(" ");
  $("hits").replaceChildren(...hits.map(card));
}

/** A sentence for each endpoint that was asked in vain. */
export function failures(servedBy) {
  return servedBy.failed_over_from.map((each) =>
    say("failedOver", { type: each.instance_type, reason: say(each.reason) }),
  );
}

function card(hit) {
  const { passage, answer } = hit;
  const marked = passage !== null && answer !== null ? answer.indexOf(passage) : -1;
  const head = make(
    "div",
    { class: "hit-head" },
    make("h2", {}, hit.question ?? say("entry", { id: hit.id })),
    score(hit.score),
  );
  const item = make("li", { class: "card" }, head);
  if (answer === null) {
    item.append(make("p", { class: "note" }, say("withoutText")));
  } else if (marked >= 0) {
    const end = marked + passage.length;
    item.append(
      make("p", { class: "answer" }, answer.slice(0, marked), make("mark", {}, passage), answer.slice(end)),
    );
  } else {
    item.append(make("p", { class: "answer" }, answer));
    if (passage !== null) {
      item.append(make("p", { class: "note" }, say("bestPassage")), make("blockquote", {}, passage));
    }
  }
  item.append(fields(hit));
  return item;
}

function score(value) {
  const filled = make("span");
  filled.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, filled);
  return make("div", { class: "score" }, `${say("score")} ${number(value, 2)}`, bar);
}

function fields(hit) {
  const rows = Object.entries({ id: hit.id, ...hit.fields });
  return pairs(rows.map(([name, value]) => [name, shown(name, value)]));
}

/** A field's value; one called `url` as a link, if it leads to the web. */
function shown(name, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (name !== "url" || !URL.canParse(text)) return text;
  const { protocol } = new URL(text);
  if (protocol !== "https:" && protocol !== "http:") return text;
  return make("a", { href: text, target: "_blank", rel: "noopener noreferrer" }, text);
}
