// Where the label of each face goes so that it covers no face: rectangles in, rectangles out.
//
// Rectangles are {x, y, width, height} in one unit, from the upper left corner of the picture.
// Knows neither a canvas nor the text of a label.

const APART = 4; // from a label to another's box or label; a place that is kept may be nearer
const HIDES_LITTLE = 12; // a label in its own box may be this part of it

const ALONG = { start: 0, end: 1, middle: 0.5 };
const SLOTS = ["above", "below", "right", "left"].flatMap((side) => Object.keys(ALONG).map((along) => ({ side, along })));
export const INSIDE = -1; // the slot of a label in a corner of its own box
export const AFAR = -2; // the slot of a label at a distance from its box, to which a line should lead

const DIRECTIONS = 16;
const RINGS = 6; // around a box, each a label's height from the next

/**
 * Find a place for the label of each face.
 *
 * A label lies beside its box, in the picture, and overlaps no box and no other label. Without room beside the box
 * even for the shortest form, it lies in a corner of its own box, where it hides nothing else; and where the box is
 * too small for it, or another's box is there too, as near as there is room (AFAR). Only where there is no room near
 * it either, a label in its own box's corner may overlap other boxes and labels: as little as it can.
 *
 * @param faces [{key, box, forms}]: `forms` are the sizes {width, height} of the label, the longest form first.
 * @param picture {width, height}.
 * @param kept places of the picture before, by key: each is taken again where it is still free.
 * @returns Map of {form, slot, x, y, width, height} by key; `form` counts in `forms` from its end: -1 is the shortest.
 */
export function placeLabels(faces, picture, kept = new Map()) {
  const places = new Map();
  const isFree = (place, face, apart) => isWithin(place, picture) && !overlap(place, face.box, 0) &&
    faces.every((other) => other === face || !overlap(place, other.box, apart)) &&
    [...places].every(([key, other]) => key === face.key || !overlap(place, other, apart));
  const free = (face, form, slot, apart) => {
    const place = { ...beside(SLOTS[slot], face.box, face.forms.at(form), picture), form, slot };
    return isFree(place, face, apart) ? place : null;
  };
  const firstFree = (face, form) => {
    for (const slot of SLOTS.keys()) {
      const place = free(face, form, slot, APART);
      if (place) return place;
    }
    return null;
  };

  for (const face of faces) {
    const { form, slot } = kept.get(face.key) ?? {};
    const place = slot >= 0 && -form <= face.forms.length ? free(face, form, slot, 0) : null;
    if (place) places.set(face.key, place);
  }
  // the shortest form for everyone comes before a longer one for anyone; who has least room chooses first
  const room = new Map(faces.map((face) => [face, roomOf(face, faces, picture)]));
  const without = [];
  for (const face of [...faces].sort((one, other) => room.get(one) - room.get(other))) {
    if (places.has(face.key)) continue;
    const place = firstFree(face, -1);
    if (place) places.set(face.key, place);
    else without.push(face);
  }
  for (const face of without) {
    const { hides, ...corner } = inOwnCorner(face, faces, places, picture);
    const last = kept.get(face.key);
    const isKept = last?.slot === AFAR && isFree(shifted(face, last.shift), face, 0);
    const near = () => (isKept ? last.shift : shiftsOf(face).find((shift) => isFree(shifted(face, shift), face, 1)));
    const shift = hides || !contains(face.box, corner) ? near() : undefined;
    places.set(face.key, shift ? shifted(face, shift) : corner);
  }
  const most = Math.max(0, ...faces.map((face) => face.forms.length));
  for (let form = -2; form >= -most; form -= 1) {
    for (const face of faces) {
      if (-form > face.forms.length || places.get(face.key).form <= form) continue;
      const place = firstFree(face, form);
      if (place) places.set(face.key, place);
    }
  }
  return places;
}

/** In how many places the box leaves room, were there no labels. */
function roomOf(face, faces, picture) {
  return SLOTS.filter((slot) => {
    const place = beside(slot, face.box, face.forms.at(-1), picture);
    return isWithin(place, picture) && faces.every((other) => !overlap(place, other.box, 0));
  }).length;
}

/** A label at one side of a box, moved along this side where it would leave the picture. */
function beside({ side, along }, box, { width, height }, picture) {
  const x = within(box.x + ALONG[along] * (box.width - width), picture.width - width);
  const y = within(box.y + ALONG[along] * (box.height - height), picture.height - height);
  if (side === "above") return { x, y: box.y - height, width, height };
  if (side === "below") return { x, y: box.y + box.height, width, height };
  if (side === "right") return { x: box.x + box.width, y, width, height };
  return { x: box.x - width, y, width, height };
}

/** From the middle of a box to the middle of a label in its shortest form: all directions, the nearest first. */
function shiftsOf({ box, forms }) {
  const { width, height } = forms.at(-1);
  return Array.from({ length: RINGS * DIRECTIONS }, (_, index) => {
    const away = (1 + Math.floor(index / DIRECTIONS)) * height;
    const angle = (2 * Math.PI * (index % DIRECTIONS)) / DIRECTIONS - Math.PI / 2;
    return {
      x: Math.cos(angle) * ((box.width + width) / 2 + away), y: Math.sin(angle) * ((box.height + height) / 2 + away),
    };
  });
}

function shifted({ box, forms }, shift) {
  const { width, height } = forms.at(-1);
  const x = box.x + box.width / 2 + shift.x - width / 2;
  const y = box.y + box.height / 2 + shift.y - height / 2;
  return { x, y, width, height, form: -1, slot: AFAR, shift };
}

/** In the corner where the label hides least of others: a long form where it hides little, else the shortest. */
function inOwnCorner({ key, box, forms }, faces, places, picture) {
  const hidden = (place) => sum(faces.map((other) => (other.key === key ? 0 : shared(place, other.box)))) +
    sum([...places].map(([other, taken]) => (other === key ? 0 : shared(place, taken))));
  for (let form = -forms.length; form < 0; form += 1) {
    const { width, height } = forms.at(form);
    const isLast = form === -1;
    if (!isLast && width * height * HIDES_LITTLE > box.width * box.height) continue;
    const corners = [box.y, box.y + box.height - height].flatMap((y) => [box.x, box.x + box.width - width].map((x) => ({
      x: within(x, picture.width - width), y: within(y, picture.height - height), width, height, form, slot: INSIDE,
    })));
    const best = corners.reduce((least, corner) => (hidden(corner) < hidden(least) ? corner : least));
    if (isLast || !hidden(best)) return { ...best, hides: hidden(best) };
  }
  return null;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const within = (value, most) => Math.max(0, Math.min(value, most));
const ROUNDING = 1e-6;

const contains = (outer, inner) => inner.x >= outer.x - ROUNDING && inner.y >= outer.y - ROUNDING &&
  inner.x + inner.width <= outer.x + outer.width + ROUNDING &&
  inner.y + inner.height <= outer.y + outer.height + ROUNDING;
const isWithin = (place, { width, height }) => contains({ x: 0, y: 0, width, height }, place);

/** Whether two rectangles overlap, or are nearer to one another than `apart`. */
function overlap(one, other, apart) {
  const reach = apart - ROUNDING;
  return one.x < other.x + other.width + reach && other.x < one.x + one.width + reach &&
    one.y < other.y + other.height + reach && other.y < one.y + one.height + reach;
}

/** The area that two rectangles share. */
function shared(one, other) {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  return Math.max(0, width) * Math.max(0, height);
}
