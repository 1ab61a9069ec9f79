// How weights lie in memory once they are placed: tiles of 16 rows, one row to a lane, so that sums over columns need no sums across lanes, and every
// byte is read once and in order.
//
// Of each block of 32 columns a tile holds, for lane r, the words w[i], i = 0 .. 7, whose byte y is the code of column 4i + y:
//   8 bits: the eight vectors;  4 bits: four vectors, w[i] in the low and w[4 + i] in the high halves of bytes;
//   the fifth bits as one vector (bit i of byte y: column 4i + y), the fifth and sixth as two (bits 2i, 2i + 1 of byte y of vector i / 4).
// Codes are unsigned; what the format takes off them is Offset, applied to integer sums through the sums of the activation's codes.
//   Q*_0, Q*_1 : [d f16 x16][m f16 x16 where it has one][codes]
//   Q4_K, Q5_K : [d f16 x16][dmin f16 x16] then 8 x { [scale u8 x16][min u8 x16][codes] }
//   Q6_K       : [d f16 x16] then 8 x { [scale of the first 16 s8 x16][of the second][codes] }
//   I8_ROW     : [scale f32 x16] then the codes of each 32, columns padded with zeros
//   I*_GROUP   : for each group [scale f32 x16][zero point s8 x16], codes of each 32
//   F32, F16, BF16: for each column the values of 16 rows
#ifndef LACUNA_FORMATS_H
#define LACUNA_FORMATS_H

#include "kernels.h"
#include "lanes.h"

/**
 * A block of 32 columns: value = d * (code - offset) + m, with d2 for the last 16 columns of Q6_K; where groups have a zero point, m is -d * zero, and
 * the value is exactly d * (code - offset - zero).
 */
typedef struct {
    I w[8], zero;
    F d, d2, m;
} block;

INLINE int is_float(int f) { return f <= BF16; }
INLINE int has_min(int f) { return f == Q4_1 || f == Q5_1 || f == Q4_K || f == Q5_K || f == I8_GROUP || f == I4_GROUP; }
/** Codes are taken off 1 << shift(f) where the shift is not negative. */
INLINE int shift(int f) {
    switch (f) {
    case Q8_0: case I8_ROW: case I8_GROUP: return 7;
    case Q4_0: return 3;
    case Q5_0: return 4;
    case Q6_K: return 5;
    default: return -1;
    }
}
INLINE int code_bytes(int f) {
    switch (f) {
    case Q4_0: case Q4_1: case Q4_K: case I4_GROUP: return 256;
    case Q5_0: case Q5_1: case Q5_K: return 320;
    case Q6_K: return 384;
    default: return 512;
    }
}
/** Bytes of what comes first in each run of `run(f)` columns, and in each block of 32. */
INLINE int run(int f, int group) {
    switch (f) {
    case Q4_K: case Q5_K: case Q6_K: return 256;
    case I8_GROUP: case I4_GROUP: return group;
    default: return 32;
    }
}
INLINE int run_header(int f) {
    switch (f) {
    case Q4_K: case Q5_K: return 64;
    case Q6_K: return 32;
    case I8_GROUP: case I4_GROUP: return 80;
    default: return 0;
    }
}
INLINE int block_header(int f) {
    switch (f) {
    case Q8_0: case Q4_0: case Q5_0: case Q4_K: case Q5_K: case Q6_K: return 32;
    case Q4_1: case Q5_1: return 64;
    default: return 0;
    }
}
INLINE int64_t run_bytes(int f, int group) {
    return run_header(f) + run(f, group) / 32 * (int64_t)(block_header(f) + code_bytes(f));
}
INLINE int float_bytes(int f) { return f == F32 ? 64 : 32; }
static inline int64_t tile_bytes(int f, int group, int64_t cols) {
    if (is_float(f)) return cols * float_bytes(f);
    int r = run(f, group);
    return (f == I8_ROW ? 64 : 0) + (cols + r - 1) / r * run_bytes(f, group);
}

