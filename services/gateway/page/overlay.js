// Boxes and labels over a picture or a video, on a canvas of the same place and size.

import { plainColour } from "./emotions.js";
import { shown, words } from "./faces.js";

/**
 * Draw faces over `below`.
 * @param canvas lies in the same positioned parent as `below`.
 * @param below the img or video that is shown.
 * @param size {width, height} of the picture in whose pixels the boxes are.
 */
export function drawFaces(canvas, below, faces, size) {
  const place = contentBox(below, size);
  Object.assign(canvas.style, {
    left: `${place.left}px`, top: `${place.top}px`, width: `${place.width}px`, height: `${place.height}px`,
  });
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(place.width * density);
  canvas.height = Math.round(place.height * density);
  const context = canvas.getContext("2d");
  context.scale((place.width / size.width) * density, (place.height / size.height) * density);
  const unit = size.width / place.width; // a CSS pixel in pixels of the picture
  for (const face of faces) drawFace(context, face, unit, size);
}

function drawFace(context, face, unit, size) {
  const { x, y, width, height } = face.box;
  const colour = plainColour(shown(face).emotion);
  context.lineWidth = 2.5 * unit;
  context.strokeStyle = colour;
  context.setLineDash(face.uncertain ? [6 * unit, 4 * unit] : []);
  context.strokeRect(x, y, width, height);
  const text = face.face_id ? `${face.face_id}: ${words(face)}` : words(face);
  context.font = `${13 * unit}px system-ui, sans-serif`;
  const textWidth = context.measureText(text).width + 10 * unit;
  const tall = 20 * unit;
  const left = Math.max(0, Math.min(x, size.width - textWidth));
  const top = y >= tall ? y - tall : Math.min(y + height, size.height - tall);
  context.fillStyle = "rgb(0 0 0 / .72)";
  context.fillRect(left, top, textWidth, tall);
  context.fillStyle = colour;
  context.fillRect(left, top, 4 * unit, tall);
  context.fillStyle = "#fff";
  context.fillText(text, left + 7 * unit, top + 14.5 * unit);
}

/** Where `object-fit: contain` puts the picture, relative to its positioned parent, in CSS pixels. */
function contentBox(below, size) {
  const scale = Math.min(below.clientWidth / size.width, below.clientHeight / size.height);
  const width = size.width * scale;
  const height = size.height * scale;
  return {
    left: below.offsetLeft + (below.clientWidth - width) / 2,
    top: below.offsetTop + (below.clientHeight - height) / 2,
    width,
    height,
  };
}
