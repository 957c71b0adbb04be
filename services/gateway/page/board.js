// The panel of figures: reads /metrics while somebody looks, and shows the last half minute and five minutes.

import { BoardView } from "./boardview.js";
import { byId } from "./dom.js";
import { figuresBetween, isLater } from "./figures.js";
import { Samples } from "./prometheus.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
const LOOK_BACK_MS = 30_000;
const HISTORY_MS = 300_000;
const CLOSED =
  "Figures are not given away at this address: /metrics is closed here, as it is behind HAProxy. Operators see them on " +
  "the server's own machine, in Prometheus (port 9090) and Grafana (port 3000); docs/operations.md says how.";

/** Reads and shows while its panel and the page are visible; call `wake` when that may have changed. */
export class Board {
  #view = new BoardView();
  #readings = []; // {at, samples} of the last half minute
  #history = []; // {at, p95Ms, framesRate} of the last five minutes
  #isRunning = false;

  constructor() {
    document.addEventListener("visibilitychange", () => this.wake());
  }

  async wake() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (!byId("panel-board").hidden && document.visibilityState === "visible") {
      if (!(await this.#read())) break;
      await new Promise((done) => setTimeout(done, EVERY_MS));
    }
    this.#isRunning = false;
  }

  /** Read once; false if there is no sense in reading again. */
  async #read() {
    let answer;
    let text;
    try {
      answer = await fetch("/metrics", { signal: AbortSignal.timeout(PATIENCE_MS) });
      text = await answer.text();
    } catch {
      this.#view.tell("The server cannot be reached; trying again.");
      return true;
    }
    if (answer.status === 404) this.#view.tell(CLOSED);
    else if (!answer.ok) this.#view.tell(`The server answered ${answer.status}; trying again.`);
    else this.#show(new Samples(text));
    return answer.status !== 404;
  }

  #show(samples) {
    const now = performance.now();
    const last = this.#readings.at(-1);
    if (last && !isLater(last.samples, samples)) this.#readings = []; // the server began anew
    this.#readings = [...this.#readings.filter(({ at }) => now - at <= LOOK_BACK_MS), { at: now, samples }];
    const [first] = this.#readings;
    if (first.at === now) return; // one reading says nothing of what happens
    const figures = figuresBetween(first.samples, samples, (now - first.at) / 1000);
    this.#history = this.#history.filter(({ at }) => now - at <= HISTORY_MS);
    this.#history.push({ at: now, p95Ms: figures.quantilesMs[95], framesRate: figures.framesRate });
    this.#view.show(figures, this.#history.map((point) => ({ ...point, agoS: (now - point.at) / 1000 })));
  }
}
