"""Chance that is the same on every machine: integers scrambled, then smoothed."""

ONE = 1 << 16
"""What a fraction of 1 is written as: all fractions here count 65536ths."""

_MASK = 0xFFFFFFFF


def dice(x: int, y: int, seed: int) -> int:
    """Return a number from 0 to 65535 that looks random and depends on the three alone."""
    # Odd constants: the first digits of pi, e and the square root of 2 after the point.
    mixed = (x * 0x243F6A89 ^ y * 0xB7E15163 ^ seed * 0x6A09E667) & _MASK
    for _ in range(2):
        mixed ^= mixed >> 15
        mixed = mixed * 0xB7E15163 & _MASK
    return mixed >> 16


def value_noise(x: int, y: int, cell: int, seed: int) -> int:
    """Return a number from 0 to 65535 that varies smoothly over about `cell` steps."""
    column, left = divmod(x, cell)
    row, top = divmod(y, cell)
    across, down = _ease(left * ONE // cell), _ease(top * ONE // cell)
    upper = _between(dice(column, row, seed), dice(column + 1, row, seed), across)
    lower = _between(dice(column, row + 1, seed), dice(column + 1, row + 1, seed), across)
    return _between(upper, lower, down)


def fractal_noise(x: int, y: int, cell: int, octaves: int, seed: int) -> int:
    """Return a number from 0 to 65535 with detail at `cell` steps, half of it, and so on."""
    total = weight = 0
    for octave in range(octaves):
        share = 1 << (octaves - octave)
        total += share * value_noise(x, y, max(cell >> octave, 1), seed + octave)
        weight += share
    return total // weight


def _ease(t: int) -> int:
    """Return the fraction 3t² - 2t³, which leaves and arrives without a kink."""
    return t * t // ONE * (3 * ONE - 2 * t) // ONE


def _between(a: int, b: int, t: int) -> int:
    """Return what lies the fraction `t` of the way from `a` to `b`."""
    return a + (b - a) * t // ONE
