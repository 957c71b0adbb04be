// A live stream that comes back by itself; a frame is sent only when the last one was answered.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const FINAL_CLOSES = new Set([1000, 1003, 1008]); // trying again would end alike
const ANSWERS = new Set(["result", "dropped", "error"]);

/**
 * Frames to the server, messages back.
 * `nextFrame` gives a blob or null; `onMessage(message, roundTripMs)`; `onState("open" | "waiting" | "closed", why)`.
 */
export class LiveStream {
  #socket = null;
  #waitMs = FIRST_WAIT_MS;
  #timer = 0;
  #stopped = false;
  #lastProblem = "";

  constructor({ options, nextFrame, onMessage, onState }) {
    Object.assign(this, { options, nextFrame, onMessage, onState });
  }

  open() {
    const address = new URL("/stream", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#lastProblem = "";
    let sentAt = 0;
    let waiting = false;

    const sendNext = async () => {
      if (waiting || socket.readyState !== WebSocket.OPEN) return;
      waiting = true;
      const blob = await this.nextFrame();
      if (socket.readyState !== WebSocket.OPEN) return;
      if (blob) {
        sentAt = performance.now();
        socket.send(blob);
      } else {
        waiting = false;
        setTimeout(sendNext, 50);
      }
    };

    socket.addEventListener("open", () => {
      socket.send(JSON.stringify(this.options));
      sendNext();
    });
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "error" && message.seq === null) this.#lastProblem = message.detail;
      const isAnswer = ANSWERS.has(message.type) && message.seq !== null;
      if (isAnswer) waiting = false;
      if (message.type === "result") this.#waitMs = FIRST_WAIT_MS;
      if (message.type === "started") this.onState("open", "");
      this.onMessage(message, isAnswer ? performance.now() - sentAt : null);
      if (!isAnswer) return;
      // after a fault the server is given time; else the next frame goes at once
      if (message.type === "error") setTimeout(sendNext, 200);
      else sendNext();
    });
    socket.addEventListener("close", (event) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (this.#stopped || FINAL_CLOSES.has(event.code)) {
        this.onState("closed", this.#stopped ? "" : this.#lastProblem || event.reason || "The server closed the stream.");
        return;
      }
      this.onState("waiting", `The stream broke off; trying again in ${Math.round(this.#waitMs / 100) / 10} s.`);
      this.#timer = setTimeout(() => this.open(), this.#waitMs);
      this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
    });
  }

  /** End for good; what was sent is still answered. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "stop" }));
    else if (this.#socket) this.#socket.close();
    else this.onState("closed", "");
  }
}