INLINE F unpack_float(int f, const uint8_t *tile, int64_t col) {
    const uint8_t *p = tile + col * float_bytes(f);
    return f == F32 ? f_load((const float *)p) : f == F16 ? f_half(p) : f_brain(p);
}

INLINE void unpack_codes(int f, const uint8_t *p, I w[8]) {
    if (code_bytes(f) == 512) {
        UNROLL for (int i = 0; i < 8; i++) w[i] = i_load(p + 64 * i);
        return;
    }
    I low = i_set(0x0f0f0f0f);
    UNROLL for (int i = 0; i < 4; i++) {
        I v = i_load(p + 64 * i);
        w[i] = i_and(v, low);
        w[4 + i] = i_and(i_right(v, 4), low);
    }
    if (code_bytes(f) == 320) {
        I bits = i_load(p + 256);
        I fifth = i_set(0x10101010);
        UNROLL for (int i = 0; i < 8; i++) w[i] = i_or(w[i], i_and(i < 4 ? i_left(bits, 4 - i) : i_right(bits, i - 4), fifth));
    }
    if (code_bytes(f) == 384) {
        I pair = i_set(0x30303030);
        UNROLL for (int i = 0; i < 8; i++) {
            I bits = i_load(p + 256 + 64 * (i / 4));
            int at = 2 * (i % 4);
            w[i] = i_or(w[i], i_and(at <= 4 ? i_left(bits, 4 - at) : i_right(bits, at - 4), pair));
        }
    }
}

/** Block number b of a tile. f is a constant wherever this is called, so that nothing is left of the choices. */
INLINE block unpack_block(int f, int group, const uint8_t *tile, int64_t b) {
    block k;
    int per = run(f, group) / 32;
    const uint8_t *r = tile + (f == I8_ROW ? 64 : 0) + b / per * run_bytes(f, group);
    const uint8_t *p = r + run_header(f) + b % per * (block_header(f) + code_bytes(f));
    unpack_codes(f, p + block_header(f), k.w);
    k.m = f_zero();
    k.d2 = f_zero();
    k.zero = i_set(0);
    switch (f) {
    case Q4_1: case Q5_1:
        k.d = f_half(p);
        k.m = f_half(p + 32);
        break;
    case Q4_K: case Q5_K:
        k.d = f_mul(f_half(r), f_of(i_u8(p)));
        k.m = f_mul(f_sub(f_zero(), f_half(r + 32)), f_of(i_u8(p + 16)));
        break;
    case Q6_K:
        k.d = f_mul(f_half(r), f_of(i_s8(p)));
        k.d2 = f_mul(f_half(r), f_of(i_s8(p + 16)));
        break;
    case I8_ROW:
        k.d = f_load((const float *)tile);
        break;
    case I8_GROUP: case I4_GROUP:
        k.d = f_load((const float *)r);
        k.zero = i_s8(r + 64);
        k.m = f_mul(f_sub(f_zero(), k.d), f_of(k.zero));
        break;
    default:
        k.d = f_half(p);
    }
    return k;
}

/** Calls of f(format) with the format as a constant. */
#define EACH_FORMAT(CALL)                                                                                                                            \
    CALL(F32) CALL(F16) CALL(BF16) CALL(Q8_0) CALL(Q4_0) CALL(Q4_1) CALL(Q5_0) CALL(Q5_1) CALL(Q4_K) CALL(Q5_K) CALL(Q6_K) CALL(I8_ROW)               \
        CALL(I8_GROUP) CALL(I4_GROUP)
#define EACH_BLOCK_FORMAT(CALL)                                                                                                                      \
    CALL(Q8_0) CALL(Q4_0) CALL(Q4_1) CALL(Q5_0) CALL(Q5_1) CALL(Q4_K) CALL(Q5_K) CALL(Q6_K) CALL(I8_ROW) CALL(I8_GROUP) CALL(I4_GROUP)

#endif
