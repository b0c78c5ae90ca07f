// What is being searched for, and every way to refine it.

import { CropBox } from "./crop.js";
import { el, icon, titleOf } from "./dom.js";
import { asksSomething, change, describe, isMixed } from "./question.js";

export class QueryPanel {
  /** `onChange(question)` is told each refinement, `onClear()` a wish to begin anew. */
  constructor({ onChange, onClear }) {
    this.onChange = onChange;
    this.crop = new CropBox((box) => this.#tell({ box }));
    this.product = el("img", { alt: "", className: "product", hidden: true });
    this.summary = el("p", { className: "summary" });
    this.weight = el("input", {
      type: "range", min: "0", max: "100", step: "5", "aria-label": "How much the photo counts beside the words",
      on: { input: () => this.#sayWeight(), change: () => this.#tell({ imageWeight: Number(this.weight.value) / 100 }) },
    });
    this.weightSaid = el("span", { className: "said", "aria-hidden": "true" }); // the slider says it
    this.balance = el("div", { className: "balance", hidden: true }, el("span", { textContent: "Words", "aria-hidden": "true" }), this.weight,
      el("span", { textContent: "Photo", "aria-hidden": "true" }), this.weightSaid);
    this.chips = el("ul", { className: "chips", "aria-label": "Products to come closer to, or to stay away from" });
    this.fresh = el("button", { type: "button", className: "quiet", textContent: "New search", on: { click: onClear } });
    this.noPreview = el("p", { className: "hint", hidden: true, textContent: "This browser cannot show that file." });
    this.element = el("section", { className: "query", part: "query", "aria-label": "What is searched for", hidden: true },
      this.crop.stage, this.product,
      el("div", { className: "refine" }, this.summary, this.noPreview, this.crop.hint, this.crop.said, this.balance, this.chips,
        el("div", { className: "ways" }, this.crop.draw, this.crop.whole,
          this.fresh)));
  }

  show(question, productUri) {
    this.question = question;
    this.element.hidden = !asksSomething(question);
    this.summary.textContent = describe(question).replace(/^./, (letter) => letter.toUpperCase());
    this.#showPictures(question, productUri);
    this.balance.hidden = !isMixed(question);
    this.weight.value = Math.round(question.imageWeight * 100);
    this.#sayWeight();
    this.chips.replaceChildren(
      ...question.liked.map((result) => this.#chip(result, "plus", "liked", "Closer to")),
      ...question.disliked.map((result) => this.#chip(result, "minus", "disliked", "Away from")));
    this.chips.hidden = !this.chips.children.length;
  }

  #showPictures({ photo, product, box }, productUri) {
    const shown = Boolean(photo?.width);
    this.crop.stage.hidden = !shown;
    this.noPreview.hidden = !photo || shown;
    this.product.hidden = !product;
    if (product && productUri) this.product.src = productUri;
    if (shown) this.crop.show(photo, box);
    else this.crop.draw.hidden = this.crop.whole.hidden = this.crop.hint.hidden = true;
    this.crop.said.hidden = !shown;
  }

  #chip(result, sign, list, said) {
    const others = (each) => each.product_id !== result.product_id;
    const remove = () => {
      this.#tell({ [list]: this.question[list].filter(others) });
      (this.chips.querySelector("button") || this.fresh).focus();
    };
    return el("li", { className: `chip ${list}` }, icon(sign), el("span", { className: "visually-hidden", textContent: said }), el("span", { textContent: titleOf(result) }),
      el("button", { type: "button", "aria-label": `Leave ${titleOf(result)} out of the search`, on: { click: remove } }, icon("close")));
  }

  #sayWeight() {
    const photo = Number(this.weight.value);
    const said = `photo ${photo} %, words ${100 - photo} %`;
    this.weightSaid.textContent = said;
    this.weight.setAttribute("aria-valuetext", said);
  }

  #tell(changes) {
    this.onChange(change(this.question, changes));
  }
}
