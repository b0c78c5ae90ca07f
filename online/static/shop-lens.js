// <shop-lens endpoint="https://search.shop.example/"></shop-lens>: visual product search in one element.
//
// Attributes: endpoint (where the searcher is; by default where this file came from), api-key, k, image-weight,
// ask-key (offer a field for a key where one is needed).
// Events: product-selected (cancelable: else the product is shown in a dialog), search-asked, search-answered,
// search-failed. docs/storefront.md has the rest.

import { el, sentence } from "./lens/dom.js";
import { takeDrops } from "./lens/drops.js";
import { planPanel } from "./lens/explanation.js";
import { FACETS, FilterPanel } from "./lens/filters.js";
import { photoAmong, readPhoto } from "./lens/photo.js";
import { NO_QUESTION, asksSomething, bodyOf, change, startAnew } from "./lens/question.js";
import { QueryPanel } from "./lens/query_panel.js";
import { SearchForm } from "./lens/search_form.js";
import { Problem, Searcher } from "./lens/searcher.js";
import { styleSheet } from "./lens/styles.js";
import { Details, makeTile } from "./lens/tiles.js";
import { troubleBox } from "./lens/trouble.js";

const HOME = new URL("..", import.meta.url).href;
const KEPT_KEY = "shop-lens-key";
const WIDE_PX = 820;
const RESULTS_MAX = 100; // of one answer

export class ShopLens extends HTMLElement {
  static observedAttributes = ["endpoint", "api-key", "image-weight"];

