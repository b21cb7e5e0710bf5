"""Which image of the prediction belongs to which of the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.score.sides import Entry
from atrous.types import BadInput, Fault, Report

Names = Callable[[Entry], Sequence[int | str]]
Places = list[int | None]
"""For each image of the truth, its place in the prediction."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image on both sides.

    truth, prediction  its place on each side
    rank               its place among the images of the truth, if these are sorted by id
    """

    truth: int
    prediction: int
    name: str
    rank: int


def pairs(
    truth: Sequence[Entry],
    prediction: Sequence[Entry],
    report: Report,
    only: Collection[int] | None = None,
) -> tuple[Pair, ...]:
    """The images that both sides have, in the order of the truth.

    Image ids decide, unless the photos that both sides name say that they count differently; then
    and without ids the names of files do, without folder and suffix; last the truth's ids as text.

    report  hears of images that only one side has
    only    places in the truth of the images that are asked for; None = all

    Raises: BadInput if a name belongs to two images, or if the sides have no image in common.
    """
    found = _paired(truth, prediction)
    ranks = {i: rank for rank, i in enumerate(sorted(range(len(truth)), key=_order(truth)))}
    paired = tuple(
        Pair(i, place, truth[i].name, ranks[i])
        for i, place in enumerate(found)
        if place is not None
    )
    if truth and prediction and not paired:
        what = f"{truth[0].name!r} and {prediction[0].name!r} are the first of each side"
        raise BadInput(f"no image of the prediction is one of the truth: {what}: name them alike")
    asked = set(range(len(truth)) if only is None else only)
    for entry, place in ((truth[i], found[i]) for i in sorted(asked)):
        if place is None:
            what = f"image {_called(entry)} has no prediction: add it, empty if nothing was found"
            report(Fault("images without a prediction", what))
    for place in sorted(set(range(len(prediction))) - {pair.prediction for pair in paired}):
        what = f"image {_called(prediction[place])} is predicted but not among the truth"
        report(Fault("predictions of unknown images", f"{what}: take it out"))
    return tuple(pair for pair in paired if pair.truth in asked)


def _paired(truth: Sequence[Entry], prediction: Sequence[Entry]) -> Places:
    """The first way of pairing that finds any."""
    found: Places = [None] * len(truth)
    ways: list[tuple[Names, Names]] = [(_id, _id), (_stems, _stems), (_id_text, _stems)]
    ways.append((_stems, _id_text))
    for of_truth, of_prediction in ways:
        found = _matched(truth, prediction, of_truth, of_prediction)
        hits = any(place is not None for place in found)
        if hits and not (of_truth is _id and _is_denied(found, truth, prediction)):
            return found
    return [None] * len(truth)


def _matched(
    truth: Sequence[Entry], prediction: Sequence[Entry], of_truth: Names, of_prediction: Names
) -> Places:
    """Raises BadInput if a name belongs to two images of a side, or two images to one."""
    places: dict[int | str, int] = {}
    for place, entry in enumerate(prediction):
        for name in of_prediction(entry):
            if places.setdefault(name, place) != place:
                raise BadInput(f"two predictions are of image {name!r}: leave one for each image")
    found = [_first(of_truth(entry), places) for entry in truth]
    owners: dict[int, Entry] = {}
    for entry, hit in zip(truth, found, strict=True):
        if hit is not None and owners.setdefault(hit, entry) is not entry:
            both = f"{_called(owners[hit])} and {_called(entry)}"
            raise BadInput(f"images {both} of the truth have one prediction: name files apart")
    return found


def _first(names: Sequence[int | str], places: dict[int | str, int]) -> int | None:
    return next((places[name] for name in names if name in places), None)


def _is_denied(found: Places, truth: Sequence[Entry], prediction: Sequence[Entry]) -> bool:
    """Whether ids pair an image with one whose photo is that of another."""
    photos = [_photo(entry) for entry in truth]
    for photo, place in zip(photos, found, strict=True):
        other = _photo(prediction[place]) if place is not None else None
        if other is not None and other != photo and other in photos:
            return True
    return False


def _photo(entry: Entry) -> str | None:
    return None if entry.photo is None else Path(entry.photo).stem


def _id(entry: Entry) -> Sequence[int | str]:
    return () if entry.id is None else (entry.id,)


def _id_text(entry: Entry) -> Sequence[str]:
    return () if entry.id is None else (str(entry.id),)


def _stems(entry: Entry) -> Sequence[str]:
    return entry.stems


def _order(entries: Sequence[Entry]) -> Callable[[int], tuple[str, int | str]]:
    """Sorts places by image id; those that are numbers come first."""
    ids = [entry.id if entry.id is not None else entry.name for entry in entries]
    return lambda place: (type(ids[place]).__name__, ids[place])


def _called(entry: Entry) -> str:
    return entry.name if entry.id is None else f"{entry.id!r} ({entry.name})"
