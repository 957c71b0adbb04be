// The camera: opened with consent, and its frames as small JPEGs.

const LONGEST_PX = 640;
const JPEG_QUALITY = 0.85;

/** Why there can be no camera here, in words that help; empty if there can be one. */
export function whyNoCamera() {
  if (!window.isSecureContext) {
    return `Browsers give a camera only to pages on https or localhost, and this page came from ${location.origin}. ` +
      "Open it by https (mount a certificate, see docs/operations.md), or on the server's own machine as " +
      `http://localhost:${location.port || 80}, or forward the port: ssh -L 8080:localhost:${location.port || 80} SERVER.`;
  }
  if (!navigator.mediaDevices?.getUserMedia) return "This browser knows no camera.";
  return "";
}

const REFUSALS = {
  NotAllowedError: "The browser was told not to give this page a camera. Allow it beside the address and start again.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is in use by another program.",
};

/** An open camera shown in a video element. */
export class Camera {
  #canvas = document.createElement("canvas");

  constructor(video) {
    this.video = video;
  }

  /** Ask for the camera; raises an Error that a person can read. `onEnded` is called if it is unplugged. */
  async open(onEnded) {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
    } catch (refusal) {
      throw new Error(REFUSALS[refusal.name] ?? `The camera cannot be opened: ${refusal.message}`);
    }
    this.stream.getVideoTracks()[0].addEventListener("ended", onEnded);
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  /** The frame that is shown now: a JPEG blob of at most 640 px, or null before the first. */
  async frame() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth) return null;
    const scale = Math.min(1, LONGEST_PX / Math.max(videoWidth, videoHeight));
    this.#canvas.width = Math.round(videoWidth * scale);
    this.#canvas.height = Math.round(videoHeight * scale);
    this.#canvas.getContext("2d").drawImage(this.video, 0, 0, this.#canvas.width, this.#canvas.height);
    return new Promise((done) => this.#canvas.toBlob(done, "image/jpeg", JPEG_QUALITY));
  }
}