  #question = NO_QUESTION;
  #running = null;
  #unanswered = null; // { cursor } of the page that is being fetched
  #taken = null; // the file that was chosen last
  #answer = null; // the newest page
  #shown = []; // { result, uri, requestId, position } of all pages
  #explains = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styleSheet()];
    this.form = new SearchForm({ onPhoto: (file) => this.takePhoto(file), onWords: (text) => this.#takeWords(text) });
    this.query = new QueryPanel({ onChange: (question) => this.ask(question, { refines: true }), onClear: () => this.#clear() });
    this.filters = new FilterPanel((filters) => this.ask(change(this.#question, { filters }), { refines: true }));
    this.details = new Details({ onSimilar: (shown) => this.#similar(shown), onExplain: (shown) => this.#explainOne(shown) });
    this.#makeResults();
    root.addEventListener("error", ({ target }) => { if (target instanceof HTMLImageElement) target.classList.add("missing"); }, true);
    root.addEventListener("load", ({ target }) => { if (target instanceof HTMLImageElement) target.classList.remove("missing"); }, true);
    const veil = takeDrops(this, (files) => this.#takeFiles(files));
    this.addEventListener("paste", (event) => this.takePaste(event));
    root.append(this.form.element, this.query.element, this.welcome, this.area, this.details.element, veil);
  }

  connectedCallback() {
    this.resizes ??= new ResizeObserver(([{ contentRect: { width } }]) => {
      const wide = width >= WIDE_PX;
      if (wide !== this.wide) this.filters.element.open = wide;
      this.wide = wide;
    });
    this.resizes.observe(this);
    if (this.#unanswered) this.#fetchPage(this.#unanswered.cursor); // a host page moved the element meanwhile
  }

  disconnectedCallback() {
    this.resizes.disconnect();
    this.#running?.abort();
  }

  attributeChangedCallback(name, _, value) {
    if (name !== "image-weight") return;
    const weight = Number(value);
    if (value !== null && weight >= 0 && weight <= 1) this.#question = change(this.#question, { imageWeight: weight });
  }

  /** What is asked now; replaced with each search, never changed. */
  get question() {
    return this.#question;
  }

  get searcher() {
    const endpoint = new URL(this.getAttribute("endpoint") || HOME, document.baseURI).href;
    return new Searcher(endpoint, this.getAttribute("api-key") || (this.hasAttribute("ask-key") && keptKey()) || "");
  }

  /** Search for a photo (a File or Blob), together with the words in the field. */
  async takePhoto(file) {
    this.#taken = file;
    const photo = await readPhoto(file);
    if (this.#taken !== file) return; // a large photo takes longer to read than the one that was chosen after it
    await this.ask(startAnew(this.#question, { photo, text: this.form.text }));
  }

  /** Search for words, as if they had been typed. */
  async searchWords(text) {
    await this.ask(change(this.#question, { text }));
  }

  /** Search for products like one of the shop's, by its id. */
  async searchLike(productId) {
    await this.ask(startAnew(this.#question, { product: { product_id: productId } }));
  }

  /** Ask a question that `question` gave, anew. `refines`: it goes on from the last; `silent`: without search-asked. */
  async ask(question, { refines = false, silent = false } = {}) {
    this.#running?.abort();
    if (!refines) this.filters.forget();
    this.#question = question;
    this.form.text = question.text;
    this.query.show(question, question.product?.uri ? this.searcher.photo(question.product) : null);
    if (!asksSomething(question)) {
      this.#unanswered = null;
      this.#showNothing();
      return;
    }
    if (!silent) this.#tell("search-asked", { question, refines });
    await this.#fetchPage(null);
  }

  /** Back to the start. */
  reset() {
    this.#taken = null;
    return this.ask(change(NO_QUESTION, { imageWeight: this.#question.imageWeight }), { silent: true });
  }

  // --- asking -------------------------------------------------------------------------------------------------------

  async #fetchPage(cursor) {
    const mine = (this.#running = new AbortController());
    this.#unanswered = { cursor };
    const options = { k: Number(this.getAttribute("k")) || 24, facets: FACETS, explain: this.#explains };
    const { facets: _, ...pageOptions } = options;
    const searcher = this.searcher;
    this.#busy(true, cursor ? "Fetching more…" : "Searching…");
    try {
      const body = cursor
        ? { cursor, k: pageOptions.k, ...(pageOptions.explain ? { explain: true } : {}) }
        : bodyOf(this.#question, options);
      const answer = await searcher.search(body, mine.signal);
      if (mine.signal.aborted) return;
      this.#unanswered = null;
      this.#busy(false);
      this.#showPage(answer, searcher, cursor !== null);
      this.#tell("search-answered", answer);
    } catch (error) {
      if (mine.signal.aborted) return;
      this.#unanswered = null;
      this.#busy(false);
      if (!(error instanceof Problem)) throw error;
      this.#showTrouble(error, searcher, cursor);
      this.#tell("search-failed", error);
    }
  }

  #busy(busy, text = "") {
    this.grid.setAttribute("aria-busy", String(busy));
    this.more.disabled = busy;
    this.welcome.hidden = true;
    this.area.hidden = false;
    if (!busy) return;
    if (this.trouble.contains(this.shadowRoot.activeElement)) this.grid.focus({ preventScroll: true });
    this.trouble.replaceChildren();
    this.#say(text, true);
  }

  #useKey(key) {
    sessionStorage.setItem(KEPT_KEY, key);
    return this.#fetchPage(null);
  }

  // --- showing ------------------------------------------------------------------------------------------------------

  #say(text, busy = false) {
    this.status.textContent = text;
    this.status.classList.toggle("busy", busy);
  }

  #showPage(answer, searcher, isLater) {
    this.#answer = answer;
    const fresh = answer.results.map((result, position) => (
      { result, uri: searcher.photo(result), requestId: answer.request_id, position }));
    this.#shown = isLater ? [...this.#shown, ...fresh] : fresh;
    const tiles = fresh.map((shown) => makeTile(shown, this.#question, this.actions));
    if (isLater) this.grid.append(...tiles);
    else this.grid.replaceChildren(...tiles);
    if (!isLater) this.#showAround(answer);
    this.more.hidden = !answer.cursor;
    this.#say(this.#count(answer, isLater ? fresh.length : null));
    if (isLater) tiles[0]?.querySelector("button").focus();
  }

  #showAround(answer) {
    this.filters.show(this.#question.filters, answer);
    this.notice.replaceChildren(...(answer.no_good_match
      ? [el("p", { className: "notice", part: "notice" }, el("strong", { textContent: "Nothing close was found." }), " These are the nearest all the same.")]
      : []));
    this.plan.replaceChildren(...(answer.explain ? [planPanel(answer.explain)] : []));
  }

  #count(answer, added) {
    const count = this.#shown.length;
    if (!count) return "Nothing was found. Try other words, another photo or fewer filters.";
    const products = `${count} ${count === 1 ? "product" : "products"}`;
    return added === null ? `${products}, nearest first` : `${added} more, ${products} in all`;
  }

  #showTrouble(problem, searcher, cursor) {
    this.#say("");
    if (!cursor) {
      this.grid.replaceChildren();
      this.notice.replaceChildren();
      this.plan.replaceChildren();
      this.more.hidden = true;
    }
    this.trouble.replaceChildren(troubleBox(problem, {
      base: searcher.base,
      retry: () => this.#fetchPage(cursor),
      restart: () => this.#fetchPage(null),
      useKey: this.hasAttribute("ask-key") ? (key) => this.#useKey(key) : null,
    }));
    this.trouble.querySelector("input")?.focus();
  }

  #showNothing() {
    this.filters.forget();
    this.#shown = [];
    this.#answer = null;
    this.area.hidden = true;
    this.welcome.hidden = false;
  }

  // --- what a tile can do -------------------------------------------------------------------------------------------

  get actions() {
    return {
      open: (shown) => this.#select(shown),
      similar: (shown) => this.#similar(shown),
      like: ({ result }) => this.#toggle(result, "liked", "disliked"),
      dislike: ({ result }) => this.#toggle(result, "disliked", "liked"),
    };
  }

  #select(shown) {
    const { result, requestId, position } = shown;
    this.searcher.click(requestId, result.product_id, position);
    const detail = { product_id: result.product_id, request_id: requestId, position, result };
    if (this.#tell("product-selected", detail, true)) this.details.open(shown);
  }

  #similar({ result, requestId, position }) {
    this.searcher.click(requestId, result.product_id, position);
    this.ask(startAnew(this.#question, { product: result }));
    this.scrollIntoView({ block: "start" });
    this.grid.focus({ preventScroll: true });
  }

  #toggle(result, list, other) {
    const without = (name) => this.#question[name].filter((each) => each.product_id !== result.product_id);
    const had = without(list).length < this.#question[list].length;
    const changes = { [list]: had ? without(list) : [...without(list), result], [other]: without(other) };
    this.ask(change(this.#question, changes), { refines: true });
    this.grid.focus({ preventScroll: true });
  }

  /** Asks once more, beside the page, which stays as it is. */
  async #explainOne({ result: { product_id: productId } }) {
    const k = Math.min(RESULTS_MAX, this.#shown.length);
    try {
      const { results } = await this.searcher.search(bodyOf(this.#question, { k, facets: null, explain: true }));
      const found = results.find((result) => result.product_id === productId);
      if (found) this.details.explain(found);
      else this.details.sayNot("It is not among the first results any more.");
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.details.sayNot(sentence(error.message));
    }
  }

  #clear() {
    this.reset();
    this.#tell("search-asked", { question: this.#question, refines: false });
    this.form.focus();
  }

  #takeWords(text) {
    if (asksSomething(change(this.#question, { text }))) this.searchWords(text);
    else this.form.focus();
  }

  #tell(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(name, { detail, cancelable, bubbles: true, composed: true }));
  }

  // --- the parts ----------------------------------------------------------------------------------------------------

  #makeResults() {
    this.welcome = el("div", { className: "welcome", part: "welcome" }, el("slot", { name: "welcome" }));
    this.status = el("p", { className: "status", part: "status", role: "status" });
    this.explain = el("input", {
      type: "checkbox", on: {
        change: () => {
          this.#explains = this.explain.checked;
          if (this.#answer) this.#fetchPage(null);
        },
      },
    });
    this.notice = el("div", { role: "status" });
    this.trouble = el("div", { role: "alert" });
    this.plan = el("div", {});
    this.grid = el("ol", { className: "grid", part: "grid", "aria-label": "Products found", "aria-busy": "false", tabIndex: -1 });
    this.more = el("button", {
      type: "button", className: "go more", part: "more", textContent: "Show more", hidden: true, on: { click: () => this.#fetchPage(this.#answer.cursor) },
    });
    const line = el("div", { className: "line" }, this.status, el("label", { className: "choice explain" }, this.explain, el("span", { textContent: "Explain" })));
    this.area = el("div", { className: "area", hidden: true }, this.filters.element,
      el("div", { className: "found" }, line, this.trouble, this.notice, this.plan, this.grid, this.more));
  }

  /** Take the photo of a paste event of the page, if it has one. Office programs add a picture to copied words: those
   * that go into a field stay words. */
  takePaste(event) {
    if (event.defaultPrevented || !photoAmong(event.clipboardData?.files)) return;
    if (event.clipboardData.types.includes("text/plain") && event.composedPath()[0].matches?.("input, textarea")) return;
    event.preventDefault();
    this.#takeFiles(event.clipboardData.files);
  }

  #takeFiles(files) {
    const photo = photoAmong(files);
    if (photo) {
      this.takePhoto(photo);
      return;
    }
    this.#busy(false);
    this.#showTrouble(new Problem({ title: "That is no photo", detail: sentence("drop a JPEG, PNG or WebP file") }), this.searcher, null);
  }
}

function keptKey() {
  return sessionStorage.getItem(KEPT_KEY) || "";
}

if (!customElements.get("shop-lens")) customElements.define("shop-lens", ShopLens);
