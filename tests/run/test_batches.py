from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from atrous.data.augment import Augment
from atrous.data.shapes import Shapes
from atrous.data.transforms import InputRule
from atrous.run.batches import Stream, batches, shuffled
from atrous.systems.deeperlab import DeeperLab, DeeperLabNetwork

DATA = Shapes("train", size_hw=(65, 65), count=20)
SYSTEM = DeeperLab(DeeperLabNetwork(decoder_width=8), DATA.labels)
STREAM = Stream(DATA, SYSTEM.encode, InputRule(longest_side=65), Augment(33), 5, 2)


def test_every_epoch_shows_every_sample_once() -> None:
    order = [shuffled(7, seed=3, position=p) for p in range(21)]
    assert [sorted(order[i : i + 7]) for i in (0, 7, 14)] == [list(range(7))] * 3
    assert order[:7] != order[7:14]


def test_the_stream_does_not_depend_on_where_it_starts() -> None:
    whole = [item for (item,) in batches(STREAM, range(3))]
    ((image, targets),) = next(batches(STREAM, range(2, 3)))
    assert torch.equal(whole[2][0], image)
    assert torch.equal(whole[2][1].semantic, targets.semantic)


def test_processes_and_parts_share_out_the_batches_of_one_process() -> None:
    stream = replace(STREAM, batch=8)
    whole = [item for (item,) in batches(stream, range(1, 3))]
    for cut in (slice(0, 4), slice(4, 8)):
        slots = range(8)[cut]
        for (images, _), parts in zip(
            whole, batches(stream, range(1, 3), slots=slots, parts=2), strict=True
        ):
            assert [len(part[0]) for part in parts] == [2, 2]
            assert torch.equal(torch.cat([part[0] for part in parts]), images[cut])


def test_a_stage_begins_its_epochs_with_its_first_step() -> None:
    late = replace(STREAM, first=5)
    assert late.names(5, range(2)) == STREAM.names(0, range(2))
    assert not torch.equal(late[10][0], STREAM[0][0])  # cut and mirrored by chances of its own


def test_every_choice_is_a_function_of_seed_step_and_slot_whatever_the_workers() -> None:
    settings = Augment(33, rotation=(10, 0.5), blur=0.5, paste=0.5)
    stream = replace(STREAM, settings=settings)
    alone, two = ([item for (item,) in batches(stream, range(3, 6), workers=n)] for n in (0, 2))
    for (image, targets), (again, same) in zip(alone, two, strict=True):
        assert torch.equal(image, again)
        assert torch.equal(targets.semantic, same.semantic)
    (other,) = next(batches(replace(stream, seed=6), range(3, 4)))
    assert not torch.equal(alone[0][0], other[0])


def test_pasting_brings_more_things_into_a_crop() -> None:
    def things(paste: float) -> float:
        stream = replace(STREAM, settings=Augment(33, (1, 1, 0), 0, paste=paste))
        semantic = np.stack([stream[i][1].semantic.numpy() for i in range(40)])
        return float(np.isin(semantic, np.flatnonzero(DATA.labels.is_thing)).mean())

    assert things(1.0) > 1.2 * things(0.0)


def test_all_tensors_of_a_batch_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        pinned.append(tensor.numel())
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", note)
    ((_, targets),) = next(batches(STREAM, range(1)))
    same = targets.pin_memory()
    keypoints = same.keypoints
    assert keypoints is not None
    assert sorted(pinned) == sorted(
        x.numel()
        for x in (
            *(same.semantic, same.weight, keypoints.heatmap, keypoints.short, keypoints.middle),
            *(keypoints.long, keypoints.instance, keypoints.valid),
        )
    )


FAULTS = """
import resource
import numpy as np
from atrous.run.batches import keep_memory
keep_memory()

def image():
    held = [np.ones(1 << 21, np.int32) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

image()
start = image()
for _ in range(20):
    end = image()
print((end - start) / 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's C library")
def test_images_reuse_the_memory_of_those_before_them() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    assert float(done.stdout) < 100  # of 6,144 pages; about 1,000 without
