// The panel of the live camera: consent, camera, stream, and all that is shown of a session.

import { Camera, whyNoCamera } from "./camera.js";
import { Charts } from "./charts.js";
import { byId, percent, tellProblem } from "./dom.js";
import { words } from "./faces.js";
import { Latency } from "./latency.js";
import { streamOptions } from "./options.js";
import { priorWords } from "./prior.js";
import { showRecording } from "./recording.js";
import { Session } from "./session.js";
import { LiveStream } from "./stream.js";
import { FacesView } from "./view.js";

const SHOW_EVERY_MS = 500;
const SAY_EVERY_MS = 4000;

/** Listen for the start button. */
export function startLivePanel() {
  const panel = new LivePanel();
  byId("start").addEventListener("click", () => panel.start());
  byId("stop").addEventListener("click", () => panel.stop());
  byId("csv").addEventListener("click", () => panel.download());
  byId("alert").querySelector("button").addEventListener("click", () => { byId("alert").hidden = true; });
  for (const form of ["options", "live-options"]) byId(form).addEventListener("change", () => panel.restart());
  window.addEventListener("pagehide", () => panel.stop());
}

class LivePanel {
  constructor() {
    this.video = byId("video");
    this.camera = new Camera(this.video);
    this.view = new FacesView(byId("live-stage"), this.video, byId("live-overlay"), byId("live-faces"));
    this.charts = new Charts();
    this.latency = new Latency();
    this.session = new Session();
    this.saidAt = 0;
    this.mix = "";
  }

  async start() {
    tellProblem("");
    const why = whyNoCamera();
    if (why) return tellProblem(why);
    const options = streamOptions();
    if (!(await hasConsent(options.record))) return undefined;
    byId("start").disabled = true;
    try {
      await this.camera.open(() => this.stop());
    } catch (problem) {
      byId("start").disabled = false;
      return tellProblem(problem.message);
    }
    byId("live-stage").classList.remove("empty");
    this.video.hidden = false;
    byId("stop").disabled = false;
    byId("csv").disabled = false;
    this.#openStream(options);
    this.timer = setInterval(() => this.#showFigures(), SHOW_EVERY_MS);
    return undefined;
  }

  /** Options hold for a whole stream, so that other ones mean another stream; the camera stays on. */
  async restart() {
    if (!this.camera.stream) return;
    const options = streamOptions();
    if (options.record && !this.stream.options.record && !(await hasConsent(true))) {
      byId("live-options").elements.record.checked = options.record = false;
    }
    if (!this.camera.stream) return;
    this.stream.onState = this.stream.onMessage = () => {};
    this.stream.stop();
    this.#openStream(options);
  }

  #openStream(options) {
    byId("alert").hidden = true;
    this.mix = "";
    this.session = new Session();
    this.latency = new Latency();
    showRecording(null);
    this.stream = new LiveStream({
      options,
      nextFrame: () => this.camera.frame(),
      onMessage: (message, roundTripMs) => this.#receive(message, roundTripMs),
      onState: (state, text) => this.#changeState(state, text),
    });
    this.stream.open();
  }

  stop() {
    if (!this.camera.stream) return;
    this.camera.close();
    clearInterval(this.timer);
    this.stream.stop();
    this.video.hidden = true;
    byId("live-stage").classList.add("empty");
    this.view.clear();
    byId("start").disabled = false;
    byId("stop").disabled = true;
    this.#showFigures();
  }

  download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.session.csv()], { type: "text/csv" }));
    link.download = `expressions-${this.session.startedAt.toISOString().slice(0, 19).replaceAll(":", "-")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  #receive(message, roundTripMs) {
    if (message.type === "started") showRecording(message.session_id);
    else if (message.type === "alert") this.#alert(message);
    else if (message.type === "result") this.#showFrame(message, roundTripMs);
    else if (roundTripMs !== null) this.latency.notAnswered();
    if (message.type === "error") byId("live-state").textContent = message.detail;
  }

  #showFrame(result, roundTripMs) {
    if (!this.camera.stream) return;
    byId("live-state").textContent = "";
    this.latency.answered(result.timings_ms, roundTripMs);
    this.session.add(result.faces);
    this.mix = priorWords(result.prior);
    this.view.show(result.faces, result.image);
    this.#say(result.faces);
  }

  /** Tell a screen reader now and then, not 25 times a second. */
  #say(faces) {
    if (performance.now() - this.saidAt < SAY_EVERY_MS) return;
    const text = faces.map((face) => `face ${face.face_id}: ${words(face)}`).join("; ") || "no face";
    if (byId("live-summary").textContent !== text) byId("live-summary").textContent = text;
    this.saidAt = performance.now();
  }

  #alert({ emotions, share, window_s: windowS }) {
    byId("alert").querySelector("span").textContent =
      `${emotions.join(", ")}: ${percent(share)} of the last ${Math.round(windowS)} seconds.`;
    byId("alert").hidden = false;
  }

  #changeState(state, text) {
    byId("live-state").textContent = state === "waiting" ? text : "";
    if (state === "waiting") this.view.hideBoxes();
    if (state === "closed") {
      this.stop();
      if (text) tellProblem(text);
    }
  }

  #showFigures() {
    this.latency.show();
    this.charts.show(this.session);
    byId("live-prior").textContent = this.mix && `Expecting ${this.mix}.`;
  }
}

function hasConsent(isRecorded) {
  const dialog = byId("consent");
  byId("server").textContent = location.host;
  byId("what-is-kept").textContent = isRecorded
    ? "Scores of each second are recorded on the server, until you delete them or a day has passed."
    : "Nothing is recorded; the charts live in this page only.";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}
