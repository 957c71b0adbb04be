// The canonical emotions in their order, and what they look like here.

export const EMOTIONS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];

/** The colour of an emotion as a CSS value; follows light and dark. */
export const colour = (emotion) => `var(--${emotion})`;

/** A function that gives the same as the canvas needs it, as it is now; asks for the page's style once. */
export function plainColours() {
  const style = getComputedStyle(document.documentElement);
  return (emotion) => style.getPropertyValue(`--${emotion}`).trim() || "#888";
}
