"""Which image of the prediction belongs to which of the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from atrous.score.sides import Entry
from atrous.types import BadInput, Fault, Report


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


def pairs(truth: Sequence[Entry], prediction: Sequence[Entry], report: Report) -> tuple[Pair, ...]:
    """The images that both sides have, in the order of the truth.

    Image ids decide, if both sides have them and no name of a file says that they stand for other
    images; else the names of files, without folder and suffix.

    report  hears of images that only one side has

    Raises: BadInput if a name belongs to two images, or if the sides have no image in common.
    """
    found = _by_id(truth, prediction)
    if not any(place is not None for place in found) or _is_denied(found, truth, prediction):
        found = _by_name(truth, prediction)
    ranks = {i: rank for rank, i in enumerate(sorted(range(len(truth)), key=_order(truth)))}
    paired = tuple(
        Pair(i, place, _name(truth[i]), ranks[i])
        for i, place in enumerate(found)
        if place is not None
    )
    if truth and prediction and not paired:
        what = f"{_name(truth[0])!r} and {_name(prediction[0])!r} are the first of each side"
        raise BadInput(f"no image of the prediction is one of the truth: {what}: name them alike")
    for entry, place in zip(truth, found, strict=True):
        if place is None:
            what = f"image {_called(entry)} has no prediction: add it, empty if nothing was found"
            report(Fault("images without a prediction", what))
    for place in sorted(set(range(len(prediction))) - {pair.prediction for pair in paired}):
        what = f"image {_called(prediction[place])} is predicted but not among the truth"
        report(Fault("predictions of unknown images", f"{what}: take it out"))
    return paired


Places = list[int | None]
"""For each image of the truth, its place in the prediction."""


def _by_id(truth: Sequence[Entry], prediction: Sequence[Entry]) -> Places:
    places = _unique([(entry.id,) if entry.id is not None else () for entry in prediction])
    return [None if entry.id is None else places.get(entry.id) for entry in truth]


def _by_name(truth: Sequence[Entry], prediction: Sequence[Entry]) -> Places:
    places = _unique([entry.stems for entry in prediction])
    found = ((places[stem] for stem in entry.stems if stem in places) for entry in truth)
    return [next(hits, None) for hits in found]


def _is_denied(found: Places, truth: Sequence[Entry], prediction: Sequence[Entry]) -> bool:
    """Whether ids pair an image with one that bears the name of another."""
    owners = {stem: i for i, entry in enumerate(truth) for stem in entry.file_stems}
    for i, place in enumerate(found):
        stems = prediction[place].file_stems if place is not None else ()
        if stems and not set(stems) & set(truth[i].file_stems) and set(stems) & owners.keys():
            return True
    return False


def _unique(names: Sequence[Sequence[int | str]]) -> dict[int | str, int]:
    """Name -> place.

    Raises: BadInput if a name belongs to two.
    """
    places: dict[int | str, int] = {}
    for place, some in enumerate(names):
        for name in dict.fromkeys(some):
            if name in places:
                raise BadInput(f"two predictions are of image {name!r}: leave one for each image")
            places[name] = place
    return places


def _order(entries: Sequence[Entry]) -> Callable[[int], tuple[str, int | str]]:
    """Sorts places by image id; those that are numbers come first."""
    ids = [entry.id if entry.id is not None else _name(entry) for entry in entries]
    return lambda place: (type(ids[place]).__name__, ids[place])


def _name(entry: Entry) -> str:
    return entry.names[0] if entry.names else str(entry.id)


def _called(entry: Entry) -> str:
    return _name(entry) if entry.id is None else f"{entry.id!r} ({_name(entry)})"
