// One constructed sheet, shared by every <shop-lens>: it needs no 'unsafe-inline', on any page.
// A storefront sets --shop-lens-* and ::part(); light and dark follow the color-scheme of where the element stands.

const CSS = `
:host {
  --accent: var(--shop-lens-accent, light-dark(#0f766e, #2dd4bf));
  --accent-ink: var(--shop-lens-accent-ink, light-dark(#ffffff, #06302b));
  --ground: var(--shop-lens-ground, light-dark(#f7f7f5, #15181a));
  --card: var(--shop-lens-card, light-dark(#ffffff, #1f2326));
  --ink: var(--shop-lens-ink, light-dark(#1c1f23, #edf0f1));
  --quiet: var(--shop-lens-quiet, light-dark(#545e67, #a9b4bb));
  --line: var(--shop-lens-line, light-dark(#dfe2e0, #3a4147));
  --edge: var(--shop-lens-edge, light-dark(#868f8c, #75808a));
  --wash: var(--shop-lens-wash, light-dark(#e6f2f0, #1b3330));
  --bad: var(--shop-lens-bad, light-dark(#b42318, #ff9c8f));
  --frame: var(--shop-lens-frame, #f0f1ee);
  --radius: var(--shop-lens-radius, 14px);
  display: block; position: relative; container-type: inline-size; color: var(--ink); background: var(--ground);
  font: var(--shop-lens-font, 16px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
button, input, select { font: inherit; color: inherit; }
button { cursor: pointer; }
button, label, summary { -webkit-tap-highlight-color: transparent; }
button:disabled { opacity: .6; cursor: default; }
p { margin: 0; }
.status, .summary, .title, .facts, .chip span, .choice span, h2, dd { unicode-bidi: plaintext; } /* as they are written: left to right or right to left */
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 8px; }
.visually-hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.icon { width: 1.25em; height: 1.25em; flex: none; }
.hint { font-size: .85rem; color: var(--quiet); }
.go { border: 0; background: var(--accent); color: var(--accent-ink); font-weight: 600; padding: .6rem 1.4rem; border-radius: 999px; }
.go:hover:enabled { filter: brightness(1.08); }
.quiet { border: 1px solid var(--edge); background: transparent; border-radius: 999px; padding: .3rem .9rem; color: var(--accent); font-weight: 600; font-size: .9rem; min-height: 2.1rem; }
.quiet:hover { background: var(--wash); }
.link { border: 0; background: none; padding: .2rem 0; color: var(--accent); font-weight: 600; font-size: .9rem; text-align: left; }
.round { display: inline-grid; place-items: center; width: 2.1rem; height: 2.1rem; flex: none; padding: 0; border: 1px solid var(--edge); border-radius: 50%; background: transparent; color: var(--accent); }
.round:hover { background: var(--wash); }
.round[aria-pressed="true"] { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
.ways { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; }

form[role="search"] { max-width: 52rem; margin: 0 auto 1rem; }
.bar { display: flex; min-height: 3.1rem; border: 1.5px solid var(--edge); border-radius: 999px; background: var(--card); overflow: hidden; }
.bar:focus-within { border-color: var(--accent); box-shadow: 0 0 0 3px var(--wash); }
.chooser { position: relative; display: flex; align-items: center; gap: .45rem; padding: 0 1rem 0 1.1rem; color: var(--accent); font-weight: 600; border-right: 1px solid var(--line); cursor: pointer; }
.chooser:hover { background: var(--wash); }
.chooser:focus-within { background: var(--wash); box-shadow: inset 0 0 0 3px var(--accent); border-radius: 999px 0 0 999px; }
.chooser.camera { display: none; }
@media (pointer: coarse) { .chooser.camera { display: flex; } }
.bar input[type="search"] { flex: 1; min-width: 0; border: 0; background: transparent; padding: 0 1rem; outline: none; }
.bar input::placeholder { color: var(--quiet); opacity: 1; }
.bar .go { border-radius: 0; }
.bar .go:focus-visible { outline-offset: -5px; outline-color: var(--accent-ink); border-radius: 999px; }
form[role="search"] > .hint { margin: .4rem 1.2rem 0; }

.query { display: flex; gap: 1.2rem; align-items: flex-start; margin: 0 0 1.2rem; padding: 1rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); }
.stage { position: relative; flex: none; overflow: hidden; border-radius: 10px; background: var(--frame); cursor: crosshair; touch-action: none; user-select: none; line-height: 0; }
.stage img { display: block; max-width: min(22rem, 42cqw); max-height: 14rem; }
.query .product { width: 7rem; aspect-ratio: 5 / 6; object-fit: cover; border-radius: 10px; background: var(--frame); }
.crop { position: absolute; box-shadow: 0 0 0 999px rgb(0 0 0 / 55%); outline: 2px solid #fff; }
.mover { position: absolute; inset: 0; width: 100%; height: 100%; border: 0; padding: 0; background: transparent; cursor: move; touch-action: none; border-radius: 0; }
.mover:focus-visible { outline: 3px solid #fff; outline-offset: -6px; box-shadow: inset 0 0 0 9px rgb(0 0 0 / 60%); border-radius: 0; }
.corner { position: absolute; width: 26px; height: 26px; margin: -13px; padding: 0; border: 0; background: transparent; touch-action: none; }
.corner::after { content: ""; position: absolute; inset: 6px; border-radius: 50%; background: #fff; border: 2px solid #0b5e57; }
.corner:focus-visible { outline: none; }
.corner:focus-visible::after { inset: 2px; background: #fbbf24; border-color: #000; }
.top-left { left: 0; top: 0; cursor: nwse-resize; } .bottom-right { left: 100%; top: 100%; cursor: nwse-resize; }
.top-right { left: 100%; top: 0; cursor: nesw-resize; } .bottom-left { left: 0; top: 100%; cursor: nesw-resize; }
.refine { flex: 1; min-width: 0; display: grid; gap: .6rem; }
.summary { font-weight: 600; overflow-wrap: anywhere; }
.crop-size { font-size: .85rem; color: var(--quiet); font-variant-numeric: tabular-nums; }
.crop-size:empty { display: none; }
.balance { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem .7rem; font-size: .9rem; }
.balance input { flex: 1 1 9rem; max-width: 18rem; accent-color: var(--accent); height: 1.6rem; }
.balance .said { flex: 1 0 100%; color: var(--quiet); font-size: .85rem; font-variant-numeric: tabular-nums; }
.chips { display: flex; flex-wrap: wrap; gap: .4rem; list-style: none; margin: 0; padding: 0; }
.chip { display: flex; align-items: center; gap: .3rem; max-width: 100%; padding: .15rem .2rem .15rem .6rem; border-radius: 999px; background: var(--wash); font-size: .85rem; }
.chip.disliked { background: light-dark(#fbeae8, #3a2322); }
.chip > span:not(.visually-hidden) { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.chip button { display: grid; place-items: center; width: 1.75rem; height: 1.75rem; border: 0; border-radius: 50%; background: none; padding: 0; }
.chip button:hover { background: rgb(0 0 0 / 10%); }

.area { display: grid; gap: 1.4rem; }
@container (min-width: 820px) { .area:has(.filters:not([hidden])) { grid-template-columns: 14rem minmax(0, 1fr); align-items: start; } }
.filters { background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); padding: .8rem 1rem; min-width: 0; }
.filters summary { font-weight: 700; cursor: pointer; min-height: 1.75rem; }
.filters .groups { display: grid; gap: 1rem; margin: .7rem 0; grid-template-columns: repeat(auto-fill, minmax(min(100%, 11rem), 1fr)); }
fieldset { min-width: 0; margin: 0; padding: 0; border: 0; }
legend { padding: 0; margin-bottom: .25rem; font-weight: 600; font-size: .9rem; }
.choice { display: flex; align-items: center; gap: .5rem; min-height: 1.85rem; font-size: .92rem; cursor: pointer; }
.choice input { width: 1.1rem; height: 1.1rem; margin: 0; accent-color: var(--accent); flex: none; }
.choice span:nth-child(2) { overflow-wrap: anywhere; }
.choice .count { margin-left: auto; color: var(--quiet); font-size: .85rem; font-variant-numeric: tabular-nums; }
.prices { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem; font-size: .9rem; }
.prices input { flex: 1 1 3rem; }
.prices select { flex: 1 0 100%; }
.prices input, .prices select { min-width: 0; width: 100%; padding: .35rem .5rem; border: 1px solid var(--edge); border-radius: 8px; background: var(--ground); }
.prices input::placeholder { color: var(--quiet); opacity: 1; }
.unit { color: var(--quiet); }
.wrong { color: var(--bad); font-size: .85rem; }

.line { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .3rem 1rem; min-height: 2.2rem; margin-bottom: .6rem; }
.status { color: var(--quiet); }
.status.busy::before { content: ""; display: inline-block; width: .9em; height: .9em; margin-right: .55em; vertical-align: -.1em; border: 2px solid var(--accent); border-right-color: transparent; border-radius: 50%; animation: turn .8s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
.notice, .trouble { margin-bottom: 1rem; padding: .8rem 1rem; border-radius: var(--radius); border: 1px solid var(--line); border-left: 5px solid #d97706; background: var(--card); }
.trouble { border-left-color: var(--bad); display: grid; gap: .5rem; overflow-wrap: anywhere; }
.trouble-title { color: var(--bad); font-weight: 700; }
.trouble a { color: var(--accent); }
.key { display: flex; flex-wrap: wrap; gap: .5rem; }
.key input { flex: 1 1 16rem; min-width: 0; padding: .5rem .8rem; border: 1px solid var(--edge); border-radius: 999px; background: var(--ground); }
.key .hint { flex: 1 0 100%; }
.plan { margin-bottom: 1rem; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: var(--radius); background: var(--card); font-size: .9rem; }
.plan dl { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .3rem 1rem; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }

.grid { list-style: none; margin: 0; padding: 0; display: grid; gap: 1.1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--shop-lens-tile-min, 200px)), 1fr)); }
.grid[aria-busy="true"] { opacity: .55; }
.grid:focus { outline: none; }
.tile { position: relative; display: flex; flex-direction: column; gap: .5rem; padding-bottom: .8rem; background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); overflow: hidden; transition: box-shadow .15s; }
.tile:hover { box-shadow: 0 1px 2px rgb(0 0 0 / 8%), 0 6px 20px rgb(0 0 0 / 10%); }
.tile > :not(.open) { margin-inline: .9rem; }
.open { display: block; width: 100%; border: 0; background: none; padding: 0; text-align: left; }
.open:focus-visible { outline-offset: -4px; border-radius: var(--radius); }
.frame { display: block; aspect-ratio: 5 / 6; background: var(--frame); }
.tile img { width: 100%; height: 100%; object-fit: cover; display: block; }
img.missing { visibility: hidden; }
.title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; margin: .7rem .9rem 0; font-weight: 600; overflow-wrap: anywhere; }
.facts { display: block; padding: .1rem .9rem 0; font-size: .88rem; color: var(--quiet); }
.cost { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .6rem; margin-block: auto 0; min-height: 1.45rem; }
.price { font-weight: 700; }
.stock { font-size: .85rem; color: var(--bad); }
.taste { position: absolute; top: .6rem; right: .6rem; margin: 0 !important; display: grid; gap: .4rem; }
.taste .round:not([aria-pressed="true"]) { background: var(--card); }
.taste .round:hover:not([aria-pressed="true"]) { background: var(--wash); }
.terms { border-collapse: collapse; width: auto; font-size: .8rem; }
.terms caption { text-align: left; color: var(--quiet); padding-bottom: .2rem; }
.terms th { text-align: left; font-weight: 400; padding-right: .5rem; }
.terms td { padding: 0; }
.terms meter { width: 100%; min-width: 2.5rem; height: .7rem; }
.terms .number { text-align: right; padding-left: .5rem; font-variant-numeric: tabular-nums; }
.why .terms { width: 100%; font-size: .88rem; }
.found { min-width: 0; }
.more { display: block; margin: 1.5rem auto 0; }

dialog { width: min(48rem, calc(100vw - 2rem)); max-height: calc(100vh - 2rem); border: 0; border-radius: 20px; padding: 1.25rem; background: var(--card); color: var(--ink); }
dialog::backdrop { background: rgb(0 0 0 / 50%); }
.details { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1.5rem; }
.details > img { width: 100%; aspect-ratio: 5 / 6; object-fit: cover; background: var(--frame); border-radius: 14px; }
.details h2 { margin: 0 2.6rem .3rem 0; font-size: 1.35rem; line-height: 1.25; }
.details dl { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .25rem .9rem; margin: .8rem 0 1.2rem; }
.details dt::first-letter { text-transform: uppercase; }
.why:not(:empty) { margin-bottom: 1rem; }
dialog form { position: sticky; top: 0; z-index: 1; height: 0; } /* in sight, however long the product's text is */
.close { position: absolute; top: -.45rem; right: -.45rem; background: var(--card); }

.welcome ::slotted(*) { display: block; }
.veil { position: fixed; inset: 0; z-index: 10; display: grid; place-items: center; pointer-events: none; background: rgb(15 118 110 / 88%); color: #fff; font-size: 1.6rem; font-weight: 700; }

@container (max-width: 600px) {
  .chooser span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .chooser { padding: 0 .8rem; }
  .bar .go { padding-inline: 1rem; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .7rem; }
  .tile > :not(.open) { margin-inline: .6rem; }
  .title { margin-inline: .6rem; }
  .facts { padding-inline: .6rem; }
  .tile .similar { padding-inline: .3rem; font-size: .85rem; }
  .taste .round { width: 2.25rem; height: 2.25rem; }
  .query:has(.stage:not([hidden])) { flex-direction: column; align-items: stretch; }
  .stage { align-self: center; }
  .stage img { max-width: 100%; max-height: 30vh; }
}
@media (max-width: 600px) { .details { grid-template-columns: 1fr; } .details > img { max-height: 36vh; } }
@media (prefers-reduced-motion: reduce) { *, *::before { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .round[aria-pressed="true"] { outline: 3px solid; } .crop { outline-color: Highlight; } }
`;

let sheet = null;

export function styleSheet() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
