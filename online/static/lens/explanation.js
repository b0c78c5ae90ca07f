// Why these products: the terms of a score, and how the searcher ran the query.

import { el } from "./dom.js";

/** The terms of one product's rank_score, a row each. */
export function termsTable(result) {
  const rows = Object.entries(result.explain).map(([name, { value, points }]) =>
    el("tr", {},
      el("th", { scope: "row", textContent: name }),
      el("td", {}, el("meter", { min: 0, max: 1, value, "aria-label": `${name}, 0 to 1`, textContent: value.toFixed(2) })),
      el("td", { className: "number", textContent: `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(3)}` })));
  return el("table", { className: "terms", part: "terms" },
    el("caption", { textContent: `Score ${result.rank_score.toFixed(3)} · likeness ${result.score.toFixed(3)}` }),
    el("tbody", {}, rows));
}

/** The planner's path and reason, what the query is made of, and what was left aside. */
export function planPanel(explanation) {
  const facts = {
    "How it was searched": `${explanation.path}: ${explanation.why}`,
    "Made of": explanation.query.map(({ field, weight }) => `${field} ${weight < 0 ? "−" : ""}${Math.abs(weight).toFixed(2)}`).join(", "),
    "Score": Object.entries(explanation.weights).map(([name, weight]) => `${weight} × ${name}`).join(", "),
    "Photos": `${explanation.rows_matched} pass the filters, ${explanation.candidates} were ranked`
      + (explanation.nprobe ? `, ${explanation.nprobe} lists were read` : ""),
    "A good match has": explanation.no_good_match_below === null ? null : `a likeness of at least ${explanation.no_good_match_below.toFixed(3)}`,
    "Notes": explanation.notes.join("; "),
  };
  return el("section", { className: "plan", part: "plan", "aria-label": "How the search was run" },
    el("dl", {}, Object.entries(facts).filter(([, value]) => value)
      .flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value })])));
}
