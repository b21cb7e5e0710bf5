from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from atrous.data.shapes import Shapes
from atrous.nn.layers import ConvNorm
from atrous.nn.synchronised import SynchronisedNorm, synchronise
from atrous.recipes import Recipe, find
from atrous.recipes.recipe import override
from atrous.run import memory
from atrous.run.batches import Item, collate
from atrous.run.learner import Learner
from atrous.run.memory import Need, available, most_images, need, peak, words
from atrous.run.settings import TrainSettings
from atrous.run.world import World
from atrous.semantic import SemanticLoss, semantic_terms
from atrous.systems import AnySystem
from atrous.tensors import LossTerm, Maps, Targets

CPU = torch.device("cpu")
GIB = 2**30
SIDE, WIDTH = 33, 16


def prepared(name: str, *settings: str, device: str = "meta") -> tuple[AnySystem, Item, Recipe]:
    """The untrained system of a recipe, one input with its targets, and the recipe."""
    recipe = override(find(name), settings)
    side = recipe.train.crop
    scenes = Shapes("train", size_hw=(side, side))
    with torch.device(device):
        system = recipe.build(scenes.labels)
    return system, (torch.zeros(3, side, side), system.encode(scenes[0])), recipe


class Drawing(nn.Module):
    """A system of three layers that tells seven classes."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            ConvNorm(3, width, kernel=3), ConvNorm(width, width, kernel=3)
        )
        self.head = nn.Conv2d(width, 7, 1)

    def forward(self, image: Tensor) -> Maps:
        return Maps(self.head(self.backbone(image)), 1)

    def loss(self, maps: Maps, targets: Targets) -> tuple[LossTerm, ...]:
        return semantic_terms(maps, targets, SemanticLoss(), void=255)


def small(**settings: object) -> tuple[Drawing, Item, TrainSettings]:
    """A system of three layers, an input of 33 x 33 pixels with targets, and settings."""
    numbers = {"iterations": 1, "batch": 8, "crop": SIDE, **settings}
    classes = torch.zeros((SIDE, SIDE), dtype=torch.long)
    item = torch.zeros(3, SIDE, SIDE), Targets(classes, torch.ones(SIDE, SIDE))
    return Drawing(), item, TrainSettings(**numbers)  # type: ignore[arg-type]


def small_need(images: int = 2, **settings: object) -> Need:
    return need(*small(**settings), images=images)


@pytest.mark.parametrize(
    ("name", "settings", "least", "most"),
    [
        ("deeperlab-light", (), 10, 40),
        pytest.param("deeperlab-x71", (), 20, 60, marks=pytest.mark.study),
        pytest.param("deeplabv3-aspp-mg124", (), 8, 20, marks=pytest.mark.study),
        pytest.param("deeplabv3-resnet50-block7", (), 5, 20, marks=pytest.mark.study),
        ("deeplabv3-resnet50", ("losses.mining=threshold",), 5, 20),
        pytest.param("fcrn-resnet50-instances-bs-weighted", (), 10, 40, marks=pytest.mark.study),
        pytest.param("fcrn-resnet101-bs512", (), 10, 40, marks=pytest.mark.study),
        ("pspnet-resnet50", (), 10, 40),
    ],
)
def test_a_recipe_of_a_paper_is_reckoned_at_its_crop_and_batch(
    name: str, settings: tuple[str, ...], least: int, most: int
) -> None:
    system, item, recipe = prepared(name, *settings)
    total = need(system, item, recipe.train, images=recipe.train.batch).total
    assert least < total / GIB < most


def test_the_parts_are_those_of_the_settings() -> None:
    plain = small_need()
    trained = sum(4 * p.numel() for p in Drawing().parameters())
    assert plain.gradients == plain.optimiser == trained
    assert plain.weights == trained + 2 * (2 * 4 * WIDTH + 8)  # norms: mean, variance, steps
    assert plain.inputs == 2 * SIDE**2 * (3 * 4 + 8 + 4)  # images, classes, and their weights
    assert plain.average == plain.anchor == plain.lost == 0
    told = (plain.weights, 2 * trained, plain.inputs, plain.activations, plain.passing)
    assert plain.total == sum(told)


def test_settings_that_remember_more_take_more() -> None:
    plain = small_need()
    assert small_need(optimiser="adam").optimiser == 2 * plain.optimiser
    assert small_need(momentum=0.0).optimiser == 0
    assert small_need(accumulate=2).inputs == 2 * plain.inputs
    held = small_need(average=0.999, anchor=0.5)
    assert held.average == held.anchor == plain.weights
    assert held.activations > plain.activations


def test_activations_are_the_maps_that_the_way_back_reads() -> None:
    cells = 2 * SIDE**2 * 4
    # the image as the first layer reads it, two maps of two convolutions each, once normalised
    # in place of nothing and made positive in place, logits, and their logarithms
    maps = cells * (3 + 4 * WIDTH + 2 * 7)
    assert maps <= small_need().activations < maps + 2000


def test_what_does_not_learn_takes_less() -> None:
    plain, frozen = small_need(), small_need(freeze=("backbone",))
    assert frozen.gradients == 4 * (7 * WIDTH + 7)
    assert frozen.activations < plain.activations / 2
    fixed = small_need(affine=False, norms="frozen")
    assert plain.gradients - fixed.gradients == 2 * 2 * 4 * WIDTH


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_short_precision_halves_the_maps_and_keeps_the_weights(precision: str) -> None:
    plain, short = small_need(), small_need(precision=precision)
    assert short.weights == plain.weights
    assert 0.5 < short.activations / plain.activations < 0.7


def test_a_stage_of_fcrn_trains_one_of_two_networks() -> None:
    system, item, recipe = prepared("fcrn-resnet50-instances", "train.crop=65", "train.affine=true")
    trained = sum(4 * p.numel() for n, p in system.named_parameters() if "localisation" in n)
    found = need(system, item, recipe.train, images=2)
    assert found.gradients == trained < 0.6 * found.weights


def test_all_grows_by_the_same_for_each_image() -> None:
    one, two, three, ten = (small_need(images=n) for n in (1, 2, 3, 10))
    each = three.total - two.total
    assert each > 0
    assert two.total - one.total == pytest.approx(each, rel=0.01)
    assert ten.total - two.total == pytest.approx(8 * each, rel=0.01)


def test_most_images_are_those_that_fit_and_not_one_more() -> None:
    space = 30 * 2**20
    most = most_images(*small(), space=space)
    assert most > 2
    assert small_need(images=most).total <= space < small_need(images=most + 1).total
    assert most_images(*small(), space=space, device=CPU) == 0
    assert most_images(*small(), space=2**10) == 0


def test_weights_larger_than_all_maps_do_not_make_room_for_endless_images() -> None:
    wide, (image, targets), settings = Drawing(width=512), *small()[1:]
    item = image[:, :5, :5], Targets(targets.semantic[:5, :5], targets.weight[:5, :5])
    two = need(wide, item, settings, images=2)
    assert two.gradients > 10 * two.activations
    assert 2 < most_images(wide, item, settings, space=two.total + two.gradients) < 200


def test_a_cpu_is_told_to_lose_some() -> None:
    plain, lossy = small_need(), need(*small(), images=2, device=CPU)
    assert lossy.lost > 100 * 2**20
    assert lossy.total == plain.total + lossy.lost
    assert need(*small(), images=2, device=torch.device("cuda")) == plain


def test_the_system_stays_as_it_is() -> None:
    system, item, settings = small(freeze=("backbone",), affine=False)
    synchronise(system.eval())
    before = {name: value.clone() for name, value in system.state_dict().items()}
    need(system, item, settings, images=2)
    assert not system.training
    assert all(p.requires_grad and p.grad is None for p in system.parameters())
    assert sum(type(module) is SynchronisedNorm for module in system.modules()) == 2
    after = system.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"norms": "frozen", "freeze": ("backbone.0",)},
        {"optimiser": "adam", "channels_last": False},
    ],
)
def test_a_real_step_allocates_what_was_reckoned(settings: dict[str, object]) -> None:
    system, item, numbers = small(**settings)
    reckoned = need(system, item, numbers, images=8)
    learner = Learner(system, numbers, World(0, 1, CPU), seed=0)
    batch = collate([item] * 8)
    learner.learn([batch])  # what the optimiser remembers is there from now on
    learner.optimiser.zero_grad(set_to_none=True)
    allocated = allocated_by(lambda: learner.learn([batch]))
    assert allocated == pytest.approx(reckoned.activations + reckoned.passing, rel=0.05)


def allocated_by(work: Callable[[], object]) -> int:
    """The most that lived at once of what torch's allocator gave out meanwhile."""
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        work()
    assert profile.profiler is not None
    events = profile.profiler.kineto_results.events()
    return max(accumulate(int(e.nbytes()) for e in events if e.name() == "[memory]"))


