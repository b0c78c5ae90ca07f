// One tile a product, and the dialog that shows it large.

import { el, icon, price, titleOf } from "./dom.js";
import { termsTable } from "./explanation.js";

/** `shown` is { result, uri, requestId, position }; `actions` has open, similar, like and dislike, each told `shown`. */
export function makeTile(shown, question, actions) {
  const { result, uri } = shown;
  const title = titleOf(result);
  const facts = [result.brand, result.colour].filter(Boolean).join(" · ");
  const button = (className, label, content, action, pressed) =>
    el("button", {
      type: "button", className, "aria-label": `${label}: ${title}`, title: label, "aria-pressed": pressed, on: { click: () => actions[action](shown) },
    }, content);
  const has = (list) => String(list.some((each) => each.product_id === result.product_id));
  return el("li", { className: "tile", part: "tile" },
    el("button", { type: "button", className: "open", on: { click: () => actions.open(shown) } },
      el("span", { className: "frame" }, el("img", { src: uri, alt: "", loading: "lazy", decoding: "async", part: "tile-photo" })),
      el("span", { className: "title", part: "tile-title", textContent: title }),
      el("span", { className: "facts", textContent: facts }),
    ),
    el("p", { className: "cost" },
      el("span", { className: "price", part: "tile-price", textContent: price(result) }),
      result.in_stock === false ? el("span", { className: "stock", textContent: "Sold out" }) : null),
    result.explain ? termsTable(result) : null,
    el("div", { className: "taste", role: "group", "aria-label": `Taste: ${title}` },
      button("round", "Closer to this", icon("plus"), "like", has(question.liked)),
      button("round", "Less like this", icon("minus"), "dislike", has(question.disliked))),
    button("quiet similar", "More like this", "More like this", "similar"),
  );
}

export class Details {
  /** `onSimilar(shown)` and `onExplain(shown)` are told when their buttons are pressed. */
  constructor({ onSimilar, onExplain }) {
    this.photo = el("img", { alt: "" });
    this.title = el("h2", { id: "details-title" });
    this.cost = el("p", { className: "price" });
    this.facts = el("dl");
    this.terms = el("div", { className: "why", "aria-live": "polite" });
    this.why = el("button", { type: "button", className: "quiet", textContent: "Why is it here?", on: { click: () => onExplain(this.shown) } });
    this.element = el("dialog", { part: "dialog", "aria-labelledby": "details-title" },
      el("form", { method: "dialog" }, el("button", { className: "round close", "aria-label": "Close" }, icon("close"))),
      el("div", { className: "details" }, this.photo, el("div", {}, this.title, this.cost, this.facts, this.terms,
        el("div", { className: "ways" },
          el("button", { type: "button", className: "go", textContent: "More like this", on: { click: () => { this.element.close(); onSimilar(this.shown); } } }),
          this.why))));
  }

  open(shown) {
    const { result, uri } = shown;
    this.shown = shown;
    this.photo.src = uri;
    this.title.textContent = titleOf(result);
    this.cost.textContent = price(result);
    const stock = { true: "in stock", false: "sold out" }[result.in_stock];
    const facts = { Brand: result.brand, Category: result.category, Colour: result.colour, Stock: stock, ...result.attributes, Product: result.product_id };
    this.facts.replaceChildren(...Object.entries(facts).filter(([, value]) => value)
      .flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value })]));
    this.explain(result);
    this.element.showModal();
  }

  sayNot(why) {
    this.terms.replaceChildren(el("p", { className: "hint", textContent: why }));
  }

  /** The same product, asked again with `explain`. */
  explain(result) {
    this.why.hidden = Boolean(result?.explain);
    this.terms.replaceChildren(...(result?.explain ? [termsTable(result)] : []));
  }
}
