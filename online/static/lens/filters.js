// Facets as filters: what the nearest products have in common, with counts, and what was chosen of it.

import { el } from "./dom.js";

export const FACETS = ["category", "brand", "colour", "price", "in_stock", "attributes"];
const SHOWN_FIRST = 8;

export class FilterPanel {
  /** `onFilter(filters)` is told each change. */
  constructor(onFilter) {
    this.onFilter = onFilter;
    this.filters = {};
    this.known = new Map(); // field → what could be chosen before anything of it was chosen
    this.opened = new Set(); // fields whose long list is shown whole
    this.currency = null; // that prices are given in, once one was chosen
    this.prices = null; // their fields
    this.groups = el("div", { className: "groups" });
    this.clear = el("button", { type: "button", className: "quiet", textContent: "Clear all filters", on: { click: () => this.#clear() } });
    this.summary = el("summary", { textContent: "Filters" });
    this.element = el("details", { className: "filters", part: "filters", hidden: true }, this.summary, this.groups, this.clear);
  }

  forget() {
    this.known.clear();
    this.opened.clear();
    this.element.hidden = true;
  }

  /** After the first page of an answer: its counts, and the filters that it was asked with. */
  show(filters, answer) {
    this.filters = filters;
    this.answer = answer;
    for (const facet of answer.facets) {
      if (!(facet.field in filters) || !this.known.has(facet.field)) this.known.set(facet.field, facet);
    }
    const focused = this.element.getRootNode().activeElement?.dataset?.filter;
    const counts = new Map(answer.facets.map((facet) => [facet.field, facet]));
    const groups = [...this.known.values()].map((facet) => this.#group(facet, counts.get(facet.field))).filter(Boolean);
    const inexact = answer.facets.some((facet) => !facet.exact);
    fill(this.groups, [
      ...groups,
      ...(inexact && groups.length ? [el("p", { className: "hint", textContent: "Counts are those among the nearest products." })] : []),
    ]);
    const chosen = Object.values(filters).reduce((sum, value) => sum + (Array.isArray(value) ? value.length : 1), 0);
    this.summary.textContent = chosen ? `Filters (${chosen})` : "Filters";
    this.clear.hidden = chosen === 0;
    this.element.hidden = groups.length === 0 && chosen === 0;
    if (focused) [...this.groups.querySelectorAll("[data-filter]")].find((each) => each.dataset.filter === focused)?.focus();
  }

  #group(facet, now) {
    if (facet.field === "price") return this.#prices(facet.ranges);
    if (facet.field === "in_stock") return this.#stock(now || facet);
    return this.#values(facet, now);
  }

  #values(facet, now) {
    const chosen = this.filters[facet.field] || [];
    const counted = new Map((now?.values || []).map(({ value, count }) => [value, count]));
    const values = [...facet.values.map(({ value }) => value)];
    values.push(...chosen.filter((value) => !values.includes(value)));
    if (values.length < 2 && !chosen.length) return null;
    const all = this.opened.has(facet.field);
    const rows = values.map((value, place) => {
      const choose = (event) => this.#choose(facet.field, event.target.checked ? [...chosen, value] : chosen.filter((each) => each !== value));
      const box = el("input", { type: "checkbox", checked: chosen.includes(value), on: { change: choose } });
      box.dataset.filter = `${facet.field}=${value}`;
      const count = counted.has(value) ? el("span", { className: "count", textContent: `${counted.get(value)}` }) : null;
      return el("label", { className: "choice", hidden: !all && place >= SHOWN_FIRST && !chosen.includes(value) }, box, el("span", { textContent: value }), count);
    });
    const more = all || values.length <= SHOWN_FIRST ? null : el("button", {
      type: "button", className: "link", textContent: `All ${values.length}`,
      on: {
        click: () => {
          this.opened.add(facet.field);
          rows.forEach((row) => { row.hidden = false; });
          rows[SHOWN_FIRST].querySelector("input").focus();
          more.remove();
        },
      },
    });
    return el("fieldset", {}, el("legend", { textContent: nameOf(facet.field) }), rows, more);
  }

  #stock(facet) {
    const chosen = this.filters.in_stock === true;
    const inStock = facet.values.find(({ value }) => value === "true");
    if (!chosen && facet.values.length < 2) return null; // nothing to choose between
    const box = el("input", { type: "checkbox", checked: chosen, on: { change: (event) => this.#choose("in_stock", event.target.checked || null) } });
    box.dataset.filter = "in_stock";
    const count = inStock ? el("span", { className: "count", textContent: `${inStock.count}` }) : null;
    return el("fieldset", {}, el("legend", { textContent: "Availability" }), el("label", { className: "choice" }, box, el("span", { textContent: "In stock only" }), count));
  }

  #prices(ranges) {
    const active = this.element.getRootNode().activeElement;
    if (active?.matches("input") && this.prices?.contains(active)) return this.prices; // else what is being typed would be lost
    const chosen = this.filters.price || {};
    if (!ranges.length) return null;
    const range = ranges.find(({ currency }) => currency === (chosen.currency || this.currency)) || ranges[0];
    const currencies = ranges.map(({ currency }) => currency).filter(Boolean);
    const currency = el("select", { "aria-label": "Currency" }, currencies.map((name) => el("option", { textContent: name, value: name, selected: name === range.currency })));
    const bound = (name, label, placeholder) => {
      const input = el("input", { type: "number", min: "0", step: "any", inputMode: "decimal", value: chosen[name] ?? "", placeholder, "aria-label": `${label} price${range.currency ? ` in ${range.currency}` : ""}` });
      input.dataset.filter = `price.${name}`;
      return input;
    };
    const low = bound("min", "Lowest", `${Math.floor(range.min)}`);
    const high = bound("max", "Highest", `${Math.ceil(range.max)}`);
    const wrong = el("p", { className: "wrong", role: "alert" });
    const tell = () => {
      const numbers = Object.fromEntries([["min", low], ["max", high]].filter(([, input]) => input.value !== "").map(([name, input]) => [name, input.valueAsNumber]));
      wrong.textContent = numbers.min > numbers.max ? "The lowest price is above the highest." : "";
      if (wrong.textContent) return;
      const name = currencies.length ? currency.value : null;
      this.#choose("price", Object.keys(numbers).length ? { ...numbers, ...(name ? { currency: name } : {}) } : null);
    };
    currency.dataset.filter = "price.currency";
    currency.addEventListener("change", () => {
      this.currency = currency.value;
      if (low.value || high.value) tell();
      else this.show(this.filters, this.answer); // no filter yet: only other ends to choose between
    });
    [low, high].forEach((input) => input.addEventListener("change", tell));
    const unit = currencies.length > 1 ? currency : el("span", { className: "unit", textContent: range.currency || "" });
    this.prices = el("fieldset", {}, el("legend", { textContent: "Price" }), el("div", { className: "prices" }, low, el("span", { textContent: "to" }), high, unit), wrong);
    return this.prices;
  }

  #choose(field, value) {
    const { [field]: _, ...others } = this.filters;
    const empty = value === null || (Array.isArray(value) && value.length === 0);
    this.#tell(empty ? others : { ...others, [field]: value });
  }

  #clear() {
    this.summary.focus();
    this.#tell({});
  }

  #tell(filters) {
    this.filters = filters;
    this.onFilter(filters);
  }
}

/** Like replaceChildren, but one that stays is not touched: it keeps the focus and what is being typed in it. */
function fill(parent, nodes) {
  for (const child of [...parent.children]) if (!nodes.includes(child)) child.remove();
  const staying = nodes.findIndex((node) => node.parentNode === parent);
  parent.prepend(...nodes.slice(0, Math.max(0, staying)));
  parent.append(...nodes.slice(staying + 1));
}

function nameOf(field) {
  const name = field.replace(/^attributes\./, "").replaceAll("_", " ");
  return name.charAt(0).toUpperCase() + name.slice(1);
}
