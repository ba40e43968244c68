"""Context counts of deep-learning models, exactly and in log space, without training them."""

from unrolled._core import VERSION as __version__

__all__ = ["__version__"]
