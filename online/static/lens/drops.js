// Files dragged over an element and dropped on it.

import { el } from "./dom.js";

/** `onFiles(files)` is told what was dropped on `target`. Returns the veil that says so meanwhile, to be put into it. */
export function takeDrops(target, onFiles) {
  const veil = el("div", { className: "veil", hidden: true }, el("p", { textContent: "Drop the photo to search" }));
  let depth = 0; // entering a child comes before leaving its parent
  const show = (now) => {
    depth = Math.max(0, now);
    veil.hidden = depth === 0;
  };
  const listen = (name, act) => target.addEventListener(name, (event) => {
    if ([...(event.dataTransfer?.types || [])].includes("Files")) act(event);
  });
  listen("dragenter", () => show(depth + 1));
  listen("dragleave", () => show(depth - 1));
  listen("dragover", (event) => event.preventDefault());
  listen("drop", (event) => {
    event.preventDefault();
    show(0);
    onFiles(event.dataTransfer.files);
  });
  return veil;
}
