"use strict";

// The page asks the same API as everyone else: POST /search, POST /click.
const byId = (id) => document.getElementById(id);
const page = {
  form: byId("search"), words: byId("words"), photo: byId("photo"), status: byId("status"), results: byId("results"),
  welcome: byId("welcome"), query: byId("query"), queryPhoto: byId("query-photo"), queryText: byId("query-text"),
  served: byId("served"), veil: byId("drop-veil"), details: byId("details"), tile: byId("tile"),
};
const PHOTO_TYPES = ["image/jpeg", "image/png", "image/webp"];
const PHOTO_TROUBLE = {
  not_an_image: "That file is no photo",
  format_refused: "Only JPEG, PNG and WebP photos can be searched",
  truncated: "That photo is cut short; it may not have been saved whole",
  decode_failed: "That photo is damaged",
  too_many_pixels: "That photo is too large",
  extreme_aspect: "That photo is too long and thin",
};
const photosOfHistory = new Map(); // history keeps a number; the files stay in this page
let running = null;
let shown = { requestId: null, results: [] };

// --- asking -----------------------------------------------------------------------------------------------------

async function search(question, { remember = true } = {}) {
  running?.abort();
  const mine = (running = new AbortController());
  if (remember) rememberInHistory(question);
  showQuestion(question);
  say("Searching…", "busy");
  page.results.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch("search", { ...requestFor(question), signal: mine.signal });
    const body = await answer.json();
    if (!answer.ok) throw new Error(troubleIn(body, answer.status));
    showResults(body);
  } catch (error) {
    if (mine.signal.aborted) return;
    showTiles([]);
    say(error instanceof TypeError ? "The searcher cannot be reached. Try again." : sentence(error.message), "bad");
  } finally {
    if (running === mine) page.results.setAttribute("aria-busy", "false");
  }
}

function requestFor(question) {
  if (question.photo) {
    const form = new FormData();
    form.append("image", question.photo, question.photo.name || "photo");
    form.append("k", "40");
    return { method: "POST", body: form };
  }
  const asked = question.productId ? { product_id: question.productId } : { text: question.text };
  return {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...asked, k: 40 }),
  };
}

function troubleIn(problem, status) {
  if (problem.reason in PHOTO_TROUBLE) return `${PHOTO_TROUBLE[problem.reason]}. Try another`;
  if (problem.type === "/problems/product-not-found") return "That product is no longer in the catalog";
  return problem.detail || problem.title || `the searcher answered ${status}`;
}

function sendClick(result, position) {
  const click = { request_id: shown.requestId, product_id: result.product_id, position };
  fetch("click", {
    method: "POST", keepalive: true, headers: { "Content-Type": "application/json" }, body: JSON.stringify(click),
  }).catch(() => {}); // a lost click is no trouble for the shopper
}

// --- showing ----------------------------------------------------------------------------------------------------

function say(text, kind = "") {
  page.status.textContent = text;
  page.status.className = `status ${kind}`;
}

function sentence(text) {
  const line = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

function showQuestion(question) {
  page.welcome.hidden = true;
  page.query.hidden = false;
  if (page.queryPhoto.src.startsWith("blob:")) URL.revokeObjectURL(page.queryPhoto.src);
  const picture = question.photo ? URL.createObjectURL(question.photo) : question.pictureUri;
  page.queryPhoto.hidden = !picture;
  if (picture) page.queryPhoto.src = picture;
  else page.queryPhoto.removeAttribute("src");
  page.words.value = question.text || "";
  page.queryText.textContent = question.photo
    ? "Products that look like your photo"
    : question.productId ? `More like ${question.title || question.productId}` : `Products for “${question.text}”`;
}

function showResults(body) {
  shown = { requestId: body.request_id, results: body.results };
  showTiles(body.results);
  const count = body.results.length;
  say(count ? `${count} ${count === 1 ? "product" : "products"}, best first` : "Nothing found. Try another photo or other words.");
  page.served.textContent =
    `generation ${body.generation} · build ${body.build_id} · model ${body.model_id} · ${body.latency_ms.toFixed(1)} ms`;
}

function showTiles(results) {
  page.results.replaceChildren(...results.map(makeTile));
}

function makeTile(result, position) {
  const tile = page.tile.content.cloneNode(true).firstElementChild;
  const part = (name) => tile.querySelector(`.${name}`);
  const title = result.title || result.product_id;
  const image = tile.querySelector("img");
  image.src = result.uri.replace(/^\//, "");
  part("title").textContent = title;
  part("meta").textContent = [result.brand, result.colour].filter(Boolean).join(" · ");
  part("price").textContent = priceOf(result);
  part("stock").hidden = result.in_stock !== false;
  part("score").textContent = result.score.toFixed(3);
  part("score").title = "Similarity, 1 is the same";
  part("more").setAttribute("aria-label", `More like ${title}`);
  part("more").addEventListener("click", () => { sendClick(result, position); moreLike(result); });
  part("open").addEventListener("click", () => { sendClick(result, position); openDetails(result); });
  return tile;
}

function priceOf(result) {
  if (result.price === null || result.price === undefined) return "";
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency: result.currency }).format(result.price);
  } catch {
    return `${result.price.toFixed(2)} ${result.currency || ""}`.trim();
  }
}

