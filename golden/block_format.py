# SPDX-License-Identifier: Apache-2.0
"""A format whose scales are part of it: blocks of elements that share a scale, and perhaps select a codebook.

A number is element x scale x tensor scale: the element is a code of a `NumberFormat`, or of the one of several codebooks that
its sub-block selects; the scale, one for a block of consecutive elements, is stored in a `ScaleEncoding`; the tensor scale,
where the format has one, is a float32. Plain formats, whose scales are the quantizer's business, are `NumberFormat`s alone.

The quantizer is the one of the formats' specifications (`catalogue` says which): scales by the largest magnitudes, elements
to the nearest. Scales have signs where the encoding has
them: a block is then stored mirrored where that puts its larger extreme on the elements' longer side. Real numbers are float32.
Then every quotient below is rounded as its exact value would be, although it is
computed in float64: a quotient of numbers of 24 and 28 bits meets a threshold, or misses it by more than 2^-32 of it. Only
the squared errors that a codebook is selected by are rounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .number_format import NumberFormat
from .parameters import check_types, integer
from .scale_encoding import ScaleEncoding

__all__ = ["BlockCodes", "BlockFormat", "CodedBlock"]

_FLOAT32 = np.finfo(np.float32)
#: Bits of a tensor scale.
_TENSOR_BITS = 32
_MOST_CODEBOOKS, _LONGEST = 16, 128


@dataclass(frozen=True)
class BlockCodes:
    """A matrix in codes of a block format."""

    format: BlockFormat
    codes: NDArray[np.uint8]  # (rows, columns)
    scales: NDArray[np.uint8]  # (rows, columns / block), codes of the scale encoding
    selectors: NDArray[np.uint8] | None = None  # (rows, columns / selector block), numbers of codebooks; with codebooks only
    tensor_scales: NDArray[np.float32] | None = None  # () or (rows, 1); of formats with a tensor scale only


@dataclass(frozen=True)
class CodedBlock:
    """One block in codes: the scalar twin of `BlockCodes`."""

    codes: tuple[int, ...]
    scale: int
    selectors: tuple[int, ...] = ()


@dataclass(frozen=True)
class BlockFormat:
    """Elements, how many of them share a scale, and how that is chosen and stored; immutable and hashable.

    Parameters
    ----------
    name, title
        Lower-case identifier, and the name as it is written in prose.
    elements
        The format of the elements, or 2 to 16 codebooks of the same width and unit.
    block
        Elements that share a scale, 2 to 128, consecutive along the rows of a matrix, which are what dot products run along.
    scales
        The encoding of a scale.
    full_scale
        In steps of the elements: what the largest magnitude of a block is scaled to, before the scale is rounded.
    selector_block
        Elements that share the choice of a codebook, a divisor of `block`; None without codebooks.
    tensor_scale
        Whether the scales are relative to a float32 of the whole tensor, such that the largest of them is the encoding's.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    name: str
    title: str
    elements: tuple[NumberFormat, ...]
    block: int
    scales: ScaleEncoding
    full_scale: Fraction
    selector_block: int | None = None
    tensor_scale: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise InputError(f"name of a format is {self.name!r}: a lower-case identifier is needed")
        check_types(self, self.name)
        if not isinstance(self.elements, tuple) or not all(isinstance(one, NumberFormat) for one in self.elements):
            raise InputError(f"elements of {self.name} is {self.elements!r}: a tuple of number formats is needed")
        if not isinstance(self.scales, ScaleEncoding):
            raise InputError(f"scales of {self.name} is {self.scales!r}: a scale encoding is needed")
        if not 1 <= len(self.elements) <= _MOST_CODEBOOKS:
            raise InputError(f"elements of {self.name} has {len(self.elements)} codebooks: there are 1 to {_MOST_CODEBOOKS}")
        if len({(one.bits, one.unit) for one in self.elements}) > 1:
            raise InputError(f"elements of {self.name} differ in bits or unit: all codebooks need the same")
        if self.scales.negative and len(self.elements) > 1:
            raise InputError(f"scales of {self.name} have signs: codebooks, which have no common longer side, take none")
        if not 2 <= self.block <= _LONGEST:
            raise InputError(f"block of {self.name} is {self.block}: it is 2 to {_LONGEST} elements")
        if not isinstance(self.full_scale, Fraction) or self.full_scale <= 0:
            raise InputError(f"full_scale of {self.name} is {self.full_scale!r}: a Fraction above 0 is needed")
        if (self.selector_block is None) != (len(self.elements) == 1):
            raise InputError(f"selector_block of {self.name} is {self.selector_block}: codebooks, and only they, need one")
        if self.selector_block is not None:
            size = integer(f"selector_block of {self.name}", self.selector_block)
            if size < 1 or self.block % size:
                raise InputError(f"selector_block of {self.name} is {size}: give a divisor of the block, {self.block}")

    # Facts

    @property
    def bits(self) -> int:
        """Bits of an element's code."""
        return self.elements[0].bits

    @property
    def unit(self) -> Fraction:
        """Size of the elements' unit in steps."""
        return self.elements[0].unit

    @property
    def codewords(self) -> int:
        """How many codewords the codebooks have together: the selector, then the code, count them."""
        return len(self.elements) << self.bits

    @property
    def selector_bits(self) -> int:
        """Bits of a selector."""
        return (len(self.elements) - 1).bit_length()

    @property
    def bits_per_scalar(self) -> Fraction:
        """Bits of storage for each element: its code, and its part of selector and scale.

        Without the tensor scale, of which there is one for a tensor (`storage_bits`), and codebooks, which all tensors share.
        """
        selectors = Fraction(self.selector_bits, self.selector_block or 1)
        return self.bits + selectors + Fraction(self.scales.bits, self.block)

    def storage_bits(self, scalars: int) -> int:
        """Bits that a tensor of `scalars` elements, whole blocks, takes, its tensor scale included."""
        if scalars % self.block:
            raise InputError(f"{scalars} elements are no multiple of {self.title}'s block, {self.block}")
        return int(scalars * self.bits_per_scalar) + _TENSOR_BITS * self.tensor_scale

    # Quantize

    def mirrors(self, negative: Any, positive: Any) -> Any:
        """Whether a block from -`negative` to `positive` has a scale below zero (`NumberFormat.mirrors`)."""
        return self.elements[0].mirrors(negative, positive) & self.scales.negative

    def quantize(self, x: ArrayLike, by_row: bool = False) -> BlockCodes:
        """`x` (rows, columns), float32, in codes; with `by_row` each row is a tensor of its own.

        The tensor scale is largest magnitude / (full scale x largest number of the encoding), in float32, but not below the
        least float32; 1 where all is zero. A block's scale is its largest magnitude / (full scale x tensor scale), rounded and
        saturated as the encoding does, with a sign as `mirrors` says. Elements are rounded to nearest and saturate; below a
        scale of zero they are zero. A sub-block selects the first of the codebooks that have the least squared error.

        Raises
        ------
        InputError
            If `x` is no matrix of whole blocks, or holds an infinite value or NaN.
        """
        real = self._checked(x)
        rows = len(real)
        blocks = real.reshape(rows, -1, self.block)
        magnitudes = np.abs(blocks).max(axis=2)
        tensor_scales = None
        tensor: NDArray[np.float64] = np.ones(())
        if self.tensor_scale:
            tensor_scales = self._tensor_scales(magnitudes.max(axis=1, keepdims=True) if by_row else magnitudes.max())
            tensor = tensor_scales.astype(np.float64)
        extremes = (-blocks.min(axis=2), blocks.max(axis=2))
        signs = np.where(self.mirrors(*extremes), -1, 1)
        scales = self.scales.encode(signs * magnitudes / (float(self.full_scale) * tensor))
        factors = (self.scales.decode(scales) * tensor)[:, :, None]
        steps = np.divide(blocks, factors, out=np.zeros_like(blocks), where=factors != 0)
        if self.selector_block is None:
            return BlockCodes(self, self.elements[0].round(steps).reshape(real.shape), scales, None, tensor_scales)
        parts = steps.reshape(rows, -1, self.selector_block)
        tried = np.stack([one.round(parts) for one in self.elements])
        values = np.stack([one.decode(codes) for one, codes in zip(self.elements, tried, strict=True)]) * float(self.unit)
        selectors = np.square(values - parts).sum(axis=-1).argmin(axis=0)
        codes = np.take_along_axis(tried, selectors[None, :, :, None], axis=0)[0].reshape(real.shape)
        return BlockCodes(self, codes, scales, selectors.astype(np.uint8), tensor_scales)

    def quantize_one(self, x: Sequence[float], tensor_scale: float = 1.0) -> CodedBlock:
        """One block of float32 numbers, given the tensor scale, in exact arithmetic: the scalar twin of `quantize`."""
        exact = [Fraction(number) for number in x]
        wanted = max(map(abs, exact)) / (self.full_scale * Fraction(tensor_scale))
        scale = self.scales.encode_one(-wanted if self.mirrors(-min(exact), max(exact)) else wanted)
        size = self.scales.decode_one(scale)
        assert size is not None
        factor = size * Fraction(tensor_scale)
        steps = [number / factor if factor else Fraction(0) for number in exact]
        codes: list[int] = []
        selectors: list[int] = []
        length = self.selector_block or self.block
        for start in range(0, self.block, length):
            part = steps[start : start + length]
            tried = [[one.round_one(step) for step in part] for one in self.elements]
            errors = [
                sum((one.decode_one(code) * self.unit - step) ** 2 for code, step in zip(found, part, strict=True))
                for one, found in zip(self.elements, tried, strict=True)
            ]
            selectors.append(errors.index(min(errors)))
            codes += tried[selectors[-1]]
        return CodedBlock(tuple(codes), scale, tuple(selectors) if self.selector_block else ())

    # Decode

    def values(self, blocks: BlockCodes) -> NDArray[np.int64]:
        """The elements' values (rows, columns) in units, without scales: what a multiplier multiplies."""
        self.check(blocks)
        if blocks.selectors is None:
            return self.elements[0].decode(blocks.codes)
        assert self.selector_block is not None
        return self._tables[np.repeat(blocks.selectors, self.selector_block, axis=1), blocks.codes]

    def decode(self, blocks: BlockCodes) -> NDArray[np.float64]:
        """The numbers (rows, columns) that codes stand for, exact; NaN in blocks whose scale is."""
        values = self.values(blocks) * float(self.unit)
        scales = self.scales.decode(blocks.scales)
        if blocks.tensor_scales is not None:
            scales = scales * blocks.tensor_scales
        return values * scales.repeat(self.block, axis=1)

    def decode_one(self, block: CodedBlock, tensor_scale: float = 1.0) -> list[Fraction] | None:
        """The numbers of one block; None where its scale is NaN."""
        scale = self.scales.decode_one(block.scale)
        if scale is None:
            return None
        length = self.selector_block or self.block
        found = []
        for index, code in enumerate(block.codes):
            element = self.elements[block.selectors[index // length] if block.selectors else 0]
            found.append(element.decode_one(code) * self.unit * scale * Fraction(tensor_scale))
        return found

    def check(self, blocks: BlockCodes) -> None:
        """Refuse codes of another format, arrays whose shapes do not agree, and what is out of range."""
        if blocks.format != self:
            raise InputError(f"codes are of {blocks.format.title}: {self.title} cannot read them")
        rows, columns = blocks.codes.shape
        parts = {"scales": (blocks.scales, self.block), "selectors": (blocks.selectors, self.selector_block)}
        for name, (array, size) in parts.items():
            if (array is None) != (size is None):
                raise InputError(f"{name} of {self.title} are {'missing' if array is None else 'given'}: check the codes")
            if array is not None and size is not None and (columns % size or array.shape != (rows, columns // size)):
                raise InputError(
                    f"{name} of {self.title} have shape {array.shape}: codes {(rows, columns)} need one for {size}"
                )
        if (blocks.tensor_scales is None) == self.tensor_scale:
            raise InputError(f"tensor scale of {self.title} is {'missing' if self.tensor_scale else 'given'}: check the codes")
        if blocks.tensor_scales is not None and blocks.tensor_scales.shape not in ((), (rows, 1)):
            raise InputError(
                f"tensor scale of {self.title} has shape {blocks.tensor_scales.shape}: () or {(rows, 1)} is needed"
            )
        self.elements[0].checked_codes(blocks.codes)
        self.scales.checked(blocks.scales)
        if blocks.selectors is not None:
            self.checked_selectors(blocks.selectors)

    # Shared

    def checked_selectors(self, selectors: ArrayLike) -> NDArray[np.int64]:
        """`selectors` as integers; anything that is no number of a codebook is refused."""
        array = np.asarray(selectors)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"selectors of {self.title} have dtype {array.dtype}: integers are needed")
        array = array.astype(np.int64)
        last = len(self.elements) - 1
        if array.size and not 0 <= array.min() <= array.max() <= last:
            worst = array.min() if array.min() < 0 else array.max()
            raise InputError(f"selector {worst} is none of {self.title}: its codebooks are 0 to {last}")
        return array

    def _checked(self, x: ArrayLike) -> NDArray[np.float64]:
        given = np.asarray(x)
        if given.ndim != 2 or not given.size:
            raise InputError(f"numbers for {self.title} have shape {given.shape}: (rows, columns) is needed")
        if given.shape[1] % self.block:
            raise InputError(
                f"rows of {given.shape[1]} numbers: {self.title} has blocks of {self.block}; give a multiple of it"
            )
        with np.errstate(over="ignore"):
            real = given.astype(np.float32)
        if not np.isfinite(real).all():
            kind = "NaN" if np.isnan(real).any() else "infinite values"
            raise InputError(f"numbers for {self.title} contain {kind}: nothing is nearest to that, use sound numbers")
        return real.astype(np.float64)

    def _tensor_scales(self, magnitudes: NDArray[Any]) -> NDArray[np.float32]:
        found = np.asarray(magnitudes / (float(self.full_scale) * float(self.scales.maximum)), dtype=np.float32)
        return np.where(magnitudes > 0, np.maximum(found, _FLOAT32.smallest_subnormal), np.float32(1))

    @cached_property
    def _tables(self) -> NDArray[np.int64]:
        return np.array([one.values for one in self.elements], dtype=np.int64)
