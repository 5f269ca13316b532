"""Square pictures of a catalogue's images, for pages."""

from src.catalog.catalogue import Catalogue
from src.contracts.data_uri import data_uri
from src.contracts.preprocessing import PreprocessingSpec

__all__ = ["Thumbnails"]


class Thumbnails:
    """Square pictures of a catalogue's images, by image id; each is read once."""

    def __init__(self, catalogue: Catalogue, *, side: int) -> None:
        """Prepare.

        Args:
            catalogue: where the images are.
            side: of the square, in pixels; images are padded to it.
        """
        self._catalogue = catalogue
        self._spec = PreprocessingSpec(size=side, resize="pad")
        self._made: dict[str, str] = {}

    def __getitem__(self, image_id: str) -> str:
        if image_id not in self._made:
            pixels = self._catalogue.pixels(self._catalogue.row_of[image_id], self._spec)
            self._made[image_id] = data_uri(pixels)
        return self._made[image_id]
