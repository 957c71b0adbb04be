// A recorded session: what the server keeps of it, and how to get or delete it.

import { byId, make, tellProblem } from "./dom.js";
import { ask } from "./options.js";

/** Show where the scores of a recorded session are; null: nothing is recorded. */
export function showRecording(sessionId) {
  const place = byId("recording");
  place.hidden = !sessionId;
  if (!sessionId) return;
  const trend = `/sessions/${sessionId}/trend?bucket=10s`;
  const remove = make("button", { type: "button", className: "button plain" }, "Delete it");
  remove.addEventListener("click", async () => {
    try {
      await ask(`/sessions/${sessionId}`, { method: "DELETE" });
      place.replaceChildren("The recorded session was deleted; nothing more of it is kept.");
    } catch (problem) {
      tellProblem(problem.message);
    }
  });
  place.replaceChildren(
    "The server records the scores of this session (no picture): ", make("code", {}, sessionId), ". ",
    make("a", { href: trend }, "JSON"), " ", make("a", { href: `${trend}&format=csv` }, "CSV"), " ", remove,
  );
}
