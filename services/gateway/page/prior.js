// The mix of expressions to expect: the chooser, and what an answer assumed in words.

import { byId, percent } from "./dom.js";
import { EMOTIONS } from "./emotions.js";

const SHOWN_FROM = 0.005; // smaller shares would read "0 %"

/** Show the field for shares only where they are to be stated. */
export function startPriorChooser() {
  const { prior, shares } = byId("options").elements;
  const show = () => { shares.parentElement.hidden = prior.value !== "custom"; };
  prior.addEventListener("change", show);
  show(); // a browser may keep what was chosen before a reload
}

/** What was chosen, as the server reads it; nothing where it is left to the server. */
export function chosenPrior() {
  const { prior, shares } = byId("options").elements;
  const text = prior.value === "custom" ? shares.value.trim() : prior.value;
  return text ? { prior: text } : {};
}

/** What an answer assumed, in a few words; nothing where it is as the model was trained. */
export function priorWords({ name, shares }) {
  if (name === "training") return "";
  if (name === "uniform") return "all expressions equally often";
  const known = EMOTIONS.filter((emotion) => shares?.[emotion] >= SHOWN_FROM);
  return known.map((emotion) => `${emotion} ${percent(shares[emotion])}`).join(", ");
}
