// Functions of lanes, and the packing of activations.
#ifndef LACUNA_FUNCTIONS_H
#define LACUNA_FUNCTIONS_H

#include "brain.h"
#include "kernels.h"
#include <float.h>
#include <math.h>

/** e^x to about 1e-7: 2^n times a polynomial of the rest (Cody and Waite's reduction); infinite above the range, zero or nearly below. */
INLINE F f_exp(F x) {
    // the second operand is what comes back where one is not a number
    F y = f_max(f_set(-87.3f), f_min(f_set(88.3f), x));
    I n = f_round(f_mul(y, f_set(1.44269504f)));
    F k = f_of(n);
    F r = f_fma(k, f_set(-0.693359375f), y);
    r = f_fma(k, f_set(2.12194440e-4f), r);
    F p = f_set(1.9875691500e-4f);
    p = f_fma(p, r, f_set(1.3981999507e-3f));
    p = f_fma(p, r, f_set(8.3334519073e-3f));
    p = f_fma(p, r, f_set(4.1665795894e-2f));
    p = f_fma(p, r, f_set(1.6666665459e-1f));
    p = f_fma(p, r, f_set(0.5f));
    p = f_fma(f_mul(p, r), r, f_add(r, f_set(1)));
    F e = f_mul(p, f_from(i_left(i_add(n, i_set(127)), 23)));
    return f_above(x, f_set(88.72f), f_set(INFINITY), e);
}

INLINE F f_sign_of(F x, F of) { return f_from(i_or(f_bits(x), i_and(f_bits(of), i_set((int32_t)0x80000000)))); }

INLINE F f_tanh(F x) {
    F a = f_abs(x);
    F far = f_sub(f_set(1), f_div(f_set(2), f_add(f_exp(f_add(a, a)), f_set(1))));
    // near zero the difference would cancel: Taylor
    F q = f_mul(x, x);
    F p = f_set(-1382.0f / 155925);
    p = f_fma(p, q, f_set(62.0f / 2835));
    p = f_fma(p, q, f_set(-17.0f / 315));
    p = f_fma(p, q, f_set(2.0f / 15));
    p = f_fma(p, q, f_set(-1.0f / 3));
    F near = f_fma(f_mul(x, q), p, x);
    return f_above(a, f_set(0.35f), f_sign_of(far, x), near);
}

/** Abramowitz and Stegun 7.1.26, absolute error 1.5e-7. */
INLINE F f_erf(F x) {
    F a = f_abs(x);
    F t = f_div(f_set(1), f_fma(f_set(0.3275911f), a, f_set(1)));
    F p = f_set(1.061405429f);
    p = f_fma(p, t, f_set(-1.453152027f));
    p = f_fma(p, t, f_set(1.421413741f));
    p = f_fma(p, t, f_set(-0.284496736f));
    p = f_fma(p, t, f_set(0.254829592f));
    F e = f_exp(f_sub(f_zero(), f_mul(a, a)));
    return f_sign_of(f_sub(f_set(1), f_mul(f_mul(p, t), e)), x);
}

INLINE F f_activate(int f, F x) {
    F one = f_set(1);
    switch (f) {
    case SILU: return f_div(x, f_add(one, f_exp(f_sub(f_zero(), x))));
    case GELU_TANH: {
        // x / 2 * (1 + tanh(u)) = x / (1 + exp(-2u))
        F u = f_mul(x, f_fma(f_mul(x, x), f_set(0.044715f), one));
        return f_div(x, f_add(one, f_exp(f_mul(u, f_set(-1.5957691216f)))));
    }
    case GELU_ERF: return f_mul(f_mul(x, f_set(0.5f)), f_add(one, f_erf(f_mul(x, f_set(0.70710678118f)))));
    default: return f_max(f_zero(), x);
    }
}

/** The largest magnitude of 32 values, as bits. */
INLINE I i_magnitude(F low, F high) { return i_max(f_bits(f_abs(low)), f_bits(f_abs(high))); }

