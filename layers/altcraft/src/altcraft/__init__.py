"""A client of Altcraft's promo code API (v1.1), in both of its wire formats, JSON and XML.

`altcraft.client.Client` is the door; `altcraft.errors` holds what it raises.
"""

__version__ = "1.0.0"
