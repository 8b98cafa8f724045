"""Keys and values of what an autoregressive model has already read, so that each new token is read once."""

from jaxtyping import Float
from torch import Tensor, nn


class KeyValueCache:
    """Keys and values of every attention module, in buffers as long as the sequence may grow."""

    def __init__(self, places: int) -> None:
        """Holds at most `places` tokens per item."""
        self.places = places
        self.filled = 0
        """Tokens that every module has read."""
        self._kept: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def extend(
        self,
        module: nn.Module,
        keys: Float[Tensor, "batch heads new part"],
        values: Float[Tensor, "batch heads new part"],
    ) -> tuple[Float[Tensor, "batch heads keys part"], Float[Tensor, "batch heads keys part"]]:
        """All keys and values of a module, the new ones last.

        Raises:
            ValueError: more tokens than the cache was made for.
        """
        last = self.filled + keys.shape[2]
        if last > self.places:
            raise ValueError(f"a cache of {self.places} places has no room for {last} tokens; make it longer")
        if module not in self._kept:
            shape = (*keys.shape[:2], self.places, keys.shape[3])
            self._kept[module] = keys.new_zeros(shape), values.new_zeros(shape)
        for kept, new in zip(self._kept[module], (keys, values), strict=True):
            kept[:, :, self.filled : last] = new
        return self._kept[module][0][:, :, :last], self._kept[module][1][:, :, :last]

    def advance(self, tokens: int) -> None:
        """Says that every module has read `tokens` more."""
        self.filled += tokens
