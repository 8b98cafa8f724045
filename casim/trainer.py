"""The training loop: everything random is a function of (seed, step), so that a resumed run is the same run."""

import csv
import io
import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from casim import checkpoint, plugins, record
from casim.checkpoint import STATE
from casim.data._order import batch_items
from casim.motion_codec import MotionCodec
from casim.recipes import Recipe
from casim.setups import CodecSetup, Setup
from casim.text_to_motion import TextToMotion
from casim.types import MotionBatch, MotionDataset

LOG = "log.csv"
LOG_EVERY = 20
NOISE, CLIPS, DROPPED, LAYERS = range(4)
"""Streams of random numbers, each with its own seed at every step."""


def stream_seed(*key: int) -> int:
    """A seed for one use at one step, well mixed and equal on every machine."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


@dataclass
class _Log:
    """The training curve, kept in memory and written with every checkpoint."""

    rows: list[tuple[int, float, float, float]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("step", "loss", "learning_rate", "seconds"))
        writer.writerows(
            (step, f"{loss:.6g}", f"{rate:.6g}", f"{seconds:.2f}") for step, loss, rate, seconds in self.rows
        )
        record.write_atomic(path, text.getvalue().encode())

    @staticmethod
    def read(path: Path, last_step: int) -> "_Log":
        rows = list(csv.reader(path.read_text().splitlines()))[1:] if path.exists() else []
        return _Log([(int(s), float(a), float(b), float(c)) for s, a, b, c in rows if int(s) <= last_step])


class Trainer:
    """One training run. Everything random is a function of (seed, step), so that a resumed run is the same run."""

    def __init__(self, recipe: Recipe, folder: Path, *, is_cpu: bool = False):
        from accelerate import Accelerator
        from accelerate.utils import set_seed

        self.recipe, self.folder, self.settings = recipe, folder, recipe.training
        self.accelerator = Accelerator(cpu=is_cpu, mixed_precision=recipe.training.precision)
        processes = self.accelerator.num_processes
        if self.settings.batch_size % processes:
            raise ValueError(f"a batch of {self.settings.batch_size} does not divide among {processes} processes")
        dataset = plugins.build(recipe.setup.data)
        self.clips = dataset.split("train")
        set_seed(self.settings.seed)
        self.model = _fresh(recipe.setup, dataset).to(self.accelerator.device).train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=self.settings.learning_rate,
            betas=(self.settings.beta1, self.settings.beta2),
            weight_decay=self.settings.weight_decay,
        )
        # prepared after the optimiser was built on the same parameters: accelerate only wraps
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)
        self.average = [p.detach().clone() for p in self.parameters] if self.settings.ema else []
        self.step, self.seconds, self.log = 0, 0.0, _Log()
        self.is_stopping = False
        # a batch that cannot be filled, or a caption too long, fails here, before anything is written
        self.model.check(self._batch()[0])

    def run(self) -> int:
        """Trains to the last step or until a signal; gives the exit code."""
        config = self.recipe.to_json()
        entry = record.begin(
            "train",
            self.folder.name,
            config,
            seed=self.settings.seed,
            device=str(self.accelerator.device),
            threads=torch.get_num_threads(),
        )
        if not self.accelerator.is_main_process:
            with _signals(self):
                self._loop(None)
            return 130 if self.is_stopping else 0
        with record.opened(entry, self.folder), _signals(self), _progress(self) as tick:
            if self.step == 0:
                self.save()
            self._loop(tick)
            entry.status = "interrupted" if self.is_stopping else "done"
            entry.results = self._results()
            record.attach(entry, self.folder, self.folder / checkpoint.WEIGHTS, self.folder / LOG)
        return self._goodbye()

    def _loop(self, tick: Any) -> None:
        while self.step < self.settings.steps and not self._should_stop():
            started = time.perf_counter()
            loss, rate = self.train_step()
            self.seconds += time.perf_counter() - started
            is_last = self.step == self.settings.steps
            if self.step % LOG_EVERY == 0 or is_last:
                value = self._mean_loss(loss)
                self.log.rows.append((self.step, value, rate, self.seconds))
                if not math.isfinite(value):
                    raise RuntimeError(f"the loss is {value} at step {self.step}; lower the learning rate")
                if tick:
                    tick(value)
            if self.step % self.settings.checkpoint_every == 0 or is_last:
                self.save()
        if self.is_stopping:
            self.save()

    def train_step(self) -> tuple[Tensor, float]:
        """One optimiser step; gives this process's loss and the learning rate."""
        settings = self.settings
        torch.manual_seed(stream_seed(settings.seed, self.step, LAYERS, self.accelerator.process_index))
        batch, dropped = self._batch()
        generator = torch.Generator().manual_seed(stream_seed(settings.seed, self.step, NOISE))
        inputs = self.model.inputs(batch, dropped, generator)
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.accelerator.autocast():
            losses = self.wrapped(*inputs, generator)
        self.accelerator.backward(losses.total)
        if settings.clip_norm:
            self.accelerator.clip_grad_norm_(self.parameters, settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self._update_average()
        return losses.total.detach(), rate

    def _batch(self) -> tuple[MotionBatch, Tensor]:
        """This process's rows of the global batch of the step, and which of them lose their text."""
        settings, device = self.settings, self.accelerator.device
        items = batch_items(self.clips.lengths, settings.batch_size, settings.seed, self.step)
        whole = self.clips.batch(items.tolist(), seed=stream_seed(settings.seed, self.step, CLIPS))
        generator = torch.Generator().manual_seed(stream_seed(settings.seed, self.step, DROPPED))
        dropped = torch.rand(len(whole), generator=generator) < settings.text_dropout
        share = settings.batch_size // self.accelerator.num_processes
        first = share * self.accelerator.process_index
        return whole.rows(first, first + share).to(device), dropped[first : first + share].to(device)

    def _learning_rate(self) -> float:
        settings = self.settings
        scale = min(1.0, (self.step + 1) / settings.warmup) if settings.warmup else 1.0
        if settings.drop_at and self.step >= settings.drop_at:
            scale *= settings.drop_to
        if settings.decay:
            scale *= 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        return settings.learning_rate * scale

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average:
            # starts fast, so that early weights do not linger: diffusers' EMAModel uses the same rule
            decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def _mean_loss(self, loss: Tensor) -> float:
        return float(torch.as_tensor(self.accelerator.reduce(loss, reduction="mean")))

    def _should_stop(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.is_stopping
        flag = torch.tensor(float(self.is_stopping), device=self.accelerator.device)
        self.is_stopping = bool(torch.as_tensor(self.accelerator.reduce(flag, reduction="sum")) > 0)
        return self.is_stopping

    def save(self) -> None:
        """Writes the state that resumes the run, then the model (its average, if there is one) and the log."""
        if not self.accelerator.is_main_process:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.write(self.folder / LOG)
        own = [p.detach().clone() for p in self.parameters]
        if self.average:
            self._put(self.average)
        config = self.recipe.to_json()
        self.model.save(self.folder, {"recipe": config["recipe"], "training": config["training"]})
        self._put(own)
        checkpoint.save_tensors(self.folder / STATE, self._state())

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    def _state(self) -> dict[str, Tensor]:
        state = {"step": torch.tensor(self.step), "seconds": torch.tensor(self.seconds, dtype=torch.float64)}
        state |= {f"parameter.{i}": p for i, p in enumerate(self.parameters)}
        state |= {f"average.{i}": p for i, p in enumerate(self.average)}
        state |= {f"buffer.{name}": b for name, b in self._buffers().items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{i}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        return state

    def load_state(self) -> None:
        """Continues from the folder's last checkpoint.

        Raises:
            ValueError: the file is truncated, lacks something, or belongs to another model.
        """
        path = self.folder / STATE
        state = checkpoint.load_tensors(path)
        shapes, found = self._shapes(state), {name: tuple(value.shape) for name, value in state.items()}
        if wrong := sorted(name for name in shapes | found if shapes.get(name) != found.get(name)):
            raise ValueError(
                f"{path} is not a checkpoint of this recipe: {wrong[0]} is {found.get(wrong[0], 'missing')} "
                f"instead of {shapes.get(wrong[0], 'absent')} ({len(wrong)} such); use another --out"
            )
        self._put([state[f"parameter.{i}"] for i in range(len(self.parameters))])
        self.average = [state[f"average.{i}"].to(p) for i, p in enumerate(self.average)]
        for name, buffer in self._buffers().items():
            buffer.copy_(state[f"buffer.{name}"])
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                moments.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict(
            {"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.log = _Log.read(self.folder / LOG, self.step)

    def _shapes(self, state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """What a checkpoint of this run holds: every parameter takes part, so each has moments after a step."""
        shapes: dict[str, tuple[int, ...]] = {"step": (), "seconds": ()}
        has_moments = "step" not in state or bool(state["step"])
        for i, parameter in enumerate(self.parameters):
            shape = tuple(parameter.shape)
            shapes |= {f"parameter.{i}": shape} | ({f"average.{i}": shape} if self.average else {})
            if has_moments:
                shapes |= {f"optimizer.{i}.{name}": shape for name in ("exp_avg", "exp_avg_sq")}
                shapes[f"optimizer.{i}.step"] = ()
        return shapes | {f"buffer.{name}": tuple(b.shape) for name, b in self._buffers().items()}

    def _buffers(self) -> dict[str, Tensor]:
        """What training changes beside parameters (the averages of a codebook)."""
        known = {name for name, _ in self.model.named_parameters()} | {"mean", "std"}
        learnt = self.model.codec if isinstance(self.model, MotionCodec) else None
        state = {} if learnt is None else self.model.state_dict(keep_vars=True)
        return {name: tensor for name, tensor in state.items() if name not in known}

    def _results(self) -> dict[str, record.Measure]:
        tail = [loss for _, loss, _, _ in self.log.rows[-10:]]
        batch = f"global batch {self.settings.batch_size} on {self.accelerator.num_processes} process(es)"
        return {
            "loss": record.Measure(
                value=sum(tail) / max(1, len(tail)),
                n=len(tail),
                unit="training loss",
                higher_is_better=False,
                protocol=f"training loss, mean of the last logged steps; {batch}",
            ),
            "steps_per_second": record.Measure(
                value=self.step / max(self.seconds, 1e-9),
                n=self.step,
                unit="1/s",
                higher_is_better=True,
                protocol=batch,
            ),
        }

    def _goodbye(self) -> int:
        if not self.is_stopping:
            Console().print(f"done: {self.folder} (loss {self.log.rows[-1][1]:.4f})", soft_wrap=True)
            return 0
        message = f"stopped at step {self.step} and saved; continue with the same command and --resume"
        Console().print(message, soft_wrap=True)
        return 130


def _fresh(setup: Setup | CodecSetup, dataset: MotionDataset) -> TextToMotion | MotionCodec:
    """The model that a recipe trains, with fresh weights."""
    if isinstance(setup, CodecSetup):
        return MotionCodec.for_dataset(setup, dataset)
    return TextToMotion.for_dataset(setup, dataset)


@contextmanager
def _signals(trainer: Trainer) -> Iterator[None]:
    """SIGINT and SIGTERM end the run after the current step; a second SIGINT ends it at once."""

    def stop(number: int, frame: Any) -> None:
        if trainer.is_stopping and number == signal.SIGINT:
            is_saved = (trainer.folder / STATE).exists()
            again = "the last checkpoint is kept, continue with the same command and --resume"
            raise KeyboardInterrupt(again if is_saved else "nothing was saved")
        trainer.is_stopping = True

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(trainer: Trainer) -> Iterator[Any]:
    columns = (
        TextColumn(trainer.recipe.name),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[speed]} steps/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        last = f"{trainer.log.rows[-1][1]:.4f}" if trainer.log.rows else "-"
        task = progress.add_task("", total=trainer.settings.steps, completed=trainer.step, loss=last, speed="-")

        def tick(loss: float) -> None:
            speed = trainer.step / max(trainer.seconds, 1e-9)
            progress.update(task, completed=trainer.step, loss=f"{loss:.4f}", speed=f"{speed:.1f}")

        yield tick
