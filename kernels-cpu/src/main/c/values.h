// Weights as floats.
#ifndef LACUNA_VALUES_H
#define LACUNA_VALUES_H

#include "formats.h"

/** The values of a block, column by column: v[column][lane]. */
INLINE void values(int f, block k, float (*v)[LANES]) {
    I byte = i_set(255);
    int exact = f == I8_GROUP || f == I4_GROUP;
    I offset = i_add(k.zero, i_set(shift(f) < 0 ? 0 : 1 << (shift(f) < 0 ? 0 : shift(f))));
    UNROLL for (int i = 0; i < 8; i++) {
        F d = f == Q6_K && i >= 4 ? k.d2 : k.d;
        UNROLL for (int y = 0; y < 4; y++) {
            I code = i_and(i_right(k.w[i], 8 * y), byte);
            if (shift(f) >= 0 || exact) code = i_sub(code, offset);
            F value = has_min(f) && !exact ? f_fma(d, f_of(code), k.m) : f_mul(d, f_of(code));
            f_store(v[4 * i + y], value);
        }
    }
}

#endif
