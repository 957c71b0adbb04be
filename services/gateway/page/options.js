// What can be chosen: models and detectors that live workers offer, and the limits of faces.

import { byId, make } from "./dom.js";
import { EMOTIONS } from "./emotions.js";
import { chosenPrior } from "./prior.js";

const NEGATIVE = new Set(["sadness", "anger", "disgust", "fear"]);

/** Fill the choosers. */
export async function fillChoosers() {
  const form = byId("options");
  const [models, detectors] = await Promise.all([ask("/models"), ask("/detectors")]);
  fill(form.elements.model, models.models);
  fill(form.elements.detector, detectors.detectors);
}

/** Fill the emotions that an alert may be about. */
export function fillAlertEmotions() {
  for (const emotion of EMOTIONS) {
    const box = make("input", { type: "checkbox", name: "emotion", value: emotion, checked: NEGATIVE.has(emotion) });
    byId("alert-emotions").append(make("label", {}, box, emotion));
  }
}

/** What a picture is asked with: only what was chosen. */
export function predictOptions() {
  const { model, detector, min_face_px, max_faces } = byId("options").elements;
  return {
    ...(model.value && { model: model.value }),
    ...(detector.value && { detector: detector.value }),
    min_face_px: min_face_px.valueAsNumber || 24,
    max_faces: max_faces.valueAsNumber || 32,
    ...chosenPrior(),
  };
}

/** What a stream is started with. */
export function streamOptions() {
  const form = byId("live-options");
  const { smoothing, auto, record, share, window_s } = form.elements;
  const emotions = [...form.querySelectorAll("[name=emotion]:checked")].map((box) => box.value);
  const rule = {
    name: "page", emotions, share: (share.valueAsNumber || 60) / 100, window_s: window_s.valueAsNumber || 300, min_faces: 10,
  };
  return {
    type: "start",
    ...predictOptions(),
    ...(auto.checked && { prior: "auto" }),
    smoothing: smoothing.valueAsNumber || 5,
    record: record.checked,
    alerts: emotions.length ? [rule] : [],
  };
}

/** Ask the server; raises an Error that a person can read. */
export async function ask(path, request) {
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `The server answered ${answer.status}.`);
}

function fill(select, offers) {
  const kept = select.value;
  select.replaceChildren(...offers.map((offer) => make("option", { value: offer.name }, offer.name)));
  const chosen = offers.find((offer) => offer.name === kept) ?? offers.find((offer) => offer.default);
  if (chosen) select.value = chosen.name;
}
