// What the panel of figures looks like; knows figures, not where they come from.

import { byId, make } from "./dom.js";
import { OBJECTIVE_S } from "./figures.js";
import { line } from "./lines.js";
import { StageBar } from "./stages.js";

const OBJECTIVE_MS = 1000 * OBJECTIVE_S;
const KINDS = { 2: "answered", 4: "refused", 5: "failed" };
const OUTCOMES = { result: "answered", dropped: "dropped for newer ones" };
const NOTE =
  "This server in the last 30 seconds, read every 2 seconds while you look. Quantiles are estimated between the edges " +
  "of a histogram, as Prometheus does.";

export class BoardView {
  #stages = new StageBar(byId("board-stages"));

  /** Say why there are no figures; they stay hidden until there are. */
  tell(text) {
    this.#note(text);
    byId("board-figures").hidden = true;
  }

  show(figures, history) {
    this.#note(NOTE);
    byId("board-figures").hidden = false;
    byId("board-frames").textContent = perSecond(figures.framesRate);
    byId("board-faces").textContent = figures.facesRate === null ? "-" : perSecond(figures.facesRate);
    byId("board-inflight").textContent = String(figures.inFlight);
    byId("board-streams").textContent = String(figures.streams);
    this.#quantiles(figures);
    this.#where(figures);
    const codes = [...figures.requestsByCode].map(([code, rate]) => [`${code} ${KINDS[code[0]] ?? ""}`, rate]);
    byId("board-requests").replaceChildren(rates(codes));
    const outcomes = [...figures.liveByOutcome].map(([outcome, rate]) => [OUTCOMES[outcome] ?? outcome, rate]);
    byId("board-live").replaceChildren(rates(outcomes));
    byId("board-p95").replaceChildren(...line(history, "p95Ms", inMs, OBJECTIVE_MS));
    byId("board-rate").replaceChildren(...line(history, "framesRate", perSecond));
  }

  /** Only when it changes: a screen reader says it each time. */
  #note(text) {
    if (byId("board-note").textContent !== text) byId("board-note").textContent = text;
  }

  #quantiles({ quantilesMs, withinObjective }) {
    const longest = Math.max(2 * OBJECTIVE_MS, ...Object.values(quantilesMs));
    const rows = Object.entries(quantilesMs).map(([q, ms]) => {
      const bar = make("span", { className: "bar" });
      const mark = make("span", { className: "mark" });
      bar.style.width = `${(100 * (ms ?? 0)) / longest}%`;
      mark.style.left = `${(100 * OBJECTIVE_MS) / longest}%`;
      const scale = make("div", { className: "scale" }, bar, mark);
      return make("tr", {}, make("th", { scope: "row" }, `p${q}`), make("td", {}, scale), make("td", {}, inMs(ms)));
    });
    byId("board-quantiles").replaceChildren(...rows);
    byId("board-objective").textContent = withinObjective === null
      ? "No frame in this time."
      : `${(100 * withinObjective).toFixed(1)} % of the frames took at most ${OBJECTIVE_MS} ms (the mark); the objective is 95 %.`;
  }

  #where({ stagesMs, seesWorkers }) {
    this.#stages.show(stagesMs ?? {}, seesWorkers ? {} : { other: "workers and gateway" });
    const whole = Object.values(stagesMs ?? {}).reduce((sum, ms) => sum + ms, 0);
    byId("board-where").textContent = stagesMs === null
      ? "No frame in this time."
      : `${inMs(whole)} in all. ${seesWorkers ? "" : "Detector and classifier are processes of their own here, and count for themselves."}`;
  }
}

function rates(entries) {
  if (!entries.length) return make("p", { className: "small" }, "None yet.");
  const rows = entries.map(([name, rate]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, perSecond(rate))));
  return make("table", { className: "shares" }, make("tbody", {}, ...rows));
}

const perSecond = (rate) => `${rate.toFixed(1)} /s`;
const inMs = (ms) => (ms === null ? "-" : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);
