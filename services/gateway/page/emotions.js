// The canonical emotions in their order, and what they look like here.

export const EMOTIONS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];

/** The colour of an emotion as a CSS value; follows light and dark. */
export const colour = (emotion) => `var(--${emotion})`;

/** The same as the canvas needs it. */
export function plainColour(emotion) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${emotion}`).trim() || "#888";
}
