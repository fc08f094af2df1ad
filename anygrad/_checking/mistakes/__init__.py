"""The mistakes that `hints` can name, from the most specific one to the least."""

from anygrad._checking.mistakes.absent import never_computed, not_read
from anygrad._checking.mistakes.added import constant, magnitudes, squares
from anygrad._checking.mistakes.exchanged import copied, swapped
from anygrad._checking.mistakes.factors import conjugate, factor
from anygrad._checking.mistakes.rearranged import rearranged
from anygrad._checking.mistakes.scene import Mistake
from anygrad._checking.mistakes.shifted import shifted

# What has a place of its own in an array, or is of more than one array.
_ANYWHERE: tuple[Mistake, ...] = (never_computed, not_read, swapped, factor, copied)
# What an array as a whole has, or a part of it taken by itself.
OF_A_PART: tuple[Mistake, ...] = (conjugate, rearranged, shifted, squares, magnitudes, constant)
MISTAKES: tuple[Mistake, ...] = (*_ANYWHERE, *OF_A_PART)
