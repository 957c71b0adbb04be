"""The command line, `python -m ferclient --help`: it imports only the command that is run."""

import argparse
import importlib
import os
import sys

from ferclient.errors import AWAY, ClientError, Refused, Unreachable
from fercore.version import VERSION

COMMANDS = {
    "predict": "find the faces of images and their emotions, as table, JSON lines or CSV",
    "video": "send every frame of a video through a stream; writes a video with boxes, and a CSV",
    "webcam": "send a camera through a live stream; shows it with boxes, or prints JSON lines",
}
DONE, FAILED, WRONG_USE, UNREACHABLE, STOPPED = 0, 1, 2, 3, 130
HINTS = {
    "cv2": "this needs OpenCV: pip install opencv-python (or opencv-python-headless: without windows)",
    "av": "this needs PyAV: pip install av",
}
"""What to do where a library is missing."""
EPILOG = """\
exit codes:
  0    all was done
  1    something failed: an image, a frame, a file, a video that is cut, or OpenCV or PyAV is missing
  2    wrong use: unknown options, files, model or detector
  3    nobody answers at the address, or the server there cannot serve
  130  stopped by Ctrl-C; no half-written file is left

examples:
  python -m ferclient predict photo.jpg
  python -m ferclient predict holiday/ --format csv --output faces.csv
  python -m ferclient video interview.mp4
  python -m ferclient webcam --help
"""


class WrongUse(Exception):
    """The command cannot be run as it was given."""


class Failure(Exception):
    """The command could not do all of its work."""


def main(arguments: list[str], *, default_url: str, program: str = "python -m ferclient") -> int:
    """Run one command and return its exit code.

    Args:
        arguments: without the program's name.
        default_url: where to ask when the arguments do not say.
        program: its name in the help.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Ask a fer-cluster for faces and their emotions.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ferclient {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    try:
        for name, summary in COMMANDS.items():
            command = commands.add_parser(name, help=summary)
            if name in arguments[:1]:
                module = importlib.import_module(f"ferclient.terminal.{name}")
                command.description = module.__doc__
                command.formatter_class = argparse.RawDescriptionHelpFormatter
                module.add_arguments(command)
                command.set_defaults(execute=module.run, url=default_url)
        options = parser.parse_args(arguments)
        code: int = options.execute(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` has
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # else Python complains as it ends
        return FAILED
    except (WrongUse, Failure, ClientError, OSError, ModuleNotFoundError) as err:
        print(f"error: {_sentence(err)}", file=sys.stderr)
        return _code(err)
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        if error.name not in HINTS:
            raise error
        return HINTS[error.name]
    return str(error)


def _code(error: Exception) -> int:
    if isinstance(error, Unreachable) or (isinstance(error, Refused) and error.code in AWAY):
        return UNREACHABLE
    if isinstance(error, WrongUse) or (isinstance(error, Refused) and not error.is_of_the_image):
        return WRONG_USE
    return FAILED
