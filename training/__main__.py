"""The command line: `python -m training --help`.

Only the chosen command is imported. A TrainingError, or a full disk, is printed as one line.
"""

import argparse
import importlib
import shlex
import sys

from training.errors import TrainingError

COMMANDS = {
    "train": "train a network as a config file says",
    "compare": "train configs with the same budget each, and write one report of them",
    "cross-validate": "train and measure once for each fold of the training split",
    "export": "turn a run into a folder of the model repository",
    "hybrid": "fit a random forest on a run's features and texture, into the model repository",
    "export-detector": "turn a run or public weights of a detector into the graphs its plug-in loads",
    "variant": "make an INT8 or FP16 variant of a model folder",
    "import-weights": "turn published weights into a file that a network can start from",
    "evaluate": "measure a run, a model folder, an ONNX file or a running cluster",
    "train-detector": "train a face detector as a config file says",
    "evaluate-detector": "measure a face detector on annotated images",
    "time": "time models against MobileNetV2, one face on one thread",
    "framing": "measure how a detector's boxes relate to the data set's frames",
    "alignment": "compare ways to frame detected faces by a model's answers",
    "quality": "measure how accurate a model is on faces of poor quality",
    "mixes": "measure calibration under other mixes of expressions, without and with a prior",
    "portraits": "measure a detector and a model together on whole images",
}
STOPPED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give the exit code: 0 done, 1 a clear error, 130 stopped by the user."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train, measure and export emotion models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    try:
        for name, summary in COMMANDS.items():
            command = commands.add_parser(name, help=summary)
            if name in arguments[:1]:
                module = importlib.import_module(f"training.commands.{name.replace('-', '_')}")
                command.description = module.__doc__
                command.formatter_class = argparse.RawDescriptionHelpFormatter
                module.add_arguments(command)
                line = shlex.join(["python", "-m", "training", *arguments])
                command.set_defaults(execute=module.run, command_line=line)
        options = parser.parse_args(arguments)
        options.execute(options)
    except TrainingError as err:
        print(f"error: {err}", file=sys.stderr)
        return 1
    except OSError as err:  # where more is known, a TrainingError was raised instead
        place = f"{err.filename}: " if err.filename else ""
        print(f"error: {place}{err.strerror or err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped by the user; a training run goes on with --resume", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
