// What this page has seen since the camera was started: counts and sums of scores, never pictures.

import { EMOTIONS } from "./emotions.js";
import { shown } from "./faces.js";

const BUCKET_S = 1;
const MOST_BUCKETS = 6 * 3600;

/** Faces seen, by emotion. */
class Tally {
  faces = 0;
  counts = Object.fromEntries(EMOTIONS.map((emotion) => [emotion, 0]));
  sums = Object.fromEntries(EMOTIONS.map((emotion) => [emotion, 0]));

  add(face) {
    this.faces += 1;
    this.counts[shown(face).emotion] += 1;
    for (const [emotion, probability] of Object.entries(face.probabilities)) this.sums[emotion] += probability;
  }

  /** Of all faces, by smoothed emotion; sum 1. */
  get shares() {
    return this.#over(this.counts);
  }

  /** Mean of the raw probabilities. */
  get means() {
    return this.#over(this.sums);
  }

  #over(sums) {
    const faces = Math.max(1, this.faces);
    return Object.fromEntries(EMOTIONS.map((emotion) => [emotion, sums[emotion] / faces]));
  }
}

export class Session {
  constructor() {
    this.startedAt = new Date();
    this.started = performance.now();
    this.total = new Tally();
    this.buckets = []; // {second, byFace: Map(face_id, Tally), all: Tally}
  }

  add(faces) {
    const second = Math.floor((performance.now() - this.started) / 1000 / BUCKET_S) * BUCKET_S;
    if (this.buckets.at(-1)?.second !== second) {
      this.buckets.push({ second, byFace: new Map(), all: new Tally() });
      if (this.buckets.length > MOST_BUCKETS) this.buckets.shift();
    }
    const bucket = this.buckets.at(-1);
    for (const face of faces) {
      if (!bucket.byFace.has(face.face_id)) bucket.byFace.set(face.face_id, new Tally());
      for (const tally of [bucket.byFace.get(face.face_id), bucket.all, this.total]) tally.add(face);
    }
  }

  /** A row for each second and face. */
  csv() {
    const head = ["start", "face_id", "frames", ...EMOTIONS.map((e) => `share_${e}`), ...EMOTIONS.map((e) => `mean_${e}`)];
    const rows = this.buckets.flatMap(({ second, byFace }) => [...byFace].map(([id, tally]) => [
      new Date(this.startedAt.getTime() + second * 1000).toISOString(), id, tally.faces,
      ...EMOTIONS.map((emotion) => tally.shares[emotion].toFixed(4)),
      ...EMOTIONS.map((emotion) => tally.means[emotion].toFixed(4)),
    ]));
    return [head, ...rows].map((row) => row.join(",")).join("\r\n") + "\r\n";
  }
}
