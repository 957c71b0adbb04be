// Where time goes: one bar of parts, and the same in words.

import { make } from "./dom.js";

const NAMES = {
  queue: ["queue", "--neutral"], decode: ["decode", "--surprise"], detect: ["find faces", "--sadness"],
  align: ["crop", "--disgust"], infer: ["emotions", "--happiness"], other: ["gateway", "--contempt"],
  network: ["network and browser", "--fear"],
};

/** A stacked bar with its legend. */
export class StageBar {
  constructor(place) {
    this.parts = new Map();
    const stack = make("div", { className: "stack" });
    stack.setAttribute("aria-hidden", "true");
    const legend = make("ul", { className: "legend" });
    for (const [stage, [name, hue]] of Object.entries(NAMES)) {
      const part = make("span");
      const dot = make("span", { className: "dot" });
      const text = make("span");
      const entry = make("li", { hidden: true }, dot, text);
      part.style.backgroundColor = dot.style.backgroundColor = `var(${hue})`;
      stack.append(part);
      legend.append(entry);
      this.parts.set(stage, { name, part, entry, text });
    }
    place.replaceChildren(stack, legend);
  }

  /** Show milliseconds by stage; those that are not there are left out. `names` calls some otherwise. */
  show(stagesMs, names = {}) {
    const all = Object.values(stagesMs).reduce((sum, ms) => sum + ms, 0);
    for (const [stage, { name, part, entry, text }] of this.parts) {
      const ms = stagesMs[stage];
      entry.hidden = ms === undefined;
      part.style.width = `${(100 * (ms ?? 0)) / Math.max(all, 0.001)}%`;
      text.textContent = `${names[stage] ?? name} ${(ms ?? 0).toFixed(1)} ms`;
    }
  }
}
