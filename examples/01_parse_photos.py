"""Parses three photos with the model in the package and says what it found in each.

Run by `make demo`. The photos come with scikit-image; the pictures go to demo/.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage.data

import atrous
from atrous.draw import contact_sheet
from atrous.formats import write_image
from atrous.result import ResultFolder

OUT = Path("demo")
PHOTOS = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "motorcycle": "motorcycle_left.png",
}


def main() -> None:
    start, photos = time.monotonic(), Path(skimage.data.__file__).parent
    parser, folder = atrous.load("deeperlab-light"), ResultFolder(OUT)
    pictures = []
    for name, file in PHOTOS.items():
        result = replace(parser(photos / file), name=name)
        outputs = folder.add(result)
        print(f"{name}: {result.summary()}\n    {outputs['overlay']}")
        pictures.append(np.asarray(result.draw()))
    folder.close(parser.labels)
    write_image(OUT / "all.png", contact_sheet(pictures, columns=len(pictures)))
    print(f"pictures and panoptic.json are in {OUT.resolve()} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
