// Elements, languages, numbers and dates. Text only ever becomes text nodes.

import { TEXTS } from "./texts.js";

const KEPT = "faq-search.language";

let language = "en";
let locale = "en"; // the language as the browser's region writes numbers and dates

export const $ = (id) => document.getElementById(id);

/** An element with properties, classes by `class`, and children: elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A list of names and their values: text or elements. */
export function pairs(rows) {
  const parts = rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return make("dl", {}, ...parts);
}

/** The sentence `key` in the page's language, with `{names}` filled in. */
export function say(key, values = {}) {
  let text = TEXTS[language][key];
  if (typeof text === "object") {
    text = text[new Intl.PluralRules(language).select(values.count)];
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : value;
  });
}

/** Whether there is such a sentence. */
export const knows = (key) => key in TEXTS[language];

export function number(value, digits = 0) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(locale, options).format(value);
}

export function money(amount, currency) {
  const options = { style: "currency", currency, maximumFractionDigits: amount < 0.01 ? 6 : 3 };
  return new Intl.NumberFormat(locale, options).format(amount);
}

export function date(value) {
  return new Intl.DateTimeFormat(locale, { dateStyle: "long", timeZone: "UTC" }).format(value);
}

export function time(value) {
  const options = { dateStyle: "medium", timeStyle: "medium" };
  return new Intl.DateTimeFormat(locale, options).format(value);
}

/** Chooses the language, as it was chosen before or as the browser prefers. */
export function firstLanguage() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages];
  const known = wanted.map((tag) => (tag ?? "").split("-")[0]).find((tag) => tag in TEXTS);
  speak(known ?? "en");
  return language;
}

export function keepLanguage(chosen) {
  localStorage.setItem(KEPT, chosen);
  speak(chosen);
}

/** Puts the whole page into a language. */
function speak(chosen) {
  language = chosen;
  locale = navigator.languages.find((tag) => tag.split("-")[0] === chosen) ?? chosen;
  document.documentElement.lang = chosen;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = say(element.dataset.text);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
}

/** Runs what a form's button is for, once at a time, and says in words what went wrong. */
export async function busy(button, errorLine, statusLine, action) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  errorLine.replaceChildren();
  const working = say("working");
  statusLine.textContent = working;
  try {
    await action();
  } catch (error) {
    showError(errorLine, error);
  } finally {
    if (statusLine.textContent === working) statusLine.textContent = "";
    button.removeAttribute("aria-disabled");
  }
}

export function showError(line, error) {
  const code = error.code ?? "other";
  const key = knows(`error_${code}`) ? `error_${code}` : "error_other";
  // What the API says about this very request is in English.
  const detail = error.code && error.message ? make("span", { lang: "en" }, error.message) : null;
  const request = error.requestId ? make("small", {}, say("requestId", { id: error.requestId })) : null;
  const parts = [error.sentence ?? say(key), detail, request].filter((part) => part !== null);
  line.replaceChildren(...parts.flatMap((part, n) => (n ? [" ", part] : [part])));
  if (!error.code && !error.sentence) console.error(error);
}

/** An error that is the page's own sentence. */
export class Problem extends Error {
  constructor(sentence) {
    super(sentence);
    this.sentence = sentence;
  }
}
