// bfloat16: the upper half of a float, two to a lane.
#ifndef LACUNA_BRAIN_H
#define LACUNA_BRAIN_H

#include "lanes.h"

/** Rounded to nearest, ties to even, in the low halves of the lanes; what is not a number stays so. */
INLINE I i_brain(F x) {
    I bits = f_bits(x);
    I nan = i_above(i_and(bits, i_set(0x7fffffff)), i_set(0x7f800000));
    I up = i_right(bits, 16);
    I rounded = i_right(i_add(i_add(bits, i_set(0x7fff)), i_and(up, i_set(1))), 16);
    // i_right(nan, 31) - 1: all bits where x is a number
    return i_or(i_and(nan, i_or(up, i_set(0x40))), i_and(i_add(i_right(nan, 31), i_set(-1)), rounded));
}

/** Sixteen values. */
INLINE void f_store_brain(void *p, F x) { i_store_16(p, i_brain(x)); }

/** Columns c and c + 1, the first in the low half. */
INLINE I i_pair(F first, F second) { return i_or(i_brain(first), i_left(i_brain(second), 16)); }
INLINE F f_first(I pair) { return f_from(i_left(pair, 16)); }
INLINE F f_second(I pair) { return f_from(i_and(pair, i_set((int32_t)0xffff0000))); }

/** The same by the processor's own rounding where it has one, to which what is subnormal is zero. */
INLINE I i_pairs(F first, F second) {
#if defined(__AVX512BF16__)
    static const uint16_t order[2 * LANES] = { 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31 };
    return _mm512_permutexvar_epi16(i_load(order), (__m512i)_mm512_cvtne2ps_pbh(second, first));
#else
    return i_pair(first, second);
#endif
}

/** 32 values one after the other, rounded likewise. */
INLINE I i_row(F first, F second) {
#if defined(__AVX512BF16__)
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
#else
    uint16_t row[2 * LANES];
    f_store_brain(row, first);
    f_store_brain(row + LANES, second);
    return i_load(row);
#endif
}

/** Adds the products of the second halves, then those of the first, to each lane: the order of vdpbf16ps, whose products are exact as here. */
INLINE F f_dot_brain(F sum, I w, I x) {
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x);
#else
    return f_fma(f_first(w), f_first(x), f_fma(f_second(w), f_second(x), sum));
#endif
}

#endif
