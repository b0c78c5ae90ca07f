// Where a search begins: a photo that is chosen or taken, and words.

import { el, icon } from "./dom.js";

export class SearchForm {
  /** `onPhoto(file)` is told a chosen photo, `onWords(text)` the words when they are sent, empty ones too. */
  constructor({ onPhoto, onWords }) {
    this.words = el("input", {
      type: "search", maxLength: 500, placeholder: "Describe it: red summer dress", enterKeyHint: "search", autocomplete: "off",
      "aria-label": "Words that describe the product",
    });
    const submit = (event) => {
      event.preventDefault();
      onWords(this.text);
    };
    this.element = el("form", { role: "search", "aria-label": "Search products", part: "search", on: { submit } },
      el("div", { className: "bar", part: "bar" },
        chooser("Photo", "picture", "choose", onPhoto),
        chooser("Camera", "camera", "camera", onPhoto, { capture: "environment" }),
        this.words, el("button", { type: "submit", className: "go", part: "go", textContent: "Search" })),
      el("p", { id: "hint", className: "hint", textContent: "Choose, drop or paste a photo, type words, or both." }));
  }

  get text() {
    return this.words.value.trim();
  }

  set text(text) {
    this.words.value = text;
  }

  focus() {
    this.words.focus();
  }
}

function chooser(label, picture, className, onPhoto, more = {}) {
  const change = () => {
    if (input.files[0]) onPhoto(input.files[0]);
    input.value = ""; // the same file can be chosen again
  };
  const input = el("input", { type: "file", accept: "image/*", className: "visually-hidden", "aria-describedby": "hint", ...more, on: { change } });
  return el("label", { className: `chooser ${className}` }, icon(picture), el("span", { textContent: label }), input);
}
