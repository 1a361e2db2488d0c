// Starts the page: its language, its tabs, and what lies behind them.

import * as ask from "./ask.js";
import * as batches from "./batches.js";
import * as compare from "./compare.js";
import { $, firstLanguage, keepLanguage } from "./page.js";
import * as signIn from "./sign_in.js";
import * as stage from "./stage.js";

const VIEWS = { ask, compare, batches, stage };
const NAMES = Object.keys(VIEWS);

let current = null;

function open(name) {
  if (current === name) return;
  VIEWS[current]?.hide?.();
  current = name;
  for (const each of NAMES) {
    const chosen = each === name;
    $(each).hidden = !chosen;
    $(`tab-${each}`).setAttribute("aria-selected", String(chosen));
    $(`tab-${each}`).tabIndex = chosen ? 0 : -1;
  }
  if (!$("work").hidden) VIEWS[name].show?.();
}

function fromAddress() {
  const name = location.hash.slice(1);
  open(NAMES.includes(name) ? name : NAMES[0]);
}

function startTabs() {
  for (const name of NAMES) {
    $(`tab-${name}`).addEventListener("click", () => {
      history.replaceState(null, "", `#${name}`);
      open(name);
    });
  }
  $("tabs").addEventListener("keydown", (event) => {
    const at = NAMES.indexOf(current);
    const to = {
      ArrowRight: (at + 1) % NAMES.length,
      ArrowLeft: (at + NAMES.length - 1) % NAMES.length,
      Home: 0,
      End: NAMES.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = $(`tab-${NAMES[to]}`);
    tab.focus();
    tab.click();
  });
  window.addEventListener("hashchange", fromAddress);
}

function render() {
  for (const view of [signIn, ...Object.values(VIEWS)]) view.render();
}

$("language").value = firstLanguage();
$("language").addEventListener("change", (event) => {
  keepLanguage(event.target.value);
  render();
});
for (const view of Object.values(VIEWS)) view.start();
startTabs();
render();
signIn.start((deployed) => {
  if (deployed) ask.offer(deployed.endpoints);
  VIEWS[current]?.show?.();
});
fromAddress();
