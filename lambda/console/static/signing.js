// AWS's Signature Version 4, for APIs that take signed requests.

const ALGORITHM = "AWS4-HMAC-SHA256";
const encoder = new TextEncoder();

/** The headers that sign a request; `keys` has id, secret and, of temporary ones, token. */
export async function sign(method, url, body, keys, region, service, now = new Date()) {
  const at = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const day = at.slice(0, 8);
  const headers = { host: url.host, "x-amz-date": at };
  if (keys.token) headers["x-amz-security-token"] = keys.token;
  const names = Object.keys(headers).sort();
  const request = [
    method,
    // The path as it is sent, encoded once more, as every service but S3 wants it.
    url.pathname.split("/").map(encodeURIComponent).join("/"),
    "",
    ...names.map((name) => `${name}:${headers[name]}`),
    "",
    names.join(";"),
    await digest(body),
  ].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = [ALGORITHM, at, scope, await digest(request)].join("\n");
  let key = encoder.encode(`AWS4${keys.secret}`);
  for (const part of [day, region, service, "aws4_request", text]) key = await hmac(key, part);
  delete headers.host; // the browser sends it
  return {
    ...headers,
    authorization:
      `${ALGORITHM} Credential=${keys.id}/${scope}, SignedHeaders=${names.join(";")}, ` +
      `Signature=${hex(key)}`,
  };
}

/** The keys in what `aws configure export-credentials`, a profile or an environment says. */
export function readKeys(text) {
  const find = (name) =>
    text.match(new RegExp(`${name}["']?\\s*[:=]\\s*["']?([A-Za-z0-9+/=]+)`, "i"))?.[1];
  const id = find("access_?key_?id");
  const secret = find("secret_?access_?key");
  return id && secret ? { id, secret, token: find("session_?token") } : null;
}

async function digest(text) {
  return hex(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
}

async function hmac(key, text) {
  const imported = await crypto.subtle.importKey(
    "raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"],
  );
  return crypto.subtle.sign("HMAC", imported, encoder.encode(text));
}

function hex(bytes) {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
