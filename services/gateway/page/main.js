// Wires the page: tabs, choosers, and the three panels.

import { Board } from "./board.js";
import { byId, tellProblem } from "./dom.js";
import { startLivePanel } from "./live.js";
import { fillAlertEmotions, fillChoosers } from "./options.js";
import { startPicturePanel } from "./picture.js";
import { startPriorChooser } from "./prior.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
const board = new Board();

function choose(tab) {
  for (const one of tabs) {
    const isChosen = one === tab;
    one.setAttribute("aria-selected", String(isChosen));
    one.tabIndex = isChosen ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = !isChosen;
  }
  byId("options").hidden = tab.id === "tab-board"; // they are of pictures
  tellProblem("");
  board.wake();
}

tabs.forEach((tab, index) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  });
});
for (const form of document.querySelectorAll("form:not([method])")) form.addEventListener("submit", (event) => event.preventDefault());

fillAlertEmotions();
startPriorChooser();
startPicturePanel();
startLivePanel();
fillChoosers().catch((problem) => tellProblem(`${problem.message} Reload the page to try again.`));
