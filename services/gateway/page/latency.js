// Frames a second, round trip, and where a frame's time goes.

import { byId, make } from "./dom.js";

const LOOK_BACK_MS = 3000;
const STAGES = {
  queue: ["queue", "--neutral"], decode: ["decode", "--surprise"], detect: ["find faces", "--sadness"],
  align: ["crop", "--disgust"], infer: ["emotions", "--happiness"], other: ["gateway", "--contempt"],
  network: ["network and browser", "--fear"],
};

export class Latency {
  constructor() {
    this.frames = []; // {at, roundTripMs, stages}
    this.lost = 0;
    this.parts = new Map();
    const stack = make("div", { className: "stack" });
    stack.setAttribute("aria-hidden", "true");
    const legend = make("ul", { className: "legend" });
    for (const [stage, [name, hue]] of Object.entries(STAGES)) {
      const part = make("span");
      const dot = make("span", { className: "dot" });
      const value = make("span");
      part.style.backgroundColor = dot.style.backgroundColor = `var(${hue})`;
      stack.append(part);
      legend.append(make("li", {}, dot, `${name} `, value));
      this.parts.set(stage, { part, value });
    }
    byId("latency").replaceChildren(stack, legend);
  }

  answered(timings, roundTripMs) {
    const { total, ...stages } = timings;
    const known = Object.values(stages).reduce((sum, ms) => sum + ms, 0);
    stages.other = Math.max(0, total - known);
    stages.network = Math.max(0, roundTripMs - total);
    this.frames.push({ at: performance.now(), roundTripMs, stages });
  }

  notAnswered() {
    this.lost += 1;
  }

  show() {
    const now = performance.now();
    this.frames = this.frames.filter(({ at }) => now - at < LOOK_BACK_MS);
    const count = this.frames.length;
    byId("lost").textContent = String(this.lost);
    if (!count) {
      byId("fps").textContent = byId("round-trip").textContent = "-";
      return;
    }
    const mean = (of) => this.frames.reduce((sum, frame) => sum + of(frame), 0) / count;
    const roundTripMs = mean((frame) => frame.roundTripMs);
    const span = Math.max(now - this.frames[0].at, 1);
    byId("fps").textContent = ((count * 1000) / span).toFixed(1);
    byId("round-trip").textContent = `${roundTripMs.toFixed(0)} ms`;
    for (const [stage, { part, value }] of this.parts) {
      const ms = mean((frame) => frame.stages[stage]);
      part.style.width = `${(100 * ms) / Math.max(roundTripMs, 0.001)}%`;
      value.textContent = `${ms.toFixed(1)} ms`;
    }
  }
}
