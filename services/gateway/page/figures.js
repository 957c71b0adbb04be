// From two readings of the gateway's metrics: what happened between them. Pure; knows nothing of the page.

export const OBJECTIVE_S = 0.04;
export const STAGES = ["queue", "decode", "detect", "align", "infer"];

const STAGE = "fer_stage_duration_seconds";
const STARTED = "process_start_time_seconds"; // told on Linux only
const REQUESTS = "fer_requests_total";
const isPredict = ({ service, route }) => service === "gateway" && ["/predict", "/v1/predict"].includes(route);
const ofStage = (stage) => (labels) => labels.stage === stage;

/** Whether both are of one process; not if the server began anew. Each reading is a request, and counted. */
export const isLater = (before, after) =>
  after.sum(STARTED) === before.sum(STARTED) && after.sum(REQUESTS) > before.sum(REQUESTS);

/**
 * Rates a second, times in ms; null where nothing was counted. `seesWorkers`: the stages of detector and classifier
 * are counted in this process too.
 */
export function figuresBetween(before, after, seconds) {
  const grown = (name, wanted) => after.sum(name, wanted) - before.sum(name, wanted);
  const grownBy = (name, label, wanted) => {
    const old = before.sumBy(name, label, wanted);
    return new Map([...after.sumBy(name, label, wanted)].map(([key, sum]) => [key, sum - (old.get(key) ?? 0)]));
  };
  const rates = (name, label, wanted) => {
    const ever = after.sumBy(name, label, wanted); // some are counted from 0, for the alerts: told once they have come
    const counts = [...grownBy(name, label, wanted)].filter(([key]) => ever.get(key) > 0);
    return new Map(counts.map(([key, count]) => [key, count / seconds]));
  };
  const frames = grown(`${STAGE}_count`, ofStage("total"));
  const buckets = [...grownBy(`${STAGE}_bucket`, "le", ofStage("total"))]
    .map(([edge, count]) => [edge === "+Inf" ? Infinity : Number(edge), count])
    .sort(([one], [other]) => one - other);
  const within = buckets.find(([edge]) => edge === OBJECTIVE_S);
  const countsFaces = after.sum("fer_faces_per_frame_count") > 0;
  return {
    framesRate: frames / seconds,
    facesRate: countsFaces ? grown("fer_faces_per_frame_sum") / seconds : null,
    requestsByCode: rates(REQUESTS, "code", isPredict),
    liveByOutcome: rates("fer_stream_frames_total", "outcome"),
    quantilesMs: Object.fromEntries([50, 95, 99].map((q) => [q, quantileMs(q / 100, buckets)])),
    withinObjective: frames > 0 && within ? within[1] / frames : null,
    stagesMs: frames > 0 ? stagesMs(grown, frames) : null,
    seesWorkers: after.sum(`${STAGE}_count`, ofStage("detect")) > 0,
    inFlight: after.sum("fer_inflight"),
    streams: after.sum("fer_streams"),
  };
}

/**
 * What a mean frame spent in each stage that was passed, and the rest as `other`. Divided by frames, not by passes: a
 * large picture is decoded twice, one without a face is not classified, and the parts make up the whole.
 */
function stagesMs(grown, frames) {
  const passed = STAGES.filter((stage) => grown(`${STAGE}_count`, ofStage(stage)) > 0);
  const parts = passed.map((stage) => [stage, (1000 * grown(`${STAGE}_sum`, ofStage(stage))) / frames]);
  const known = parts.reduce((sum, [, ms]) => sum + ms, 0);
  const whole = (1000 * grown(`${STAGE}_sum`, ofStage("total"))) / frames;
  return Object.fromEntries([...parts, ["other", Math.max(0, whole - known)]]);
}

/** As Prometheus' histogram_quantile: evenly spread within a bucket, the last finite edge beyond it. */
function quantileMs(q, buckets) {
  const all = buckets.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const index = buckets.findIndex(([, count]) => count >= q * all);
  const [edge, count] = buckets[index];
  const [from, below] = buckets[index - 1] ?? [0, 0];
  if (edge === Infinity) return 1000 * from;
  return 1000 * (from + ((edge - from) * (q * all - below)) / (count - below));
}
