"""BentoML: `bentoml serve benchmarks.peers.bentoml_peer:Masks --port PORT`."""

from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType

from benchmarks.peers.segmenter import Segmenter


@bentoml.service(workers=1, threads=4, traffic={"timeout": 60, "max_concurrency": 128})
class Masks:
    """A click per request, in one of four threads."""

    def __init__(self) -> None:
        self.segmenter = Segmenter()

    @bentoml.api(route="/masks")
    def masks(
        self, image: Path, x: int, y: int, context: bentoml.Context
    ) -> Annotated[bytes, ContentType("image/png")]:
        """The mask's PNG."""
        context.response.headers["content-type"] = "image/png"
        return self.segmenter.mask(image.read_bytes(), (x, y))
