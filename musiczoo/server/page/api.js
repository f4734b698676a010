// The server's API: requests with its token, if it wants one, and errors as people read them.
const BASE = new URL("../api/v1/", import.meta.url);
const TOKEN = "musiczoo token"; // in the storage of this tab

let login = null;

/** What to do when the server wants a token: a function that resolves to it. */
export function askForToken(ask) {
  login = ask;
}

async function authorize() {
  sessionStorage.setItem(TOKEN, await login());
  await openSession();
}

/** Get the cookie of <audio>, which sends no headers; without a token, none is needed. */
export async function openSession() {
  const token = sessionStorage.getItem(TOKEN);
  if (token) await fetch(new URL("session", BASE), { method: "POST", headers: { Authorization: `Bearer ${token}` } });
}

async function request(method, path, { query = {}, body } = {}) {
  const address = new URL(path, BASE), token = sessionStorage.getItem(TOKEN);
  for (const [name, value] of Object.entries(query)) if (value !== "" && value !== undefined) address.searchParams.set(name, value);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer. Is musiczoo serve still running?");
  }
  if (response.status === 401) {
    await authorize();
    return request(method, path, { query, body });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw Object.assign(new Error(answer?.error?.message ?? `The server answers ${response.status}.`), { status: response.status });
}

const name = (text) => encodeURIComponent(text);

export const api = {
  library: () => request("GET", "library"),
  tracks: (query) => request("GET", "tracks", { query }),
  track: (id) => request("GET", `tracks/${id}`),
  tagsOverTime: (id) => request("GET", `tracks/${id}/tags-over-time`),
  search: (body) => request("POST", "search", { body }),
  path: (body) => request("POST", "path", { body }),
  map: () => request("GET", "map"),
  playlists: () => request("GET", "playlists"),
  playlist: (title) => request("GET", `playlists/${name(title)}`),
  save: (body) => request("POST", "playlists", { body }),
  audio: (id) => new URL(`tracks/${id}/audio`, BASE).href,
};

/**
 * Answer requests one at a time; of those that come while one is on its way, only the last is made.
 * @param {(...args) => Promise} ask
 * @param {(answer, ...args) => void} show
 * @param {(error: Error) => void} fail
 * @returns A function that asks. Its method `drop` is for what is shown without asking: a late answer may not replace it.
 */
export function latest(ask, show, fail) {
  let busy = false, waiting = null, dropped = false;
  async function again(...args) {
    if (busy) {
      waiting = args;
      return;
    }
    busy = true;
    dropped = false;
    try {
      const answer = await ask(...args);
      if (!waiting && !dropped) show(answer, ...args);
    } catch (error) {
      if (!waiting && !dropped) fail(error);
    }
    busy = false;
    const next = waiting;
    waiting = null;
    if (next) await again(...next);
  }
  again.drop = () => {
    waiting = null;
    dropped = true;
  };
  return again;
}
