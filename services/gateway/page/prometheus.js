// The text that /metrics answers, as samples; knows no metric by its name.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n" };

/** All samples of one answer. */
export class Samples {
  #byName = new Map(); // name -> [{labels, value}]

  constructor(text) {
    for (const line of text.split("\n")) {
      const [, name, labels, value] = SAMPLE.exec(line) ?? []; // comments and empty lines are none
      if (!name) continue;
      if (!this.#byName.has(name)) this.#byName.set(name, []);
      this.#byName.get(name).push({ labels: readLabels(labels ?? ""), value: readNumber(value) });
    }
  }

  /** The sum of a metric's samples that `wanted(labels)` takes; 0 where there are none. */
  sum(name, wanted = () => true) {
    return this.#taken(name, wanted).reduce((sum, { value }) => sum + value, 0);
  }

  /** The same by the values of one label: a Map. */
  sumBy(name, label, wanted = () => true) {
    const sums = new Map();
    for (const { labels, value } of this.#taken(name, wanted)) {
      sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
    }
    return sums;
  }

  #taken(name, wanted) {
    return (this.#byName.get(name) ?? []).filter(({ labels }) => wanted(labels));
  }
}

function readLabels(text) {
  const pairs = [...text.matchAll(LABEL)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value.replace(/\\(.)/g, (_, one) => ESCAPED[one] ?? one)]));
}

function readNumber(text) {
  return Number(text.replace("Inf", "Infinity"));
}
