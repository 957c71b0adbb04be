"""Train and measure one entry, in a process of its own that `training.comparing.running` starts.

How many epochs fit into the budget is measured once, on a copy of the network, and noted; so a run that was
killed goes on to the same end.
"""

import argparse
import copy
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch

from training.comparing.entry import REQUEST, RESULT, SCHEDULE, SPENT, suit_device
from training.comparing.measure import measure_run
from training.config import RunConfig
from training.data.faces import SPLITS
from training.data.load import load_data
from training.errors import TrainingError
from training.learning import run_folder
from training.learning.fit import EmotionTask, first_state, prepare_task
from training.learning.run_folder import read_json, write_text
from training.learning.state import State
from training.learning.trainer import train

PILOT_STEPS, WARM_UP_STEPS = 25, 3
PILOT_S = 60.0
"""The pilot ends after so many steps or so much time, but not before one step counts."""

NOTE_EVERY_S = 5.0


def main(arguments: list[str]) -> int:
    """Train one entry as far as it is not yet; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.comparing.worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("split", choices=SPLITS)
    options = parser.parse_args(arguments)
    try:
        run(options.folder, options.data, options.split)
    except TrainingError as err:
        print(f"error: {err}", flush=True)
        return 1
    except OSError as err:
        print(f"error: {err.filename or options.folder}: {err.strerror or err}", flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(folder: Path, data_folder: Path, split: str) -> None:
    """Train the entry of a folder and measure it.

    Raises:
        TrainingError: as a training may, or the disk is full.
    """
    request, is_planned = read_json(folder / REQUEST), (folder / SCHEDULE).exists()
    planned = read_json(folder / SCHEDULE) if is_planned else request
    config = RunConfig.model_validate(planned["config"])
    data = load_data(config.data, data_folder)
    if not is_planned or _epochs_done(folder) < config.fit.epochs:
        config = config if is_planned else suit_device(config)
        run_folder.prepare(folder, config, data, resume=True)
        task = prepare_task(config, data.splits["train"], data.splits["validation"], folder)
        if not is_planned:
            state = first_state(config, task, len(data.labels), folder)
            config = _plan(config, folder, time_epoch(task, state), float(str(request["budget_s"])))
            run_folder.prepare(folder, config, data, resume=True)
        with _noting_cost(folder, task.clock):
            state = first_state(config, task, len(data.labels), folder)
            state.load(folder)
            train(task, state, config.fit, seed=config.seed, folder=folder)
    result = measure_run(folder, config, data, split)
    result["seconds_spent"] = round(_spent(folder), 1)
    result["epochs"] = _epochs_done(folder)
    write_text(folder / RESULT, json.dumps(result, indent=2) + "\n")


def _plan(config: RunConfig, folder: Path, epoch_s: float, budget_s: float) -> RunConfig:
    """Return the config with the epochs that fit into the budget: one at least, the config's own at most."""
    epochs = max(1, min(config.fit.epochs, int(budget_s / epoch_s)))
    print(f"an epoch takes about {epoch_s:.0f} s, so {epochs} of at most {config.fit.epochs}", flush=True)
    fit = config.fit.model_copy(
        update={"epochs": epochs, "warmup_epochs": min(config.fit.warmup_epochs, epochs // 4)}
    )
    config = config.model_copy(update={"fit": fit})
    noted = {"config": config.model_dump(mode="json"), "epoch_s": round(epoch_s, 2)}
    write_text(folder / SCHEDULE, json.dumps(noted, indent=2) + "\n")
    return config


def time_epoch(task: EmotionTask, state: State) -> float:
    """Return about how many seconds an epoch takes, from some steps on a copy of the network.

    Seconds of processor time, or of wall time on a GPU. A validation is counted as steps without their
    backward pass, a third of the work.
    """
    clock = task.clock
    trial = State(copy.deepcopy(state.network), state.fit)
    trial.set_lr(0.0)
    task.start_epoch(trial.network)
    torch.manual_seed(0)
    began, ends = clock(), []
    for batch in islice(task.batches(0), WARM_UP_STEPS + PILOT_STEPS):
        trial.step(task.loss(trial.network, batch).total)
        if task.device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(clock())
        if len(ends) > WARM_UP_STEPS and ends[-1] - began > PILOT_S:
            break
    counted = ends[WARM_UP_STEPS - 1 :] if len(ends) > WARM_UP_STEPS else [began, *ends]
    step_s = (counted[-1] - counted[0]) / (len(counted) - 1)
    return step_s * (task.steps + task.validation_steps / 3)


def _epochs_done(folder: Path) -> int:
    if not (folder / run_folder.CHECKPOINT).exists():
        return 0
    progress = run_folder.load_state(folder / run_folder.CHECKPOINT)["progress"]
    return int(progress["epoch"]) if isinstance(progress, dict) else 0


def _spent(folder: Path) -> float:
    return float(str(read_json(folder / SPENT)["seconds"])) if (folder / SPENT).exists() else 0.0


@contextmanager
def _noting_cost(folder: Path, clock: Callable[[], float]) -> Iterator[None]:
    """Add the seconds of what is done inside to the folder's note, every few seconds."""
    before, started = _spent(folder), clock()
    is_over = threading.Event()

    def note() -> None:
        write_text(folder / SPENT, json.dumps({"seconds": before + clock() - started}) + "\n")

    def keep_noting() -> None:
        while not is_over.wait(NOTE_EVERY_S):
            note()

    thread = threading.Thread(target=keep_noting, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        note()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
