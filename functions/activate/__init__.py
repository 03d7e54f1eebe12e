"""The function that marks the promo codes of paid orders as used in Altcraft."""
