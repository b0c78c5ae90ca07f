// What went wrong, in the searcher's words, and what can be done about it.

import { el, sentence } from "./dom.js";

/** `retry()` asks again, `restart()` asks for the first page, `useKey(key)` asks with a key; null where it makes no sense. */
export function troubleBox(problem, { base, retry, restart, useKey }) {
  const page = problem.type.startsWith("/problems/") ? new URL(problem.type.slice(1), base).href : null;
  const pressed = (textContent, click) => el("button", { type: "button", className: "quiet", textContent, on: { click } });
  return el("div", { className: "trouble", part: "trouble" },
    el("p", { className: "trouble-title", textContent: sentence(problem.title) }),
    problem.detail && problem.detail !== problem.title ? el("p", { textContent: sentence(problem.detail) }) : null,
    problem.retryAfterS ? el("p", { textContent: `Wait for ${problem.retryAfterS} seconds.` }) : null,
    problem.needsKey && useKey ? keyForm(useKey) : null,
    el("p", { className: "ways" },
      problem.mayPass ? pressed("Try again", retry) : null,
      problem.status === 410 ? pressed("Search again", restart) : null,
      page ? el("a", { href: page, target: "_blank", rel: "noopener", textContent: "What this means" }) : null));
}

function keyForm(useKey) {
  const input = el("input", { type: "password", autocomplete: "off", required: true, "aria-label": "API key", placeholder: "shoplens_…", spellcheck: false });
  const submit = (event) => {
    event.preventDefault();
    useKey(input.value.trim());
  };
  return el("form", { className: "key", on: { submit } }, input, el("button", { className: "go", textContent: "Use this key" }),
    el("p", { className: "hint", textContent: "It is kept in this tab until you close it." }));
}
