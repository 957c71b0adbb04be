"""Send a camera through a live stream and show what is found, until q, Esc or Ctrl-C.

Frames are sent only as fast as they are answered; of those that the camera gave meanwhile, the newest.
With --no-window each answer is a line of JSON. Nothing is kept unless --record is given; then the server
keeps scores, never images, and the session's id and trend are printed at the end.

Examples:
  python -m ferclient webcam
  python -m ferclient webcam --no-window --record | jq .faces
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import cv2

from ferclient.blocking import BlockingStream, Client
from ferclient.errors import ClientError
from ferclient.events import Event, FrameDropped, FrameFailed, FrameResult, Reconnected
from ferclient.terminal import arguments, frames
from ferclient.terminal.commands import DONE, Failure
from ferclient.terminal.drawing import BgrImage, draw_faces, draw_notice
from ferclient.terminal.frames import TimedFrame
from fercore.contracts.live import Alert, StreamOptions, StreamStats, Trend

WINDOW = "fer-cluster (q ends)"
END_KEYS = frozenset({ord("q"), 27})

Show: TypeAlias = Callable[[Event[TimedFrame]], bool]
"""Shows an event; False when the person has seen enough."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--camera", default="0", metavar="N", help="number, file or address; default: %(default)s"
    )
    parser.add_argument("--no-window", action="store_true", help="print JSON lines instead")
    parser.add_argument("--record", action="store_true", help="have the server keep scores for a trend")
    parser.add_argument("--label", metavar="TEXT", help="your own name for the recorded session")
    parser.add_argument("--smoothing", metavar="FRAMES", help="frames that are averaged; 1 is off")
    arguments.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    wanted = arguments.parse_options(
        StreamOptions,
        options,
        smoothing=options.smoothing,
        record=options.record or None,
        label=options.label,
    )
    show = _print if options.no_window else _open_window()
    camera = int(options.camera) if options.camera.isdecimal() else options.camera
    sessions: list[str | None] = []
    with arguments.make_client(Client, options) as client, frames.open_camera(camera) as video:
        try:
            with client.stream(wanted) as stream:
                sessions.append(stream.session_id)
                _watch(stream, video, show, sessions)
        finally:
            for session_id in filter(None, sessions):
                print(_summarize(client, session_id), file=sys.stderr)
    return DONE


def _watch(
    stream: BlockingStream, video: Iterator[TimedFrame], show: Show, sessions: list[str | None]
) -> None:
    for event in stream.frames(_source(video)):
        match event:
            case Reconnected(session_id=session_id, away_s=away_s):
                sessions.append(session_id)
                print(f"the server was away for {away_s:.1f} s; face ids begin anew", file=sys.stderr)
            case FrameFailed(code="connection_lost"):
                print("the server went away; trying again", file=sys.stderr)
            case Alert(rule=rule, share=share, window_s=window_s):
                print(f"alert {rule}: {share:.0%} of the last {window_s:g} s", file=sys.stderr)
        if not show(event):
            return


def _source(video: Iterator[TimedFrame]) -> Iterator[tuple[TimedFrame, bytes]]:
    for frame in video:
        yield frame, frames.encode_jpeg(frame.image)


def _print(event: Event[TimedFrame]) -> bool:
    """Print an event as one line of JSON."""
    match event:
        case FrameResult(frame=frame, result=result):
            body = {"frame": frame.index, **result.model_dump(mode="json")}
        case FrameDropped(frame=frame):
            body = {"type": "dropped", "frame": frame.index}
        case FrameFailed(frame=frame, code=code, detail=detail):
            body = {"type": "error", "frame": frame.index, "code": code, "detail": detail}
        case Reconnected(session_id=session_id, away_s=away_s):
            body = {"type": "reconnected", "session_id": session_id, "away_s": away_s}
        case Alert() | StreamStats():
            body = event.model_dump(mode="json")
    print(json.dumps(body), flush=True)
    return True


def _open_window() -> Show:
    """Return what shows events in a window.

    Raises:
        Failure: this OpenCV has none.
    """
    try:
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
    except cv2.error as err:
        raise Failure(
            "this OpenCV has no windows: use --no-window, or replace opencv-python-headless by opencv-python"
        ) from err
    return _show


def _show(event: Event[TimedFrame]) -> bool:
    match event:
        case FrameResult(frame=frame, result=result):
            image: BgrImage = frame.image
            draw_faces(image, result.faces)
        case FrameFailed(frame=frame, code=code):
            image = frame.image
            draw_notice(image, f"not analysed: {code}")
        case _:
            return True
    cv2.imshow(WINDOW, image)
    is_open = cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) >= 1
    return cv2.waitKey(1) & 0xFF not in END_KEYS and is_open


def _summarize(client: Client, session_id: str) -> str:
    """Summarize a recorded session in three lines."""
    delete = f"delete it: curl -X DELETE {client.url}/sessions/{session_id}"
    try:
        trend = _describe(client.trend(session_id))
    except ClientError as err:
        trend = f"no trend: {err}"
    return f"session {session_id}\n  {trend}\n  {delete}"


def _describe(trend: Trend) -> str:
    totals = trend.totals
    shares = sorted(totals.shares.items(), key=lambda item: -item[1])
    seen = ", ".join(f"{emotion} {share:.0%}" for emotion, share in shares if share) or "no face"
    valence = "" if totals.valence is None else f"; valence {round(totals.valence, 2) + 0.0:+.2f}"
    alerts = f"; {len(trend.alerts)} alerts" if trend.alerts else ""
    until = f"{trend.expires_at:%Y-%m-%d %H:%M %Z}"
    return f"{totals.frames} faces seen: {seen}{valence}{alerts}; kept until {until}"
