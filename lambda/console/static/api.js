// Asks the API that this page lies below, with what its user signed in with.

import { sign } from "./signing.js";

const KEPT = "faq-search.credentials";
const BASE = location.origin + location.pathname.replace(/\/console(\/[^/]*)?$/, "");
const SECONDS = 35; // API Gateway gives up before

/** How requests are authorised here, and in which region: what the page may know unasked. */
export const config = await (await fetch(new URL("config.json", import.meta.url))).json();

/** Requests that the API refused, or did not answer: `code` is the API's own, or `network`. */
export class ApiError extends Error {
  constructor(code, answer = {}) {
    super(answer.message ?? "");
    this.code = code;
    this.answer = answer;
    this.requestId = answer.request_id;
  }
}

// This tab forgets them when it is closed.
export function credentials() {
  return JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
}

export function keepCredentials(found) {
  sessionStorage.setItem(KEPT, JSON.stringify(found));
}

export function forgetCredentials() {
  sessionStorage.removeItem(KEPT);
}

let refused = () => {};

/** Registers what happens once the API no longer accepts the credentials. */
export function onRefused(action) {
  refused = action;
}

/** The API's answer to a request, and how many milliseconds it took. */
export async function ask(method, path, body) {
  const url = new URL(BASE + path);
  const text = body === undefined ? "" : JSON.stringify(body);
  const began = performance.now();
  const response = await send(url, {
    method,
    headers: await headers(method, url, text),
    body: text || undefined,
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(SECONDS * 1000),
  });
  const answer = await response.json().catch(() => ({}));
  const ms = performance.now() - began;
  if (response.ok) return { answer, ms };
  const error = new ApiError(answer.code ?? "other", answer);
  if (response.status === 401 || response.status === 403) refused(error);
  throw error;
}

async function send(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw new ApiError(error.name === "TimeoutError" ? "time_out" : "network");
  }
}

async function headers(method, url, body) {
  const kept = credentials();
  const sent = body ? { "content-type": "application/json" } : {};
  if (config.auth === "iam") {
    return { ...sent, ...(await sign(method, url, body, kept, config.region, "execute-api")) };
  }
  if (config.auth === "jwt") return { ...sent, authorization: `Bearer ${kept.secret}` };
  return { ...sent, "x-api-key": kept.secret };
}

/** Sends a file to the URL that the API gave for it. */
export async function upload(target, content) {
  const options = { method: target.method, headers: target.headers, body: content };
  await transfer("upload", target.url, options);
}

/** The first bytes of a result, as text. */
export async function beginning(url, bytes) {
  const response = await transfer("download", url, { headers: { range: `bytes=0-${bytes - 1}` } });
  return response.text();
}

async function transfer(code, url, options) {
  const response = await fetch(url, { credentials: "omit", ...options }).catch(() => null);
  if (!response?.ok) throw new ApiError(code);
  return response;
}