function openDetails(result) {
  byId("details-photo").src = result.uri.replace(/^\//, "");
  byId("details-title").textContent = result.title || result.product_id;
  byId("details-price").textContent = priceOf(result);
  const facts = {
    Brand: result.brand, Category: result.category, Colour: result.colour,
    Stock: { true: "in stock", false: "sold out" }[result.in_stock], ...result.attributes, Product: result.product_id,
  };
  byId("details-list").replaceChildren(
    ...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const description = document.createElement("dd");
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    }),
  );
  byId("details-more").onclick = () => { page.details.close(); moreLike(result); };
  page.details.showModal();
}

function moreLike(result) {
  search({ productId: result.product_id, title: result.title, pictureUri: result.uri.replace(/^\//, "") });
  window.scrollTo({ top: 0 });
  page.results.focus({ preventScroll: true });
}

function welcome() {
  running?.abort();
  showTiles([]);
  say("");
  page.query.hidden = true;
  page.welcome.hidden = false;
  page.words.value = "";
}

// --- history: back and forward, and links to searches by words or product -----------------------------------------

function rememberInHistory(question) {
  const address = new URL(location.href);
  address.search = "";
  if (question.text) address.searchParams.set("text", question.text);
  if (question.productId) address.searchParams.set("product_id", question.productId);
  const state = { ...question, photo: null };
  if (question.photo) {
    state.photoNumber = photosOfHistory.size + 1;
    photosOfHistory.set(state.photoNumber, question.photo);
  }
  history.pushState(state, "", address);
}

function resume(state) {
  const asked = new URLSearchParams(location.search);
  const photo = state?.photoNumber ? photosOfHistory.get(state.photoNumber) : null;
  if (photo) search({ photo }, { remember: false });
  else if (asked.get("product_id")) search({ ...state, productId: asked.get("product_id") }, { remember: false });
  else if (asked.get("text")) search({ text: asked.get("text") }, { remember: false });
  else welcome();
}

window.addEventListener("popstate", (event) => resume(event.state));

// --- taking a question ------------------------------------------------------------------------------------------

function takePhoto(file) {
  if (!file) return;
  if (!PHOTO_TYPES.includes(file.type)) {
    say("That is no JPEG, PNG or WebP photo. Choose another file.", "bad");
    return;
  }
  search({ photo: file });
}

page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = page.words.value.trim();
  if (text) search({ text });
  else page.words.focus();
});
page.photo.addEventListener("change", () => {
  takePhoto(page.photo.files[0]);
  page.photo.value = ""; // the same file can be chosen again
});
byId("clear").addEventListener("click", () => {
  history.pushState(null, "", location.pathname);
  welcome();
  page.words.focus();
});
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files || [])].find((each) => each.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  takePhoto(file);
});

let dragDepth = 0;
const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
const veil = (change) => {
  dragDepth = Math.max(0, change === 0 ? 0 : dragDepth + change);
  page.veil.hidden = dragDepth === 0;
};
document.addEventListener("dragenter", (event) => { if (carriesFiles(event)) veil(1); });
document.addEventListener("dragleave", (event) => { if (carriesFiles(event)) veil(-1); });
document.addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  veil(0);
  takePhoto(event.dataTransfer.files[0]);
});

for (const event of ["error", "load"]) {
  // Neither bubbles, so they are caught on the way down; a photo that is not there leaves an empty frame.
  document.addEventListener(event, ({ target }) => {
    if (target instanceof HTMLImageElement) target.classList.toggle("missing", event === "error");
  }, true);
}

// --- what is served ---------------------------------------------------------------------------------------------

fetch("ready").then((answer) => answer.json()).then((body) => {
  if (body.status === "ready") {
    page.served.textContent =
      `generation ${body.generation} · build ${body.build_id} · model ${body.model_id} · ${body.products} products`;
  } else if (!running) {
    say(sentence(body.detail), "bad");
  }
}).catch(() => {});
resume(history.state);
