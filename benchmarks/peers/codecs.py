"""Which image codecs a peer uses: the environment says it, since workers inherit that."""

CODECS = "PEER_CODECS"
TUTORIAL = "tutorial"
"""Its value for those of the frameworks' tutorials; anything else: the product's."""
