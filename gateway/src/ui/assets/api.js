// The control API, /api/v1, and scoring. Nothing else is asked.

/// What the API refused: `status`, `code` (a word for programs) and a message for people.
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// A header that no form and no other origin can send: what changes something needs it beside the session's cookie.
const FROM_PAGE = { "X-Sluicegate-Page": "1" };
/// The longest that an answer is waited for, in milliseconds.
const PATIENCE = 30_000;

let signedOut = () => {};

/// Calls `listener` when the session has ended.
export function onSignedOut(listener) {
  signedOut = listener;
}

/// One path segment, whatever the name holds.
export const segment = (name) => encodeURIComponent(name);

export const modelPath = (name, ...rest) => ["/api/v1/models", segment(name), ...rest.map(segment)].join("/");

async function call(method, path, { body, query, signal } = {}) {
  const address = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") {
      address.searchParams.set(name, value);
    }
  }
  const patience = AbortSignal.timeout(PATIENCE);
  let answer;
  let told;
  try {
    answer = await fetch(address, {
      method,
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      headers: { ...FROM_PAGE, Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    told = answer.status === 204 ? null : await answer.json().catch((error) => unread(answer, error));
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new Refusal(0, "UNREACHABLE", error.name === "TimeoutError"
      ? `The gateway has not answered within ${PATIENCE / 1000} s.`
      : "The gateway cannot be reached. Is it running?");
  }
  if (answer.ok) {
    return told;
  }
  const refusal = new Refusal(answer.status, told.error_code ?? "", told.message ?? `The gateway answered ${answer.status}.`);
  const signsIn = method === "POST" && path === "/api/v1/session";
  if (answer.status === 401 && !signsIn) {
    signedOut();
  }
  throw refusal;
}

// What stands between may refuse for the gateway, in words of its own.
function unread(answer, error) {
  if (answer.ok || !(error instanceof SyntaxError)) {
    throw error;
  }
  return {};
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, body) => call("POST", path, { body: body ?? {} });
export const put = (path, body, query) => call("PUT", path, { body: body ?? {}, query });
export const remove = (path) => call("DELETE", path);

/// A text answer: logs.
export async function getText(path, query, signal) {
  const address = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== "") {
      address.searchParams.set(name, value);
    }
  }
  const answer = await fetch(address, { headers: FROM_PAGE, signal });
  if (answer.ok) {
    return answer.text();
  }
  const told = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, told.error_code ?? "", told.message ?? `The gateway answered ${answer.status}.`);
}

/// Scores: the answer as a client would get it, with how long it took in milliseconds. `signal` gives it up.
export async function score(name, reference, contentType, body, signal) {
  const start = performance.now();
  const answer = await fetch(`/model/${segment(name)}/${segment(reference)}/invocations`, {
    method: "POST",
    headers: { ...FROM_PAGE, "Content-Type": contentType },
    body,
    signal,
  });
  const received = await answer.blob();
  return {
    status: answer.status,
    took: performance.now() - start,
    body: received,
    type: answer.headers.get("content-type") ?? "",
    version: answer.headers.get("x-sluicegate-version"),
    request: answer.headers.get("x-request-id"),
    retry: answer.headers.get("retry-after"),
  };
}
