// Frames a second, round trip, and where a frame's time goes, of the stream of this page.

import { byId } from "./dom.js";
import { StageBar } from "./stages.js";

const LOOK_BACK_MS = 3000;

export class Latency {
  constructor() {
    this.frames = []; // {at, roundTripMs, stages}
    this.lost = 0;
    this.bar = new StageBar(byId("latency"));
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
    const span = Math.max(now - this.frames[0].at, 1);
    byId("fps").textContent = ((count * 1000) / span).toFixed(1);
    byId("round-trip").textContent = `${mean((frame) => frame.roundTripMs).toFixed(0)} ms`;
    const stages = Object.keys(this.frames[0].stages);
    this.bar.show(Object.fromEntries(stages.map((stage) => [stage, mean((frame) => frame.stages[stage])])));
  }
}
