// A figure as it went: in words, as a line, with its axis; knows no figure by its name.

import { draw, make } from "./dom.js";

const SHORTEST_S = 30; // of the time that a line is drawn over
const LONGEST_GAP_S = 10; // a longer time without a figure is not bridged

/** Make it of `history`, oldest first: points with `agoS` and `key`, null where unknown; `words` says a value. */
export function line(history, key, words, objective = 0) {
  const known = history.filter((point) => point[key] !== null);
  const most = Math.max(0, ...known.map((point) => point[key]));
  const top = 1.1 * Math.max(most, objective, 0.001);
  const high = (value) => 40 - (40 * value) / top;
  const span = Math.max(SHORTEST_S, history[0].agoS);
  let path = "";
  known.forEach((point, index) => {
    const follows = index && known[index - 1].agoS - point.agoS <= LONGEST_GAP_S;
    path += `${follows ? "L" : "M"}${(span - point.agoS).toFixed(1)} ${high(point[key]).toFixed(2)}`;
  });
  const picture = draw("svg", { viewBox: `0 0 ${span} 40`, preserveAspectRatio: "none", "aria-hidden": "true", class: "history" });
  if (objective) picture.append(draw("path", { d: `M0 ${high(objective)}H${span}`, class: "objective" }));
  picture.append(draw("path", { d: path }));
  const text = known.length ? `${words(known.at(-1)[key])} last, ${words(most)} at most` : "nothing yet";
  return [
    make("p", { className: "small" }, objective ? `${text}; dashed: ${words(objective)}` : text), picture,
    make("div", { className: "axis small" }, make("span", {}, `${Math.round(span)} s ago`), make("span", {}, "now")),
  ];
}
