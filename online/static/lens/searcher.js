// The searcher's HTTP API, as a page of any origin asks it.

/** An answer that is no result: a problem document, or no answer at all (status 0). */
export class Problem extends Error {
  constructor({ type = "", title, detail = "", status = 0, reason = null, errors = [] }, retryAfterS = null) {
    super(detail || title);
    Object.assign(this, { type, title, detail, status, reason, errors, retryAfterS });
  }

  get needsKey() {
    return this.status === 401 || this.type === "/problems/scope-missing";
  }

  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const unreachable = () => new Problem({ title: "The searcher cannot be reached", detail: "Check the connection, then try again." });

/** What came from something between here and the searcher. */
const unexplained = (status) => (status === 413 // many a proxy takes a megabyte, unless it is told otherwise
  ? { title: "The photo is too large", detail: "Choose a smaller one.", status }
  : { title: `The searcher answered ${status}`, status });

export class Searcher {
  /** `endpoint`: where /search is, an absolute URL; `apiKey`: empty where none is needed. */
  constructor(endpoint, apiKey = "") {
    this.base = endpoint.endsWith("/") ? endpoint : `${endpoint}/`;
    this.apiKey = apiKey;
  }

  /** Raises Problem; an AbortError where `signal` was aborted. */
  async search(body, signal) {
    const answer = await this.#post("search", body, { signal });
    const found = await answer.json().catch(() => null);
    if (answer.ok && Array.isArray(found?.results)) return found;
    if (answer.ok) throw unreachable(); // the answer was cut short, or something else answered
    const retryAfterS = Number(answer.headers.get("Retry-After")) || null;
    throw new Problem(found?.title ? found : unexplained(answer.status), retryAfterS);
  }

  /** A click that is lost is no trouble for the shopper. */
  click(requestId, productId, position) {
    const body = { request_id: requestId, product_id: productId, position };
    this.#post("click", body, { keepalive: true }).catch(() => {});
  }

  photo(result) {
    return new URL(result.uri.replace(/^\//, ""), this.base).href;
  }

  async #post(path, body, options) {
    const form = body instanceof FormData;
    const headers = form ? {} : { "Content-Type": "application/json" };
    if (this.apiKey) headers.Authorization = `Bearer ${this.apiKey}`;
    try {
      return await fetch(new URL(path, this.base), {
        method: "POST", headers, body: form ? body : JSON.stringify(body), ...options,
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw unreachable();
    }
  }
}
