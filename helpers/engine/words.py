"""Measured numbers as they are read."""


def digits(value):
    """Three significant digits; thousands with commas."""
    rounded = float(f"{value:.3g}")
    whole = 1000 <= abs(rounded) < 1e15
    return f"{rounded:,.0f}" if whole else f"{rounded:g}"
