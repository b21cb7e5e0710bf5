"""Scores in the midst of training: over all processes, the best model kept, parses to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from atrous.data.source import Source
from atrous.draw import overlay
from atrous.metrics.scorer import SegmentScorer
from atrous.recipes import Recipe
from atrous.run.checkpoint import Header, write_model
from atrous.run.evaluate import scored
from atrous.run.learner import Learner
from atrous.run.logs import Log
from atrous.run.predict import Eye
from atrous.types import BadInput, Image, Parse

SCORES = {
    "pq": ("panoptic", "all", "pq"),
    "pq_things": ("panoptic", "things", "pq"),
    "pq_stuff": ("panoptic", "stuff", "pq"),
    "pc": ("covering", "paper"),
    "miou": ("semantic", "miou"),
    "pixel_accuracy": ("semantic", "pixel_accuracy"),
    "mean_accuracy": ("semantic", "mean_accuracy"),
    "map_50": ("instance", "map_50"),
    "map_70": ("instance", "map_70"),
    "map_vol": ("instance", "map_vol"),
}
"""What `train.best` can name, and where it stands among the scores."""

KEPT = ("scored", "best")
PARTS = ("panoptic", "covering", "semantic", "instance")
PICTURES, PICTURE_PX = 4, 640


class Judge:
    """Scores a stage's model on validation data every so many steps.

    header    metadata of the best model's file
    counters  of a state: the last step that was scored, the best score so far, its name and step

    The images are shared out over the processes, each parsed once; merged scores are those of one
    process to the last digit.
    """

    def __init__(
        self, recipe: Recipe, val: Source, run: Path, header: Header, counters: dict[str, Any]
    ) -> None:
        self._recipe, self._val, self._run, self._header = recipe, val, run, header
        self.counters: dict[str, Any] = {k: v for k, v in counters.items() if k in KEPT}

    def is_due(self, step: int) -> bool:
        """Whether the model after so many steps is still to be scored."""
        is_time = step > 0 and step % self._recipe.train.eval_every == 0
        return is_time and step > self.counters.get("scored", 0)

    def score(self, learner: Learner, log: Log, is_ended: Callable[[], bool]) -> None:
        """Scores the model, logs that, and keeps it if it is the best so far.

        is_ended  whether the run is to end at once: the scores wait for the resume then
        """
        world, parse = learner.world, _parser(learner, self._recipe)
        world.give(learner.model)  # norms of its own images each process has learnt for itself
        mine = range(world.rank, len(self._val), world.size)
        until = takewhile(lambda _: not is_ended(), mine)
        part = scored(parse, self._val, until, labels=self._val.labels)
        if world.any(is_ended()):
            return
        parts = world.gathered(part)
        self.counters["scored"] = learner.step
        if not world.is_first:
            return
        answer = _merged(parts).compute().to_json()
        log.scores(learner.step - 1, {part: answer[part] for part in PARTS if part in answer})
        self._keep_best(learner, answer)
        if log.has_pictures:
            for name, picture in self._pictures(parse):
                log.picture(learner.step - 1, name, picture)

    def _keep_best(self, learner: Learner, answer: dict[str, Any]) -> None:
        """Keeps the model if it is the best by its score; other stages may have had another one."""
        name, best = best_of(self._recipe), self.counters.get("best", {})
        score = _found(answer, name)
        if score is None or (best.get("name") == name and score <= best["score"]):
            return
        weights = learner.model.state_dict()
        write_model(self._run / "best.safetensors", weights, self._header)
        self.counters["best"] = {"name": name, "score": score, "step": learner.step}

    def _pictures(self, parse: Callable[[Image], Parse]) -> Iterator[tuple[str, Image]]:
        """A few images, the same each time, with what the model makes of them."""
        for index in np.unique(np.linspace(0, len(self._val) - 1, PICTURES).astype(int)):
            sample = self._val[int(index)]
            painted = overlay(sample.image, parse(sample.image), self._val.labels)
            picture = Pillow.fromarray(painted)
            picture.thumbnail((PICTURE_PX, PICTURE_PX))
            yield sample.name, np.asarray(picture)


def best_of(recipe: Recipe) -> str:
    """The score that chooses the best model: the one named, or what the system is made for.

    Raises: BadInput for the name of no score.
    """
    name = recipe.train.best
    if name and name not in SCORES:
        raise BadInput(f"train.best is {name!r}: it can be {', '.join(SCORES)}")
    if name:
        return name
    if getattr(recipe.losses, "stage", "") == "localisation":
        return "map_vol"
    return "pq" if recipe.fusion is not None and not hasattr(recipe.losses, "stage") else "miou"


def _found(answer: dict[str, Any], name: str) -> float | None:
    """The score of that name; None where nothing can be said."""
    found: Any = answer
    for key in SCORES[name]:
        found = None if found is None else found.get(key)
    return None if found is None else float(found)


def _merged(parts: list[SegmentScorer]) -> SegmentScorer:
    whole, *others = parts
    for other in others:
        whole.merge(other)
    return whole


def _parser(learner: Learner, recipe: Recipe) -> Callable[[Image], Parse]:
    """The model as it is, in evaluation."""
    model: Any = learner.model.eval()
    eye = Eye(model, recipe.input, learner.world.device)

    def parse(image: Image) -> Parse:
        with torch.inference_mode():
            answer: Parse = model.parse(eye.see([image])[0])
        return answer

    return parse
