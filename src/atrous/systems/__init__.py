"""The four systems, and what each is made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from atrous.instances.boxes import BoxNumbers
from atrous.instances.keypoints import KeypointNumbers
from atrous.labels import LabelSpace
from atrous.semantic import SemanticLoss
from atrous.systems.deeperlab import DeeperLab, DeeperLabLoss, DeeperLabNetwork
from atrous.systems.deeplabv3 import DeepLabv3, DeepLabv3Network
from atrous.systems.fcrn import FCRN, FCRNLoss, FCRNNetwork
from atrous.systems.pspnet import PSPNet, PSPNetNetwork
from atrous.types import BadInput

AnySystem = DeeperLab | DeepLabv3 | FCRN | PSPNet
AnyNetwork = DeeperLabNetwork | DeepLabv3Network | FCRNNetwork | PSPNetNetwork
AnyLoss = DeeperLabLoss | FCRNLoss | SemanticLoss
AnyFusion = KeypointNumbers | BoxNumbers | None


@dataclass(frozen=True, slots=True)
class Kind:
    """The classes of one system; `fusion` is None where there are no instances to be found."""

    name: str
    system: type[AnySystem]
    network: type[AnyNetwork]
    losses: type[AnyLoss]
    fusion: type[KeypointNumbers] | type[BoxNumbers] | None = None


KINDS = (
    Kind("deeperlab", DeeperLab, DeeperLabNetwork, DeeperLabLoss, KeypointNumbers),
    Kind("deeplabv3", DeepLabv3, DeepLabv3Network, SemanticLoss),
    Kind("fcrn", FCRN, FCRNNetwork, FCRNLoss, BoxNumbers),
    Kind("pspnet", PSPNet, PSPNetNetwork, SemanticLoss),
)


def kind_of(network: AnyNetwork) -> Kind:
    """The system that a network's numbers belong to."""
    return next(kind for kind in KINDS if kind.network is type(network))


def build(
    network: AnyNetwork, labels: LabelSpace, *, fusion: AnyFusion, losses: AnyLoss | None = None
) -> AnySystem:
    """The untrained system.

    Raises: ValueError if the numbers do not make one.
    """
    kind = kind_of(network)
    numbers: dict[str, Any] = {"fusion": fusion} if kind.fusion else {}
    return kind.system(network, labels, losses=losses, **numbers)  # type: ignore[arg-type]


def keep_learnt(old: AnyFusion, new: AnyFusion) -> None:
    """Checks that new fusion numbers leave what a trained network has learnt.

    Raises: BadInput for another radius or graph, or for other statistics of boxes.
    """
    for name in old.learnt if old else ():
        value = getattr(old, name)
        if getattr(new, name) != value:
            raise BadInput(
                f"fusion.{name}: the network was trained with {value}, which stays: train anew for "
                "another"
            )


def described(network: AnyNetwork) -> dict[str, Any]:
    """A network's numbers as plain data, with the name of its system."""
    return {"system": kind_of(network).name, **asdict(network)}
