"""A client of Altcraft's promo code API (v1.1), in both of its wire formats, JSON and XML.

Start with `altcraft.client.Client`; `altcraft.errors` holds the exceptions.
"""

import warnings
from typing import Final

__version__ = "1.0.0"

LONGEST_CODE: Final = 255
"""Characters of a promo code. Altcraft documents no limit; anything longer is a mistake."""

# The layer omits the library by which requests guesses the encoding of texts: replies are read as bytes.
warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")
