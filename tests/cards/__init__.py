"""Card numbers, stripes, verification values and PINs."""
