from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from atrous.doctor.findings import Findings, Found, Suspect, quantile, total

SMALL = st.integers(0, 4)
COUNTS = st.dictionaries(SMALL, st.integers(1, 9), max_size=3).map(Counter)


@st.composite
def findings(draw: Any) -> Findings:
    """What some images hold; samples are drawn, so that two findings may name one."""
    sample = draw(SMALL)
    found = Found(sample, draw(st.sampled_from("ab")), "file", "place", draw(st.sampled_from("xy")))
    suspect = Suspect(sample, "file", ((draw(SMALL), 3),), ((7, "y 0, x 0"),), (found,))
    return Findings(
        images=draw(SMALL),
        pixels=draw(COUNTS),
        areas={draw(SMALL): draw(COUNTS)},
        values=draw(COUNTS),
        valued=draw(COUNTS),
        beside=draw(SMALL),
        sizes=Counter({(draw(SMALL), 5): 1}),
        grey=[sample],
        photos={bytes([draw(SMALL)]): (sample,)},
        fits=draw(st.lists(SMALL, min_size=9, max_size=9)),
        suspects=[suspect],
        found=[found],
    )


@given(parts=st.lists(findings(), max_size=5), data=st.data())
def test_findings_add_up_in_any_order_and_in_any_groups(parts: list[Findings], data: Any) -> None:
    shuffled = data.draw(st.permutations(parts))
    cut = data.draw(st.integers(0, len(parts)))
    grouped = total([total(shuffled[:cut]), total(shuffled[cut:])])
    assert grouped == total(parts)


def test_a_sum_has_all_that_its_parts_have() -> None:
    one = Findings(images=1, pixels=Counter({0: 3}), photos={b"x": (4,)}, grey=[4])
    other = Findings(images=2, pixels=Counter({0: 2, 1: 5}), photos={b"x": (1,)}, grey=[1])
    both = total([one, other])
    assert (both.images, both.pixels, both.grey) == (3, Counter({0: 5, 1: 5}), [1, 4])
    assert both.photos == {b"x": (1, 4)}
    assert one.images == 1


def test_quantiles_count_things_not_sizes() -> None:
    areas = {10: 8, 50: 1, 900: 1}
    assert [quantile(areas, share) for share in (0, 0.5, 0.8, 0.9, 1)] == [10, 10, 10, 50, 900]
    assert quantile({}, 0.5) == 0
