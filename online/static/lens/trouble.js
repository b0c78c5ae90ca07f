// What went wrong, in the searcher's words, and what can be done about it.

import { el, sentence } from "./dom.js";

// The searcher names what failed as engineers do; a shopper is told what to do about the photo first.
const PHOTO_REASONS = {
  not_an_image: "That file is no photo. Choose another.",
  format_refused: "Only JPEG, PNG and WebP photos can be searched. Choose another.",
  truncated: "That photo is cut short; it may not have been saved whole. Choose another.",
  decode_failed: "That photo is damaged. Choose another.",
  too_many_pixels: "That photo has too many pixels. Choose a smaller one.",
  too_small: "That photo, or the crop, is too small. Choose a larger one.",
  extreme_aspect: "That photo, or the crop, is too long and thin. Choose another.",
};

/** `retry()` asks again, `restart()` asks for the first page, `useKey(key)` asks with a key; null where it makes no sense. */
export function troubleBox(problem, { base, retry, restart, useKey }) {
  const page = problem.type.startsWith("/problems/") ? new URL(problem.type.slice(1), base).href : null;
  const advice = PHOTO_REASONS[problem.reason];
  const asksForKey = problem.needsKey && useKey;
  const pressed = (textContent, click) => el("button", { type: "button", className: "quiet", textContent, on: { click } });
  return el("div", { className: "trouble", part: "trouble" },
    el("p", { className: "trouble-title", textContent: sentence(problem.title) }),
    advice ? el("p", { textContent: advice }) : null,
    asksForKey || !problem.detail ? null : el("p", { className: advice ? "hint" : "", textContent: sentence(problem.detail) }),
    problem.retryAfterS ? el("p", { textContent: `Wait for ${problem.retryAfterS} seconds.` }) : null,
    asksForKey ? keyForm(useKey) : null,
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
