"""Trains a tree network by a recipe (see recipe) on labelled pictures, on a CPU or a GPU.

    python3 -m espalier_models.train --recipe recipe.json --data train.tar.gz --output run

`run` gets a checkpoint after every epoch and every ten minutes; the same command goes on from there. When it ends, the
network stands in run/model as a model directory that the engine serves, calibrated, with golden vectors beside it (see
export). A line of progress tells the rate and the time that remains.

    --start DIR       begin with the weights of a model directory (see TreeNetwork.take_over, normalised_start)
    --teacher FILES   learn what a trained network says, beside what is true (see distillation)
    --only BRANCH     train the categories of one branch of the taxonomy only
    --finish          no more training: export what the checkpoint has
    --minutes M       the schedule follows the clock, not the epochs: it ends M minutes of training from the start
    --set NAME=JSON   another value for one of the recipe's training settings
    --cache FILE      keep the decoded pictures there for the next time
    --device cuda     where PyTorch finds a GPU it is taken without saying so
    --precision bf16  convolutions in BF16: about twice as fast on processors with AMX or AVX512_BF16, and on GPUs
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import update_bn

from . import export, model_directory, normalised_start, pictures, recipe
from .atomic_file import replacing
from .branch_choice import BranchChoice
from .description import Node, input_shape, nodes, parse_tree
from .distillation import Teacher
from .pictures import Pictures
from .plain_errors import plain_errors
from .tree_network import Scores, TreeNetwork

SECONDS_BETWEEN_CHECKPOINTS = 600
AVERAGED_PART = 0.05  # of the schedule's steps, at most, are in the running mean
MEASURED_AT_ONCE = 250
MEASURED_ON_THE_WAY = 1000  # of the pictures held out, after each epoch; and of those to train on, to normalise by
LOOKED_AT = 10  # pictures of each category, where the training begins with some branches for each picture


class Normaliser:
    """Pixels from 0 to 1 as the network reads them."""

    def __init__(self, description: dict[str, Any], device: torch.device) -> None:
        mean, deviation = (description["input"][name] for name in ("mean", "std"))
        self.mean = torch.tensor(mean, device=device)[:, None, None]
        self.deviation = torch.tensor(deviation, device=device)[:, None, None]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return ((x - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)


class Loss:
    """Cross-entropy at the leaves, and, weighted, at the inner heads of each depth among the heads of that depth."""

    def __init__(self, network: TreeNetwork, settings: dict[str, Any]) -> None:
        self.smoothing, self.bouquet_of = settings["label_smoothing"], network.bouquet_of
        self.levels: list[tuple[float, list[int], torch.Tensor]] = []
        for depth, weight in enumerate(settings["inner_loss"]):
            heads = [node.path for node in nodes(network.trunk) if node.path in network.inner_heads]
            heads = [path for path in heads if path.count("/") == depth]
            if heads and weight:
                own = [next((n for n, path in enumerate(heads) if leaf.startswith(path + "/")), -1) for leaf in network.categories]
                self.levels.append((weight, [network.inner_heads.index(path) for path in heads], torch.tensor(own)))

    def __call__(self, scores: Scores, truth: torch.Tensor, correction: torch.Tensor | None) -> torch.Tensor:
        """correction: what is added to the scores of each bouquet (see branch_choice)."""
        added = correction[:, self.bouquet_of].to(truth.device) if correction is not None else None
        loss = self._cross_entropy(scores.categories, truth, added)
        for weight, heads, own in self.levels:
            target = own.to(truth.device)[truth]
            known = target >= 0
            if known.any():
                loss = loss + weight * self._cross_entropy(scores.inner[known][:, heads], target[known], None)
        return loss

    def _cross_entropy(self, scores: torch.Tensor, truth: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        """Scores of -inf are of branches that did not run: they take no part."""
        total = torch.logsumexp(scores if added is None else scores + added, 1)
        ran = torch.isfinite(scores)
        mean = scores.masked_fill(~ran, 0).sum(1) / ran.sum(1)
        right = scores.gather(1, truth[:, None])[:, 0]
        return (total - (1 - self.smoothing) * right - self.smoothing * mean).mean()


class Trainer:
    """The state of a training: everything that a checkpoint holds."""

    def __init__(self, plan: recipe.Recipe, settings: dict[str, Any], train: Pictures, arguments: argparse.Namespace) -> None:
        self.settings, self.arguments, self.train = settings, arguments, train
        self.device = torch.device(arguments.device)
        self.shape = input_shape(plan.description)
        trunk: Node = parse_tree(plan.description)
        torch.manual_seed(settings["seed"])
        self.network = TreeNetwork(trunk, self.shape, settings["norm"]).to(self.device, memory_format=torch.channels_last)
        self.kept = TreeNetwork(trunk, self.shape, settings["norm"]).to(self.device, memory_format=torch.channels_last)
        self.normalise, self.loss = Normaliser(plan.description, self.device), Loss(self.network, settings)
        self.optimiser = self._optimiser()
        self.choice = self._choice()
        self.teacher = self._teacher()
        self.step, self.seconds = 0, 0.0
        self.begun: dict[str, torch.Tensor] | None = None  # the weights at the beginning, where they are to be mixed in
        self.steps_per_epoch = max(1, len(train) // settings["batch"])
        self.generator = torch.Generator().manual_seed(settings["seed"])
        self.checkpoint = arguments.output / "checkpoint.pt"

    def begin(self) -> None:
        """Goes on from a checkpoint, or takes over a trained network's weights where one is given."""
        if self.checkpoint.exists():
            self._load()
            print(f"goes on from {self.checkpoint}: step {self.step}, {self.seconds / 60:.0f} minutes", flush=True)
            return
        if self.arguments.start:
            new = self._take_over(model_directory.read(self.arguments.start).tensors)
            print(f"starts from {self.arguments.start}, {len(new)} tensors are new", flush=True)
        self.kept.load_state_dict(self.network.state_dict())
        self.begun = self._copy() if self.settings["start_share"] else None
        if self.choice:
            self._look_around()
            self.save()

    def progress(self) -> float:
        """From 0 to 1."""
        if self.arguments.minutes:
            return min(1.0, self.seconds / 60 / self.arguments.minutes)
        return self.step / (self.settings["epochs"] * self.steps_per_epoch)

    def epochs(self) -> float:
        return self.step / self.steps_per_epoch

    def run_epoch(self, line: Progress) -> None:
        """Trains until the end of the epoch, or of the schedule."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(self.step // self.steps_per_epoch))
        saved = time.monotonic()
        self.network.train()
        for place in range(self.step % self.steps_per_epoch, self.steps_per_epoch):
            began = time.monotonic()
            rows = order[place * self.settings["batch"] : (place + 1) * self.settings["batch"]]
            loss = self._train_on(rows)
            self.step += 1
            self.seconds += time.monotonic() - began
            line.show(self, loss, len(rows), time.monotonic() - began)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self.save()
                saved = time.monotonic()
            if self.progress() >= 1:
                break

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "kept": self.kept.state_dict(),
            "begun": self.begun,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "choice": self.choice.mass.half() if self.choice else None,
            "step": self.step,
            "seconds": self.seconds,
        }
        with replacing(self.checkpoint) as unfinished:
            torch.save(state, unfinished)

    @torch.no_grad()
    def mix_in_start(self) -> None:
        """Puts what is kept on the line between where the training ended and where it began (Wortsman et al., arXiv 2109.01903)."""
        if self.begun is not None:
            for name, part in self.kept.named_parameters():
                part.lerp_(self.begun[name], self.settings["start_share"])

    @torch.no_grad()
    def normalise_kept(self, most: int) -> None:
        """A running mean of weights has the normalisation of none of them: it is measured, on at most so many pictures to train
        on, as they are, in the size that is served (the last steps' would be of varied ones, and early on of smaller ones)."""
        with self._precision():
            update_bn(self._some_inputs(most), self.kept)

    def _some_inputs(self, most: int) -> Iterator[torch.Tensor]:
        """Some of the pictures to train on, as the network reads them, batch by batch."""
        for some in torch.from_numpy(_sample(self.train, most).pixels).split(MEASURED_AT_ONCE):
            yield self.normalise(pictures.plain(some.to(self.device), self.shape[1:]))

    def _take_over(self, tensors: dict[str, np.ndarray]) -> list[str]:
        if self.settings["norm"] == "none":
            return self.network.take_over(tensors)
        return normalised_start.begin(self.network, tensors, list(self._some_inputs(MEASURED_ON_THE_WAY)))

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: part.detach().clone() for name, part in self.network.named_parameters()}

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location="cpu")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(f"{self.checkpoint}: is of another network; remove it, or name another --output") from error
        self.kept.load_state_dict(state["kept"])
        self.begun = state["begun"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]
        if self.choice:
            self.choice.mass = state["choice"].float()

    def _train_on(self, rows: torch.Tensor) -> float:
        pixels = torch.from_numpy(self.train.pixels[rows.numpy()]).to(self.device)
        truth = torch.from_numpy(self.train.truth[rows.numpy()])
        inputs = self.normalise(pictures.vary(pixels, self._size(), self.settings["augment"], self.generator))
        other, own = None, 1.0
        if torch.rand((), generator=self.generator) < self._now("cut_mix"):
            inputs, other, own = pictures.cut_mix(inputs, self.generator)
        wanted, correction = None, None
        if self.choice:
            wanted, correction = self.choice.choose(rows, self.network.bouquet_of[truth], self._now("branches"), self.generator)
            wanted = wanted.to(self.device)
        with self._precision():
            scores = self.network(inputs, wanted)
        loss = self._loss(rows, truth, scores, correction)
        if other is not None:
            loss = own * loss + (1 - own) * self._loss(rows[other], truth[other], scores, correction)
        self._set_rate()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings["clip"])
        self.optimiser.step()
        self.network.project()
        if self.choice:
            self.choice.learn(rows, scores.categories, self.network.bouquet_of)
        self._average()
        return loss.item()

    def _loss(self, rows: torch.Tensor, truth: torch.Tensor, scores: Scores, correction: torch.Tensor | None) -> torch.Tensor:
        """Of these scores, if they are for these pictures."""
        loss = self.loss(scores, truth.to(self.device), correction)
        return loss + self.teacher.loss(rows, scores) if self.teacher else loss

    def _look_around(self) -> None:
        """What the pictures are taken for to begin with: by the teacher (those that it did not see: as others of their
        category), or, for each category, the mean of some of its pictures."""
        if self.teacher:
            known, truth = self.teacher.known, torch.from_numpy(self.train.truth)
            self.choice.learn(known.nonzero()[:, 0], self.teacher.scores[known], self.network.bouquet_of)
            for category in truth[~known].unique():
                if (known & (truth == category)).any():
                    self.choice.mass[~known & (truth == category)] = self.choice.mass[known & (truth == category)].mean(0)
            return
        chance = torch.full((len(self.network.categories), self.choice.mass.shape[1]), 1e-4)
        for category in range(len(chance)):
            rows = np.flatnonzero(self.train.truth == category)[:LOOKED_AT]
            if len(rows):
                scores = self.scores(self.network, self.train.pixels[rows]).categories
                self.choice.learn(torch.from_numpy(rows), scores, self.network.bouquet_of)
                chance[category] += self.choice.mass[rows].softmax(1).mean(0)
        self.choice.mass = chance.log()[torch.from_numpy(self.train.truth)]

    @torch.no_grad()
    def scores(self, network: TreeNetwork, pixels: np.ndarray, size: tuple[int, int] | None = None) -> Scores:
        """What a network says to pictures as they are."""
        network.eval()
        with self._precision():
            scores = network(self.normalise(pictures.plain(torch.from_numpy(pixels).to(self.device), size or self.shape[1:])))
        return Scores(scores.categories.float(), scores.inner.float())

    def _precision(self) -> Any:
        if self.arguments.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def _now(self, name: str) -> Any:
        """A setting that may change as the training goes on."""
        return next(value for until, value in self.settings[name] if self.progress() <= until)

    def _size(self) -> tuple[int, int]:
        part = self._now("sizes")
        return round(self.shape[1] * part), round(self.shape[2] * part)

    def _set_rate(self) -> None:
        progress, warm_up = self.progress(), self.settings["warm_up"]
        if progress < warm_up:
            part = (progress + 1e-3) / (warm_up + 1e-3)
        else:
            part = (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up))) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings["learning_rate"] * part

    @torch.no_grad()
    def _average(self) -> None:
        """`kept` follows the network. It looks back no further than a part of the schedule: a mean over most of a short
        training would be of networks that knew little."""
        schedule = self.step / self.progress() if self.progress() > 0 else 0
        stays = min(self.settings["average"], 1 - 1 / max(1.0, AVERAGED_PART * schedule))
        own, others = list(self.kept.parameters()), list(self.network.parameters())
        torch._foreach_mul_(own, stays)
        torch._foreach_add_(own, others, alpha=1 - stays)

    def _optimiser(self) -> torch.optim.Optimizer:
        weights = [part for part in self.network.parameters() if part.dim() == 4]
        others = [part for part in self.network.parameters() if part.dim() != 4]
        groups = [{"params": weights, "weight_decay": self.settings["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
        if self.settings["optimiser"] == "adamw":
            return torch.optim.AdamW(groups, lr=self.settings["learning_rate"])
        return torch.optim.SGD(groups, lr=self.settings["learning_rate"], momentum=0.9, nesterov=True)

    def _teacher(self) -> Teacher | None:
        if self.arguments.teacher is None:
            return None
        return Teacher(self.arguments.teacher, self.train.names, self.network, self.settings["distillation"], self.device)

    def _choice(self) -> BranchChoice | None:
        if self.settings["branches"] is None or len(self.network.bouquets) < 2:
            return None
        return BranchChoice(len(self.train), len(self.network.bouquets))


class Progress:
    """The line that tells how far the training is: in place on a terminal, now and then in a file."""

    def __init__(self) -> None:
        self.loss, self.rate, self.shown = math.nan, math.nan, 0.0

    def show(self, trainer: Trainer, loss: float, count: int, seconds: float) -> None:
        self.loss = loss if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * loss
        self.rate = count / seconds if math.isnan(self.rate) else 0.95 * self.rate + 0.05 * count / seconds
        terminal = sys.stdout.isatty()
        if time.monotonic() - self.shown < (0.5 if terminal else 60):
            return
        self.shown = time.monotonic()
        done = trainer.progress()
        left = trainer.seconds * (1 - done) / done if done > 0.001 else math.nan
        print(
            f"{100 * done:5.1f} %  epoch {trainer.epochs():.2f}  loss {self.loss:.3f}  {self.rate:.0f} pictures/s  "
            f"{_duration(left)} remain",
            end="\r" if terminal else "\n",
            flush=True,
        )


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "-- minutes"
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def _sample(data: Pictures, most: int) -> Pictures:
    """At most so many of the pictures, spread evenly."""
    return data.some(np.arange(0, len(data), -(-len(data) // most)))


def measure(trainer: Trainer, held_out: Pictures) -> tuple[np.ndarray, float]:
    """The scores that what is kept gives the pictures held out, and their top-1 in percent."""
    trainer.normalise_kept(max(MEASURED_ON_THE_WAY, len(held_out)))
    scores = [
        trainer.scores(trainer.kept, held_out.pixels[begin : begin + MEASURED_AT_ONCE]).categories.cpu().numpy()
        for begin in range(0, len(held_out), MEASURED_AT_ONCE)
    ]
    rows = np.concatenate(scores)
    return rows, 100 * float((rows.argmax(1) == held_out.truth).mean())


def main() -> None:
    arguments = parse()
    with plain_errors():
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """The whole training."""
    torch.set_num_threads(arguments.threads)
    plan = recipe.read(arguments.recipe, arguments.only)
    settings = recipe.with_defaults({**plan.training, **dict(arguments.set)})
    if settings["start_share"] and settings["norm"] != "none":
        raise ValueError("the setting start_share needs norm=none: halfway between two networks there are no means and variances to normalise by")
    if settings["branches"] and any(share for _, share in settings["cut_mix"]):
        raise ValueError("the setting cut_mix needs all branches for each picture, as it shows two categories: leave out branches")
    train, held_out = read_pictures(plan, settings, arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    trainer, line = Trainer(plan, settings, train, arguments), Progress()
    trainer.begin()
    some = _sample(held_out, MEASURED_ON_THE_WAY)
    while trainer.progress() < 1 and not arguments.finish:
        trainer.run_epoch(line)
        trainer.save()
        print(f"epoch {trainer.epochs():.2f}: top-1 of {len(some)} pictures held out {measure(trainer, some)[1]:.2f} %", flush=True)
    trainer.mix_in_start()
    scores, _ = measure(trainer, held_out)
    export.finish(arguments.output / "model", plan, trainer.kept, scores, held_out)


def read_pictures(plan: recipe.Recipe, settings: dict[str, Any], arguments: argparse.Namespace) -> tuple[Pictures, Pictures]:
    """The pictures to train on, and those held out."""
    _, height, width = input_shape(plan.description)
    everything = pictures.load(arguments.data, plan.labels, height, width, arguments.cache)
    rows, held_rows = pictures.hold_out(everything.truth, settings["held_out"], settings["seed"])
    if not len(held_rows):
        raise ValueError("no category has two pictures: one of each is held out, to measure and to calibrate with")
    print(f"{len(rows)} pictures to train on, {len(held_rows)} held out", flush=True)
    names = [path for path, _ in recipe.leaves(plan.description["trunk"])]
    if lacking := sorted(set(range(len(names))) - set(everything.truth.tolist())):
        print(f"without a picture, so that they learn nothing: {', '.join(names[place] for place in lacking)}", flush=True)
    return everything.some(rows), everything.some(held_rows)


def parse() -> argparse.Namespace:
    def setting(text: str) -> tuple[str, Any]:
        name, _, value = text.partition("=")
        return name, json.loads(value)

    parser = argparse.ArgumentParser(description="Train a tree network.")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe.json (see espalier_models/recipe.py)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or archives of LABEL/PICTURE")
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint and the network")
    parser.add_argument("--start", type=Path, help="model directory to start from")
    parser.add_argument("--teacher", type=Path, nargs="+", metavar="FILE.npy", help="what a trained network says (espalier evaluate --scores)")
    parser.add_argument("--only", metavar="BRANCH", help="only the categories of this branch")
    parser.add_argument("--minutes", type=float, help="train for so long, instead of the recipe's epochs")
    parser.add_argument("--finish", action="store_true", help="export what the checkpoint has")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=JSON", help="another value for a setting")
    parser.add_argument("--cache", type=Path, help="file for the decoded pictures")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processor cores to use (default: all)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
