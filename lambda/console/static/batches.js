// Batches: start one from texts or a file, follow it, stop it, look at its results.

import { ask, beginning, upload } from "./api.js";
import { lines } from "./compare.js";
import { $, Problem, busy, make, money, number, pairs, say, showError, time } from "./page.js";

const KEPT = "faq-search.batches"; // their ids, as long as this tab is open
const ENDED = ["completed", "failed", "stopped"];
const POLL_SECONDS = 3;
const PREVIEW_BYTES = 4096;

// By id, the newest last: the API's last answer, or an error, and what the preview shows.
const followed = new Map();
let timer = null;
let round = 0;

export function start() {
  for (const id of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) followed.set(id, {});
  $("batch-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(event.submitter, $("batch-error"), $("batch-status"), begin);
  });
  $("follow-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(event.submitter, $("batch-error"), $("batch-status"), async () => {
      const id = $("batch-id").value.trim();
      if (!id) throw new Problem(say("empty"));
      const { answer } = await ask("GET", `/batch/${encodeURIComponent(id)}`);
      keep(id, answer);
      $("follow-form").reset();
    });
  });
}

/** Looks after the batches that have not ended, while the tab shows them. */
export function show() {
  render();
  poll();
}

export function hide() {
  round += 1;
  clearTimeout(timer);
}

async function begin() {
  const content = await records();
  const request = { upload: true, merge: $("batch-merge").checked };
  const { answer } = await ask("POST", "/batch", request);
  $("batch-status").textContent = say("uploading");
  await upload(answer.upload, content);
  $("batch-form").reset();
  keep(answer.batch_id, { batch_id: answer.batch_id, status: "checking" });
  $("batch-status").textContent = say("batchStarted", { id: answer.batch_id });
}

/** The file: the chosen one if it has JSON lines, else one made of the texts. */
async function records() {
  const [file] = $("batch-file").files;
  const text = file ? await file.text() : $("batch-texts").value;
  const texts = lines(text);
  if (!texts.length) throw new Problem(say("noBatchTexts"));
  const ready = file && texts[0].startsWith("{");
  const made = texts.map((each, n) => JSON.stringify({ id: n + 1, text_inputs: each }) + "\n");
  return new Blob(ready ? [file] : made, { type: "application/jsonl" });
}

function keep(id, answer) {
  const before = followed.get(id)?.answer?.status;
  followed.delete(id);
  followed.set(id, { answer });
  store();
  sayStatus(answer, before);
  show();
}

function store() {
  sessionStorage.setItem(KEPT, JSON.stringify([...followed.keys()]));
}

function sayStatus(answer, before) {
  if (answer.status === before) return;
  const values = { id: answer.batch_id, status: say(answer.status) };
  $("batch-status").textContent = say("batchIs", values);
}

async function poll() {
  clearTimeout(timer);
  round += 1;
  const mine = round;
  for (const [id, batch] of followed) {
    const ended = ENDED.includes(batch.answer?.status);
    if (ended || document.hidden) continue;
    try {
      const { answer } = await ask("GET", `/batch/${encodeURIComponent(id)}`);
      if (!followed.has(id)) continue;
      const before = batch.answer?.status;
      followed.set(id, { ...batch, answer, error: undefined });
      if (before) sayStatus(answer, before);
    } catch (error) {
      if (!followed.has(id)) continue;
      followed.set(id, { ...batch, error });
    }
    render();
  }
  if (mine !== round) return; // another round has begun, or nobody looks
  const open = [...followed.values()].some((batch) => !ENDED.includes(batch.answer?.status));
  if (open) timer = setTimeout(poll, POLL_SECONDS * 1000);
}

export function render() {
  const focused = document.activeElement?.dataset.key;
  $("followed").replaceChildren(...[...followed].reverse().map(([id, batch]) => card(id, batch)));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function card(id, batch) {
  const { answer, error } = batch;
  const status = answer ? say(answer.status) : "…";
  const item = make("li", { class: "card" }, make("h3", {}, `${say("batch")} ${id}`));
  const problem = make("p", { class: "error" });
  if (error) showError(problem, error);
  item.append(make("p", {}, `${say("state")}: ${status}`), problem);
  if (answer?.report) item.append(report(answer.report));
  if (answer?.downloads?.length) item.append(results(id, batch));
  const open = answer && !ENDED.includes(answer.status);
  item.append(
    make(
      "p",
      { class: "row" },
      open ? action(id, "stop", () => stop(id)) : null,
      action(id, "forget", () => forget(id)),
    ),
  );
  return item;
}

function action(id, key, run) {
  const properties = { type: "button", class: "plain", "data-key": `${key} ${id}` };
  const button = make("button", properties, say(key));
  button.addEventListener("click", run);
  return button;
}

async function stop(id) {
  try {
    const { answer } = await ask("DELETE", `/batch/${encodeURIComponent(id)}`);
    const batch = followed.get(id);
    followed.set(id, { ...batch, answer: { ...batch.answer, status: answer.status } });
  } catch (error) {
    followed.set(id, { ...followed.get(id), error });
  }
  show();
}

function forget(id) {
  followed.delete(id);
  store();
  render();
  $("batch-id").focus();
}

function report(found) {
  const { records: counts, cost_estimate: cost } = found;
  const shown = (value) => value ?? say("unknown");
  const rows = [
    ["started", time(new Date(found.started_at))],
    ["took", say("seconds", { count: found.seconds })],
    [
      "records",
      say("recordsOf", {
        embedded: shown(counts.embedded),
        failed: shown(counts.failed),
        rejected: shown(counts.rejected),
      }),
    ],
    ["instanceType", found.transform_job && instances(found.transform_job)],
    ["cost", cost && money(cost.amount, cost.currency)],
    ["reason", found.reason && make("span", { lang: "en" }, found.reason)],
  ].filter(([, value]) => value);
  return pairs(rows.map(([key, value]) => [say(key), value]));
}

function instances(job) {
  return `${number(job.instance_count)} × ${job.instance_type}`;
}

function results(id, batch) {
  const list = make("ul");
  for (const { s3_uri: uri, url } of batch.answer.downloads) {
    const name = uri.split("/").at(-1);
    const properties = { href: url, target: "_blank", rel: "noopener noreferrer", title: uri };
    const look = make(
      "button",
      { type: "button", class: "plain", "data-key": `show ${uri}` },
      say("showBeginning", { name }),
    );
    look.addEventListener("click", () => preview(id, url));
    list.append(make("li", {}, make("a", properties, name), " ", look));
  }
  const box = make("div", {}, make("h4", {}, say("results")), list);
  if (batch.preview) {
    box.append(
      make("pre", { tabIndex: 0, role: "region", "aria-label": say("results") }, batch.preview),
    );
  }
  return box;
}

async function preview(id, url) {
  const batch = followed.get(id);
  try {
    const text = await beginning(url, PREVIEW_BYTES);
    followed.set(id, { ...batch, preview: text, error: undefined });
  } catch (error) {
    followed.set(id, { ...batch, error });
  }
  render();
}
