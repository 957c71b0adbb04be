"""What the detector does with one image: decode, find faces, crop them.

The queue's handler and `POST /detect` call this one core, in its threads.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt

from fercore.contracts.card import FACE_SIZE
from fercore.contracts.errors import FerError, InternalError, NotReady, UnknownDetector
from fercore.contracts.messages import DetectOptions, FaceQuality, FoundFace, Timings
from fercore.plugins import load_plugin, plugin_names
from fercore.service.metrics import Metrics
from fercore.vision.align import aligned_square
from fercore.vision.crop import Boxes, crop_face
from fercore.vision.decode import decode, decode_reduced, mend
from fercore.vision.detection import DETECT_SIZE_PX, Detections, Detector, detect_in
from fercore.vision.image import DecodedImage
from fercore.vision.quality import assess

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundFaces:
    """The faces of one image, largest first, ties from left to right.

    Attributes:
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        crops: uint8 [n, 112, 112, 3], RGB, canonical framing, one for each face.
        timings: of the detector's stages.
    """

    width: int
    height: int
    faces: tuple[FoundFace, ...]
    crops: npt.NDArray[np.uint8]
    timings: Timings


class DetectorCore:
    """Detectors by name, loaded when first asked for, and the threads they run in.

    Args:
        plugins: the package whose modules are the detectors.
        model_repository: where they find their weights.
        threads: images worked on at once.
        metrics: stages and faces are counted there.
        detect_size_px: longer side of what a detector is shown; larger images are averaged down.
    """

    def __init__(
        self,
        plugins: ModuleType,
        *,
        model_repository: Path,
        threads: int,
        metrics: Metrics,
        detect_size_px: int = DETECT_SIZE_PX,
    ) -> None:
        self._plugins = plugins
        self._model_repository = model_repository
        self._metrics = metrics
        self._detect_size_px = detect_size_px
        self._loaded: dict[str, Detector] = {}
        self._loading = Lock()
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="detector")
        self.names = tuple(name for name in plugin_names(plugins) if self._is_offered(name))

    def load(self, name: str) -> Detector:
        """Return a detector, loading it the first time.

        Raises:
            UnknownDetector: there is no such plug-in.
            NotReady: the plug-in, its weights or something it needs is missing.
        """
        if (detector := self._loaded.get(name)) is not None:
            return detector
        if name not in plugin_names(self._plugins):
            raise UnknownDetector(name, self.names)
        with self._loading:
            if name not in self._loaded:
                try:
                    module = load_plugin(self._plugins, name)
                    self._loaded[name] = module.create(self._model_repository)
                except Exception as err:  # the border to a plug-in: whatever it raises is its bug
                    _log_missing("a detector cannot be loaded", name, err, logging.ERROR)
                    raise NotReady(f"the detector {name!r} cannot be loaded: {_reason(err)}") from err
            return self._loaded[name]

    def _is_offered(self, name: str) -> bool:
        """Return whether a plug-in has what it needs: it can be imported and its weights are there."""
        try:
            weights: Sequence[str] = getattr(load_plugin(self._plugins, name), "WEIGHTS", ())
        except Exception as err:  # noqa: BLE001 - likewise
            _log_missing("a detector is not offered", name, err, logging.WARNING)
            return False
        missing = [file for file in weights if not (self._model_repository / file).is_file()]
        if missing:
            told = {"detector": name, "reason": f"{', '.join(missing)} missing"}
            logger.info("a detector is not offered", extra=told)
        return not missing

    def analyze(self, image: bytes, options: DetectOptions) -> FoundFaces:
        """Decode, detect and crop one encoded image. Blocking.

        A large JPEG is decoded at a reduced scale, and once more in full only where a crop gains by it.

        Raises:
            InvalidImage: it does not decode.
            UnsupportedMedia: it is not JPEG, PNG or WebP.
            UnknownDetector: there is no such plug-in.
            NotReady: the plug-in cannot be loaded.
            InternalError: the plug-in failed.
        """
        with self._metrics.stage("decode") as decoding:
            image = mend(image)  # once for both decodings
            decoded = decode_reduced(image, longer_side_px=self._detect_size_px)
        decode_ms = decoding.ms
        detector = self.load(options.detector)
        with self._metrics.stage("detect") as detecting:
            detections = self._detect(detector, decoded, options)
            boxes, kept = _keep(detections, decoded, options)
            squares = [
                aligned_square(detections.boxes[index], detections.landmarks_of(index), detector.framing)
                for index in kept
            ]
        if any(decoded.is_too_coarse_for(square) for square in squares):
            with self._metrics.stage("decode") as decoding_again:
                decoded = DecodedImage.in_full(decode(image))
            decode_ms += decoding_again.ms
        with self._metrics.stage("align") as aligning:
            faces: list[FoundFace] = []
            crops = np.empty((len(kept), FACE_SIZE, FACE_SIZE, 3), np.uint8)
            for crop, square, index in zip(crops, squares, kept, strict=True):
                crop[:] = crop_face(decoded.pixels, decoded.in_pixels(square))
                quality = assess(
                    crop,
                    size_px=square.side,
                    landmarks=detections.landmarks_of(index),
                    points=detector.framing.points,
                )
                faces.append(_face(detections, index, boxes[index], quality))
        self._metrics.faces_per_frame.observe(len(faces))
        timings = Timings(decode_ms=decode_ms, detect_ms=detecting.ms, align_ms=aligning.ms)
        return FoundFaces(decoded.width, decoded.height, tuple(faces), crops, timings)

    async def analyze_apart(self, image: bytes, options: DetectOptions) -> FoundFaces:
        """Run `analyze` in a thread of this core; its logs carry the request that is running here."""
        context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(
            self.pool, lambda: context.run(self.analyze, image, options)
        )

    def _detect(self, detector: Detector, decoded: DecodedImage, options: DetectOptions) -> Detections:
        try:
            return detect_in(
                detector, decoded, min_face_px=options.min_face_px, longer_side_px=self._detect_size_px
            )
        except FerError:
            raise
        except Exception as err:  # the border to a plug-in: whatever it raises is its bug
            logger.exception("a detector failed", extra={"detector": options.detector})
            raise InternalError from err

    def close(self) -> None:
        """Stop the threads; what waits for one is cancelled."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def _keep(
    detections: Detections, decoded: DecodedImage, options: DetectOptions
) -> tuple[Boxes, npt.NDArray[np.intp]]:
    """Clip, filter, sort and count off; returns all boxes clipped, and the places of those kept."""
    width, height = decoded.width, decoded.height
    boxes = np.clip(detections.boxes, 0, np.array([width, height, width, height], np.float32))
    sides = boxes[:, 2:] - boxes[:, :2]
    is_kept = (
        (sides.min(axis=1) > 0)
        & (sides.max(axis=1) >= options.min_face_px)
        & (detections.scores >= options.min_score)
    )
    kept = np.flatnonzero(is_kept)
    areas = sides[kept].prod(axis=1)
    return boxes, kept[np.lexsort((boxes[kept, 0], -areas))][: options.max_faces]


