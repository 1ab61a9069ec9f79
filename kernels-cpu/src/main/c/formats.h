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
//   Of sparse formats a vector holds only the bytes that its mask has a bit for; what is not stored is the code of zero. Byte 4r + y of a vector is
//   column 4i + y of lane r, so each half byte of a mask is four successive columns of one row. Stored are codes with their highest bit turned, which
//   makes zero of what is not there.
//   I8_24      : [scale f32 x16] then for each 32 [mask u64 x8][32 bytes x8]
//   I4_24      : for each group [scale f32 x16], then for each 32 [mask u64 x8][32 bytes x4], vectors i and 4 + i in the halves of bytes
//   I8_BITMASK : [scale f32 x16][where each 32 begin u32] then for each 32 [mask u64 x8][the stored bytes]
//   I4_BITMASK : [where each 32 begin u32] then for each group [scale f32 x16], for each 32 [mask u64 x8][the stored halves, those of a vector beginning
//                at a byte]
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
INLINE int is_sparse(int f) { return f >= I8_24; }
/** Whose tiles differ in length. */
INLINE int is_bitmask(int f) { return f >= I8_BITMASK; }
INLINE int has_row_scale(int f) { return f == I8_ROW || f == I8_24 || f == I8_BITMASK; }
INLINE int has_min(int f) { return f == Q4_1 || f == Q5_1 || f == Q4_K || f == Q5_K || f == I8_GROUP || f == I4_GROUP; }
/** Codes are taken off 1 << shift(f) where the shift is not negative. */
INLINE int shift(int f) {
    switch (f) {
    case Q8_0: case I8_ROW: case I8_GROUP: case I8_24: case I8_BITMASK: return 7;
    case Q4_0: case I4_24: case I4_BITMASK: return 3;
    case Q5_0: return 4;
    case Q6_K: return 5;
    default: return -1;
    }
}
/** What the negated sums of an activation's codes count for bytes that are stored so. */
#define SHIFTED(f) (shift(f) < 0 ? 0 : 1 << (shift(f) < 0 ? 0 : shift(f)))
INLINE int code_bytes(int f) {
    switch (f) {
    case Q4_0: case Q4_1: case Q4_K: case I4_GROUP: return 256;
    case Q5_0: case Q5_1: case Q5_K: case I8_24: return 320;
    case I4_24: return 192;
    case Q6_K: return 384;
    default: return 512;
    }
}
/** Bytes of what comes first in each run of `run(f)` columns, and in each block of 32. */
INLINE int run(int f, int group) {
    switch (f) {
    case Q4_K: case Q5_K: case Q6_K: return 256;
    case I8_24: case I8_BITMASK: return 64;
    case I8_GROUP: case I4_GROUP: case I4_24: case I4_BITMASK: return group;
    default: return 32;
    }
}
INLINE int run_header(int f) {
    switch (f) {
    case Q4_K: case Q5_K: return 64;
    case Q6_K: return 32;
    case I8_GROUP: case I4_GROUP: return 80;
    case I4_24: return 64;
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
    return (has_row_scale(f) ? 64 : 0) + (cols + r - 1) / r * run_bytes(f, group);
}

/** Where a tile begins. */
INLINE const uint8_t *tile_at(const struct weight *w, int64_t tile) {
    if (!is_bitmask((int)w->format)) return w->data + tile * w->tile_bytes;
    int64_t at;
    memcpy(&at, w->data + tile * (int64_t)sizeof at, sizeof at);
    return w->data + at;
}

INLINE F unpack_float(int f, const uint8_t *tile, int64_t col) {
    const uint8_t *p = tile + col * float_bytes(f);
    return f == F32 ? f_load((const float *)p) : f == F16 ? f_half(p) : f_brain(p);
}

/** Where block b of a bitmask tile begins. */
INLINE const uint8_t *bitmask_block(int f, const uint8_t *tile, int64_t b) {
    uint32_t at;
    memcpy(&at, tile + (has_row_scale(f) ? 64 : 0) + b * (int64_t)sizeof at, sizeof at);
    return tile + at;
}

/** Bytes of a stream of weights that are asked for before they are needed. */
#define WEIGHTS_AHEAD 8192
/** Beside the streams of several activations, or where lines are read in part and again, the processor does not see that a stream goes on. */
INLINE void ask_ahead(const uint8_t *p, int bytes) {
    UNROLL for (int i = 0; i < bytes; i += 64) _mm_prefetch((const char *)p + WEIGHTS_AHEAD + i, _MM_HINT_T0);
}

INLINE void expand_codes(int f, int by_one, const uint8_t *p, I w[8]) {
    I zero = i_set(f == I8_24 || f == I8_BITMASK ? (int32_t)0x80808080 : 0x08080808), low = i_set(0x0f0f0f0f);
    const uint8_t *q = p + 64;
    uint64_t m[8];
    memcpy(m, p, sizeof m);
    UNROLL for (int i = 0; i < 8; i++) {
        I x;
        switch (f) {
        case I8_24: x = i_expand(by_one, m[i], q + 32 * i); break;
        case I4_24: x = i_expand_of(by_one, m[i], i_and(i < 4 ? i_load_half(q + 32 * i) : i_right(i_load_half(q + 32 * (i - 4)), 4), low)); break;
        case I8_BITMASK:
            x = i_expand(by_one, m[i], q);
            q += _mm_popcnt_u64(m[i]);
            break;
        default:
            x = i_expand_of(by_one, m[i], i_nibbles(q));
            q += (_mm_popcnt_u64(m[i]) + 1) / 2;
        }
        w[i] = i_xor(x, zero);
    }
}

INLINE void unpack_codes(int f, const uint8_t *p, I w[8]) {
    if (is_sparse(f)) {
        if (can_expand()) expand_codes(f, 1, p, w);
        else expand_codes(f, 0, p, w);
        return;
    }
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
    const uint8_t *r = is_bitmask(f) ? bitmask_block(f, tile, b / per * per) - 64 : tile + (has_row_scale(f) ? 64 : 0) + b / per * run_bytes(f, group);
    const uint8_t *p = is_bitmask(f) ? bitmask_block(f, tile, b) : r + run_header(f) + b % per * (block_header(f) + code_bytes(f));
    ask_ahead(p, is_sparse(f) ? 320 : block_header(f) + code_bytes(f));
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
    case I8_ROW: case I8_24: case I8_BITMASK:
        k.d = f_load((const float *)tile);
        break;
    case I4_24: case I4_BITMASK:
        k.d = f_load((const float *)r);
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
        CALL(I8_GROUP) CALL(I4_GROUP) CALL(I8_24) CALL(I4_24) CALL(I8_BITMASK) CALL(I4_BITMASK)
#define EACH_BLOCK_FORMAT(CALL)                                                                                                                      \
    CALL(Q8_0) CALL(Q4_0) CALL(Q4_1) CALL(Q5_0) CALL(Q5_1) CALL(Q4_K) CALL(Q5_K) CALL(Q6_K) CALL(I8_ROW) CALL(I8_GROUP) CALL(I4_GROUP)                \
        CALL(I8_24) CALL(I4_24) CALL(I8_BITMASK) CALL(I4_BITMASK)

#endif
