"""A client of Altcraft's promo code API (v1.1), in both of its wire formats, JSON and XML.

`altcraft.client.Client` is the door; `altcraft.errors` holds what it raises.
"""

import warnings

__version__ = "1.0.0"

# The layer leaves out the library by which requests guesses the encoding of texts: replies are read as bytes.
warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")