def _face(
    detections: Detections, index: np.intp, box: npt.NDArray[np.float32], quality: FaceQuality
) -> FoundFace:
    left, top, right, bottom = box
    return FoundFace(
        box=(_px(left), _px(top), _px(right - left), _px(bottom - top)),
        score=round(float(detections.scores[index]), 4),
        landmarks=_landmarks(detections, index),
        quality=quality,
    )


def _landmarks(detections: Detections, index: np.intp) -> tuple[tuple[float, float], ...] | None:
    landmarks = detections.landmarks_of(index)
    return None if landmarks is None else tuple((_px(x), _px(y)) for x, y in landmarks)


def _px(value: np.float32) -> float:
    return round(float(value), 1)


def _log_missing(event: str, detector: str, err: Exception, level: int) -> None:
    """Log why a plug-in is not there: one line where something is missing, a traceback of all else."""
    is_missing = isinstance(err, OSError | ImportError)
    told = {"detector": detector, "reason": _first_line(err)}
    logger.log(level, event, extra=told, exc_info=None if is_missing else err)


def _reason(err: Exception) -> str:
    """Return one line of what went wrong, without folder names of the machine: a caller may read it."""
    return re.sub(r"(?<!\w)/([^\s/'\"]+/)+", "", _first_line(err))


def _first_line(err: Exception) -> str:
    return next(iter(str(err).splitlines()), "") or type(err).__name__


def use_one_thread_each() -> None:
    """Stop OpenCV from starting threads of its own beside the pool."""
    cv2.setNumThreads(1)
