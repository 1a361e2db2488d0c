// Asks for what the API wants to see, and keeps it in this tab.

import { ask, config, credentials, forgetCredentials, keepCredentials, onRefused } from "./api.js";
import { $, Problem, busy, say, showError } from "./page.js";
import { readKeys } from "./signing.js";

const field = $("credentials");

/** Shows the form, or the page at once if this tab has credentials already. */
export function start(signedIn) {
  onRefused((error) => {
    forgetCredentials();
    showForm();
    showError($("sign-in-error"), error);
  });
  // A pasted file has lines, which a field of one line would join without a gap.
  field.addEventListener("paste", (event) => {
    event.preventDefault();
    const text = event.clipboardData.getData("text/plain").trim().replace(/\s+/g, " ");
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  });
  $("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    busy(event.submitter, $("sign-in-error"), $("sign-in-status"), async () => {
      keepCredentials(read(field.value.trim()));
      const deployed = await firstAnswer().catch((error) => {
        forgetCredentials();
        throw error;
      });
      field.value = "";
      showWork();
      signedIn(deployed);
      document.querySelector("[role=tab][aria-selected=true]").focus();
    });
  });
  $("sign-out").addEventListener("click", () => {
    forgetCredentials();
    location.reload(); // nothing that was answered stays on the page
  });
  if (credentials() === null) {
    showForm();
  } else {
    showWork();
    firstAnswer().then(signedIn, () => {});
  }
}

export function render() {
  $("sign-in-hint").textContent = say(`hint_${config.auth}`);
  $("credentials-label").textContent = say(`credentials_${config.auth}`);
}

function read(text) {
  if (!text) throw new Problem(say("empty"));
  if (config.auth !== "iam") return { secret: text };
  const keys = readKeys(text);
  if (keys === null) throw new Problem(say("notCredentials"));
  return keys;
}

/** What is deployed; null if the API takes the credentials and cannot say just now. */
async function firstAnswer() {
  try {
    return (await ask("GET", "/endpoints")).answer;
  } catch (error) {
    if (credentials() !== null && error.code !== "network") return null;
    throw error;
  }
}

function showForm() {
  $("sign-in").hidden = false;
  $("work").hidden = $("sign-out").hidden = true;
  field.focus();
}

function showWork() {
  $("sign-in").hidden = true;
  $("work").hidden = $("sign-out").hidden = false;
}
