// The page around <shop-lens>: the whole page takes photos, back and forward work, links name a search.

import "./shop-lens.js";

const lens = document.querySelector("shop-lens");
const served = document.getElementById("served");
const asked = new Map(); // history keeps a name; questions with their photos stay in this page
const visit = Date.now(); // so that no name is one of before a reload

// --- history --------------------------------------------------------------------------------------------------------

function addressOf(question) {
  const address = new URL(location.href);
  address.search = "";
  if (question.text) address.searchParams.set("text", question.text);
  if (question.product) address.searchParams.set("product_id", question.product.product_id);
  return address;
}

lens.addEventListener("search-asked", ({ detail: { question, refines } }) => {
  const name = refines && history.state?.name ? history.state.name : `${visit}.${asked.size + 1}`;
  asked.set(name, question);
  if (refines && history.state?.name) history.replaceState({ name }, "", addressOf(question));
  else history.pushState({ name }, "", addressOf(question));
});

function resume() {
  const question = asked.get(history.state?.name);
  const parameters = new URLSearchParams(location.search);
  if (question) {
    lens.ask(question, { silent: true });
    return;
  }
  const product = parameters.get("product_id");
  const linked = { text: (parameters.get("text") || "").trim(), product: product ? { product_id: product } : null };
  lens.reset(); // an address names no photo, and nothing that was chosen since
  lens.ask(Object.freeze({ ...lens.question, ...linked }), { silent: true });
}

window.addEventListener("popstate", resume);

// --- photos, wherever they are dropped or pasted --------------------------------------------------------------------

document.addEventListener("paste", (event) => lens.takePaste(event));
for (const name of ["dragenter", "dragleave", "dragover", "drop"]) {
  document.addEventListener(name, (event) => {
    if (event.composedPath().includes(lens)) return;
    const passedOn = new DragEvent(name, { dataTransfer: event.dataTransfer, cancelable: true });
    if (!lens.dispatchEvent(passedOn)) event.preventDefault();
  });
}

// --- what is served -------------------------------------------------------------------------------------------------

lens.addEventListener("search-answered", ({ detail: answer }) => {
  served.textContent = `generation ${answer.generation} · build ${answer.build_id} · model ${answer.model_id} · ${answer.latency_ms.toFixed(1)} ms`;
});

resume();
const ready = await fetch("ready").then((answer) => answer.json()).catch(() => null);
if (ready && !served.textContent.trim()) {
  served.textContent = ready.status === "ready"
    ? `generation ${ready.generation} · build ${ready.build_id} · model ${ready.model_id} · ${ready.products} products`
    : `${ready.title}: ${ready.detail}`;
}
