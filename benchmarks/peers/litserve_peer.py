"""LitServe with its batching: `python -m benchmarks.peers.litserve_peer PORT`."""

import sys

import litserve
from fastapi import Request, Response

from benchmarks.peers.segmenter import Output, Prepared
from benchmarks.peers.tutorial_segmenter import open_segmenter

Work = tuple[Prepared, tuple[int, int]]
MAX_BATCH, BATCH_TIMEOUT_S = 8, 0.0005


class MaskAPI(litserve.LitAPI):
    """A click per request, one pass per batch."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Once per worker process."""
        self.segmenter = open_segmenter()

    def decode_request(self, request: Request) -> Work:
        """A form with the picture and the pixel."""
        prepared = self.segmenter.prepare(request["image"].file.read())
        return prepared, (int(request["x"]), int(request["y"]))

    def batch(self, inputs: list[Work]) -> list[Work]:
        """Left as it is: the squares are stacked where they run."""
        return inputs

    def predict(self, inputs: list[Work]) -> list[tuple[Work, Output]]:
        """One pass."""
        outputs = self.segmenter.run([prepared.square for prepared, _ in inputs])
        return list(zip(inputs, outputs, strict=True))

    def unbatch(self, output: list[tuple[Work, Output]]) -> list[tuple[Work, Output]]:
        """One entry per request already."""
        return output

    def encode_response(self, output: tuple[Work, Output]) -> Response:
        """The mask's PNG."""
        (prepared, click), found = output
        return Response(self.segmenter.png(prepared, found, click), media_type="image/png")


if __name__ == "__main__":
    api = MaskAPI(max_batch_size=MAX_BATCH, batch_timeout=BATCH_TIMEOUT_S, api_path="/masks")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False
    )