def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """A machine with 8 GiB to spare, and these files; "__" stands for "/"."""
    for name, text in {
        "proc__meminfo": "MemFree: 9 kB\nMemAvailable: 8388608 kB\n",
        **files,
    }.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")


def test_a_machine_without_groups_has_what_linux_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(tmp_path, monkeypatch)
    assert available(CPU) == 8 * GIB


def test_a_machine_that_says_nothing_has_its_whole_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert available(CPU) > GIB


def test_the_groups_above_limit_too_and_caches_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(
        tmp_path,
        monkeypatch,
        proc__self__cgroup="0::/jobs/mine\n",
        **{
            "groups__jobs__mine__memory.max": "max\n",
            "groups__jobs__mine__memory.current": "5\n",
            "groups__jobs__memory.max": f"{4 * GIB}\n",
            "groups__jobs__memory.current": f"{3 * GIB}\n",
            "groups__jobs__memory.stat": f"anon 7\ninactive_file {2 * GIB}\n",
        },
    )
    assert available(CPU) == 3 * GIB


def test_groups_of_the_first_kind_limit_and_a_full_one_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "proc__self__cgroup": "5:cpu:/x\n4:cpuset,memory:/not/seen/from/inside\n0::/\n",
        "groups__memory__memory.limit_in_bytes": f"{2 * GIB}\n",
        "groups__memory__memory.usage_in_bytes": f"{GIB}\n",
    }
    machine(tmp_path, monkeypatch, **files)
    assert available(CPU) == GIB
    machine(tmp_path, monkeypatch, **{**files, "groups__memory__memory.limit_in_bytes": "9\n"})
    assert available(CPU) == 0


def test_the_peak_is_that_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak(CPU) > 50 * 2**20  # torch alone is larger
    machine(tmp_path, monkeypatch, proc__self__status="VmRSS: 3 kB\nVmHWM:\t  12 kB\n")
    assert peak(CPU) == 12 * 1024


def test_the_peak_is_told_where_there_is_no_proc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = peak(CPU)
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert peak(CPU) >= 0.9 * known


def test_words_tell_the_total_and_what_it_is_made_of() -> None:
    parts = {"inputs": GIB // 2, "activations": 28 * GIB, "passing": GIB, "average": 0, "anchor": 0}
    big = Need(12, weights=GIB // 4, gradients=GIB // 4, optimiser=GIB // 2, **parts)
    assert words(big) == (
        "30.5 GiB: 12 images at a time 29.5, weights 0.2, gradients 0.2, optimiser 0.5"
    )
    tiny = Need(1, 2**20, 2**20, 0, 0, 2**19, 2**18, 0, 0)
    assert words(tiny) == ("2.8 MiB: 1 image at a time 0.2, weights 1.0, gradients 1.0, anchor 0.5")
