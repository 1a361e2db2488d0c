// How similar texts are, each with each.

import { ask } from "./api.js";
import { failures } from "./ask.js";
import { $, Problem, busy, make, number, say } from "./page.js";

const MOST = 40;
const EXAMPLE = [
  "Your dog is so cute.",
  "How cute your dog is!",
  "You have such a cute dog!",
  "New York City is the place where I work.",
  "I work in New York City.",
  "New York City is where I work.",
  "The sky is blue today.",
  "The color of the sky is blue.",
  "Today the sky is a clear blue.",
];
// From 0 to 1; less than 0 looks like 0.
const COLOURS = [
  [247, 251, 255],
  [198, 219, 239],
  [107, 174, 214],
  [33, 113, 181],
  [8, 48, 107],
];

let last = null;

export function start() {
  $("example").addEventListener("click", () => {
    $("texts").value = EXAMPLE.join("\n");
    $("texts").focus();
  });
  $("compare-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(event.submitter, $("compare-error"), $("compare-status"), async () => {
      last = null;
      $("heat-map").replaceChildren();
      const texts = lines($("texts").value);
      if (texts.length < 2) throw new Problem(say("tooFew"));
      if (texts.length > MOST) throw new Problem(say("tooMany", { most: MOST }));
      last = { texts, ...(await ask("POST", "/embed", { texts })) };
      render();
    });
  });
}

export const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

export function render() {
  if (last === null) return;
  const { texts, answer, ms } = last;
  const values = { count: texts.length, ms, type: answer.served_by.instance_type };
  $("compare-status").textContent = [say("compared", values), ...failures(answer.served_by)].join(" ");
  const unit = answer.embeddings.map(normalised);
  const heading = make(
    "tr",
    {},
    make("td"),
    ...texts.map((text, n) => make("th", { scope: "col", title: text }, number(n + 1))),
  );
  const rows = texts.map((text, n) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, `${number(n + 1)}. ${text}`),
      ...unit.map((other) => cell(dot(unit[n], other))),
    ),
  );
  $("heat-map").replaceChildren(
    make(
      "table",
      {},
      make("caption", {}, say("heatMap")),
      make("thead", {}, heading),
      make("tbody", {}, ...rows),
    ),
  );
  // Wider than a phone, it scrolls, which a keyboard must be able to do as well.
  const map = $("heat-map");
  map.tabIndex = 0;
  map.setAttribute("role", "region");
  map.setAttribute("aria-label", say("heatMap"));
}

function cell(similarity) {
  const colour = colourOf(similarity);
  const found = make("td", {}, number(similarity, 2));
  found.style.backgroundColor = `rgb(${colour.join(" ")})`;
  // Whichever stands out more; one of the two always has a contrast of 4.5 or more.
  found.style.color = luminance(colour) > 0.179 ? "#000" : "#fff";
  return found;
}

function colourOf(value) {
  const at = Math.max(0, Math.min(1, value)) * (COLOURS.length - 1);
  const step = Math.min(Math.floor(at), COLOURS.length - 2);
  const share = at - step;
  return COLOURS[step].map((from, n) => Math.round(from + (COLOURS[step + 1][n] - from) * share));
}

/** Relative luminance, as WCAG defines it. */
function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function normalised(vector) {
  const length = Math.sqrt(dot(vector, vector)) || 1;
  return vector.map((value) => value / length);
}

function dot(a, b) {
  return a.reduce((sum, value, n) => sum + value * b[n], 0);
}
