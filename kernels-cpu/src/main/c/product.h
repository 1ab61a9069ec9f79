// Products of tiles of 16 weight rows with activation rows.
#ifndef LACUNA_PRODUCT_H
#define LACUNA_PRODUCT_H

#include "values.h"

/** The tier whose kernels this one takes where it has none of its own. */
#ifdef BASE
#define ON_BASE(name) JOIN(name, BASE)
#else
#define ON_BASE(name) KERNEL(name)
#endif

/** A block that was unpacked for many activation rows. */
typedef struct {
    uint8_t codes[512];
    float d[LANES], d2[LANES], m[LANES];
} panel_block;

/** Tiles that are unpacked at a time for many rows, and how many activation rows are many. */
#define PANEL_TILES 4
#define MANY 12

INLINE int64_t blocks_of(int64_t cols) { return (cols + BLOCK - 1) / BLOCK; }

/** What the products of a block are scaled with, for one activation row. */
typedef struct {
    const int8_t *codes;
    const float *d;
    const float *s;
    const int32_t *n;
    const int32_t *before;
} x_row;

INLINE x_row x_at(const struct act *x, int64_t row) {
    const int8_t *p = x->codes + row * x->bytes;
    const float *d = (const float *)(p + x->padded);
    int64_t blocks = x->padded / BLOCK;
    return (x_row){ p, d, d + blocks, (const int32_t *)(d + 2 * blocks), (const int32_t *)(d + 4 * blocks) };
}
/** The negated sum of the codes of a run of blocks. */
INLINE int32_t run_sum(const x_row *x, int64_t from, int64_t to) {
    return to - from == 1 ? x->n[2 * from] + x->n[2 * from + 1] : x->before[to] - x->before[from];
}

/** Blocks of 32 whose products with bytes are summed as whole numbers: what both a weight's scale and an activation's cover, and the sum can hold. */
INLINE int64_t long_run(const struct weight *w, const struct act *x) {
    int64_t most = 4096;
    if (x->block) most = x->block / BLOCK;
    if (!has_row_scale((int)w->format)) most = w->group / BLOCK < most ? w->group / BLOCK : most;
    return most;
}
/**
 * Whether sums are longer than a block, or one scale stands at the end of a row. Few rows wait for memory, and what is expanded for them stays in
 * registers.
 */
INLINE int long_sums(const struct weight *w, const struct act *x, int64_t rows) {
    int f = (int)w->format;
    if (f == I8_ROW) return 1;
    return (f == I8_GROUP || f == I4_GROUP || (is_sparse(f) && rows > MANY)) && long_run(w, x) > 1;
}

/** Splits rows into runs of at most `most`, a constant, whose length is one for the compiler: CALL(length) with the first row in t. */
#define IN_RUNS(n, t, most, CALL)                                                                                                                    \
    for (int64_t t = 0, left = (n); left > 0; left = (n) - t) {                                                                                      \
        if ((most) >= 12 && left >= 12) { CALL(12); t += 12; }                                                                                       \
        else if ((most) >= 8 && left >= 8) { CALL(8); t += 8; }                                                                                      \
        else if ((most) == 6 && left >= 6) { CALL(6); t += 6; }                                                                                      \
        else if ((most) >= 4 && left >= 4) { CALL(4); t += 4; }                                                                                      \
        else if (left >= 2) { CALL(2); t += 2; }                                                                                                     \
        else { CALL(1); t += 1; }                                                                                                                    \
    }

/** A tile for long sums: its codes, 512 bytes for each block of 32 columns, and for each run a scale and a zero point; for I8_ROW one scale. */
typedef struct {
    const uint8_t *codes;
    const float *d;
    const int32_t *zero;
} long_tile;

/** Rows whose sums wait between steps of tiles, and bytes of scratch for what tiles need beside panels. */
#define TILED_ROWS 256
#define TILED_BYTES (64 * 1024)

/** Bytes of scratch that tiles of so many columns need. */
INLINE int64_t panel_bytes(int64_t cols) {
    int64_t codes = PANEL_TILES * blocks_of(cols) * (int64_t)sizeof(panel_block);
    int64_t floats = blocks_of(cols) * BLOCK * LANES * (int64_t)sizeof(float);
    int64_t tiled = TILED_BYTES + 2 * blocks_of(cols) * BLOCK * LANES * (int64_t)sizeof(uint16_t);
    int64_t most = codes > floats ? codes : floats;
    return most > tiled ? most : tiled;
}

/** y[r * stride + 16 * (tile - from) ..] = x[index[r]] . w for tiles from .. to and all rows; lanes past the weight's rows are zeros. */
typedef void multiplies(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                        int64_t stride, void *scratch);
multiplies KERNEL(multiply);

/** The parts of it: float activations, bytes in sums of 32 columns and in longer ones, bfloat16. */
multiplies ON_BASE(floats), ON_BASE(eight_bits), ON_BASE(longs), KERNEL(brains);

#endif