/**
 * Packs 32 values as block b of a row; bits are those of the largest magnitude that shares their scale. What is not finite makes the whole block not a
 * number, as the definition does.
 */
INLINE void pack_codes(const struct act *x, int64_t row, int64_t b, F low, F high, int32_t bits) {
    int8_t *codes = x->codes + row * x->bytes;
    float *d = (float *)(codes + x->padded);
    int64_t blocks = x->padded / BLOCK;
    int32_t *n = (int32_t *)(d + 2 * blocks);
    float max;
    memcpy(&max, &bits, sizeof max);
    float scale = max / 127;
    float inverse = scale < FLT_MIN ? 0 : 1 / scale;
    I first = i_set(0), second = first;
    if (bits < 0x7f800000) {
        first = f_round(f_mul(low, f_set(inverse)));
        second = f_round(f_mul(high, f_set(inverse)));
    } else {
        scale = NAN;
    }
    i_store_s8(codes + b * BLOCK, first);
    i_store_s8(codes + b * BLOCK + LANES, second);
    n[2 * b] = -i_sum(first);
    n[2 * b + 1] = -i_sum(second);
    d[b] = scale;
    d[blocks + b] = scale * (float)-(n[2 * b] + n[2 * b + 1]);
}

/** Whether values wait as floats until their row is complete: their scale is that of more than a block. */
INLINE int waits(const struct act *x) { return x->input == IN_I8 && x->block != BLOCK; }

/** Packs 32 values, zeros after the row's end, for the consumer; where they wait, pack_row is to follow. */
INLINE void pack_block(const struct act *x, int64_t row, int64_t b, const float v[BLOCK]) {
    int64_t n = x->cols - b * BLOCK;
    F low = f_load_some(v, n), high = n > LANES ? f_load_some(v + LANES, n - LANES) : f_zero();
    if (x->input == IN_BF16) {
        uint16_t *to = (uint16_t *)(x->codes + row * x->bytes) + b * BLOCK;
        f_store_brain(to, low);
        f_store_brain(to + LANES, high);
    } else if (x->input == IN_I8 && !waits(x)) {
        pack_codes(x, row, b, low, high, i_most(i_magnitude(low, high)));
    } else {
        float *to = x->floats + row * x->padded + b * BLOCK;
        f_store(to, low);
        f_store(to + LANES, high);
    }
}

/** Packs a whole row; v may be the row's own floats. */
INLINE void pack_row(const struct act *x, int64_t row, const float *v) {
    int64_t blocks = x->padded / BLOCK;
    if (!waits(x)) {
        for (int64_t b = 0; b < blocks; b++) pack_block(x, row, b, v + b * BLOCK);
        return;
    }
    int64_t per = x->block ? x->block / BLOCK : blocks;
    for (int64_t from = 0; from < blocks; from += per) {
        int64_t to = from + per < blocks ? from + per : blocks;
        I most = i_set(0);
        for (int64_t c = from * BLOCK; c < to * BLOCK && c < x->cols; c += LANES) {
            most = i_max(most, f_bits(f_abs(f_load_some(v + c, x->cols - c))));
        }
        int32_t bits = i_most(most);
        for (int64_t b = from; b < to; b++) {
            int64_t n = x->cols - b * BLOCK;
            const float *at = v + b * BLOCK;
            pack_codes(x, row, b, f_load_some(at, n), n > LANES ? f_load_some(at + LANES, n - LANES) : f_zero(), bits);
        }
    }
    const int32_t *n = (const int32_t *)(x->codes + row * x->bytes + x->padded) + 2 * blocks;
    int32_t *before = (int32_t *)n + 2 * blocks;
    before[0] = 0;
    for (int64_t b = 0; b < blocks; b++) before[b + 1] = before[b] + n[2 * b] + n[2 * b + 1];
}

#endif
