// The panel for one picture: dropped, pasted or chosen, posted to /predict, shown with its faces.

import { byId, tellProblem } from "./dom.js";
import { ask, predictOptions } from "./options.js";
import { priorWords } from "./prior.js";
import { FacesView } from "./view.js";

/** Listen for pictures. */
export function startPicturePanel() {
  const stage = byId("drop");
  const picture = byId("picture");
  const view = new FacesView(stage, picture, byId("picture-overlay"), byId("picture-faces"));
  let newest = 0;
  let file = null;

  async function analyse() {
    const number = ++newest;
    tellProblem("");
    byId("picture-summary").textContent = "Looking for faces ...";
    let answer = null;
    try {
      const query = new URLSearchParams(predictOptions());
      answer = await ask(`/predict?${query}`, {
        method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" },
      });
    } catch (problem) {
      if (number === newest) tellProblem(problem.message);
    }
    if (number !== newest) return; // another picture was given meanwhile
    view.hideBoxes();
    if (answer) view.show(answer.faces, answer.image); // cards are kept by number, and with them the focus
    else view.clear();
    byId("picture-summary").textContent = answer ? summary(answer) : "";
  }

  function show(given) {
    if (!given) return;
    file = given;
    view.clear();
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(file);
    picture.hidden = false;
    picture.alt = file.name ? `Picture ${file.name}` : "Pasted picture";
    stage.classList.remove("empty");
    analyse();
  }

  byId("file").addEventListener("change", (event) => show(event.target.files[0]));
  document.addEventListener("paste", (event) => {
    const given = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (given && !byId("panel-picture").hidden) show(given);
  });
  stage.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  stage.addEventListener("dragleave", () => stage.classList.remove("over"));
  stage.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    show(event.dataTransfer.files[0]);
  });
  byId("options").addEventListener("change", () => {
    if (file && !byId("panel-picture").hidden) analyse();
  });
  picture.addEventListener("load", () => view.redraw());
}

function summary(answer) {
  const count = answer.faces.length;
  const faces = count === 1 ? "1 face" : `${count || "No"} faces`;
  const mix = priorWords(answer.prior);
  const expecting = mix && `, expecting ${mix}`;
  return `${faces} in ${Math.round(answer.timings_ms.total)} ms by ${answer.model.name} and ${answer.detector}${expecting}.`;
}
