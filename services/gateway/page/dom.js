// Small words for making elements; knows nothing of faces.

export const byId = (id) => document.getElementById(id);

/** Make an element with properties and children (strings are text, never markup). */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an SVG element with attributes and children. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Say something that went wrong, or take it back with an empty text. */
export function tellProblem(text) {
  const place = byId("problem");
  place.textContent = text;
  place.hidden = !text;
}

export const percent = (share) => `${Math.round(share * 100)} %`;
