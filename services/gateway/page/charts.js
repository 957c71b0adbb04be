// Pie, bars and time line of a session, drawn as SVG.

import { byId, draw, make, percent } from "./dom.js";
import { EMOTIONS, colour } from "./emotions.js";
import { SharesTable } from "./shares.js";

const SECONDS_SHOWN = 120;

export class Charts {
  constructor() {
    this.bars = new SharesTable("Mean probability of each emotion in this session");
    byId("bars").replaceChildren(this.bars.element);
    this.legend = make("ul", { className: "legend" });
    this.slices = draw("svg", { viewBox: "-1 -1 2 2", role: "img" });
    byId("pie").replaceChildren(make("div", { className: "pie" }, this.slices, this.legend));
    this.line = draw("svg", { viewBox: "0 0 120 40", preserveAspectRatio: "none", role: "img" });
    this.oldest = make("span");
    byId("timeline").replaceChildren(this.line, make("div", { className: "axis small" }, this.oldest, make("span", {}, "now")));
  }

  show(session) {
    this.#pie(session.total.shares);
    this.bars.show(session.total.means);
    this.#timeline(session.buckets);
  }

  #pie(shares) {
    const parts = EMOTIONS.filter((emotion) => shares[emotion] > 0);
    let from = 0;
    this.slices.replaceChildren(...parts.map((emotion) => {
      const slice = draw("path", { d: sector(from, from + shares[emotion]) });
      slice.style.fill = colour(emotion);
      from += shares[emotion];
      return slice;
    }));
    const text = parts.map((emotion) => `${emotion} ${percent(shares[emotion])}`);
    this.slices.setAttribute("aria-label", `Share of the time: ${text.join(", ") || "no face yet"}`);
    this.legend.replaceChildren(...parts.map((emotion, index) => {
      const dot = make("span", { className: "dot" });
      dot.style.backgroundColor = colour(emotion);
      return make("li", {}, dot, text[index]);
    }));
  }

  #timeline(buckets) {
    const newest = buckets.at(-1)?.second ?? 0;
    const first = newest - SECONDS_SHOWN + 1; // the newest second stands at the right
    this.oldest.textContent = `${SECONDS_SHOWN} s ago`;
    const bars = buckets.filter(({ second, all }) => second >= first && all.faces > 0).flatMap(({ second, all }) => {
      let top = 40;
      return EMOTIONS.filter((emotion) => all.counts[emotion] > 0).map((emotion) => {
        const height = all.shares[emotion] * 40;
        top -= height;
        const bar = draw("rect", { x: second - first, y: top, width: 1.02, height });
        bar.style.fill = colour(emotion);
        return bar;
      });
    });
    this.line.replaceChildren(...bars);
    this.line.setAttribute("aria-label", `Smoothed emotions of the last ${Math.min(newest + 1, SECONDS_SHOWN)} seconds, a column each`);
  }
}

/** The path of a slice of the unit circle, from and to in turns, clockwise from the top. */
function sector(from, to) {
  if (to - from > 0.9999) return "M0 -1A1 1 0 1 1 0 1A1 1 0 1 1 0 -1Z";
  const point = (turn) => `${Math.sin(2 * Math.PI * turn)} ${-Math.cos(2 * Math.PI * turn)}`;
  return `M0 0L${point(from)}A1 1 0 ${to - from > 0.5 ? 1 : 0} 1 ${point(to)}Z`;
}
