// Products: every sum is over one row's columns in one order, however many rows and tiles share the work.
#include "product.h"
#include "functions.h"
#include "tiles.h"

#ifndef BASE // a tier that differs in few products takes the others from the tier that it is built on

// ---- 8-bit activations: integer sums of 32 columns, scaled and added in single precision

/** Adds a block's products to sum; factor is what the negated sums of codes count, 1 << shift or 0. */
INLINE F add_block(int two, int min, int32_t factor, const I w[8], F d, F d2, F m, const x_row *x, int64_t b, F sum) {
    const int8_t *q = x->codes + BLOCK * b;
    const int32_t *n = x->n + 2 * b;
    I first = i_set(two ? n[0] * factor : (n[0] + n[1]) * factor);
    I second = two ? i_set(n[1] * factor) : first;
    UNROLL for (int i = 0; i < 4; i++) first = i_dot(first, w[i], i_four(q + 4 * i));
    if (two) {
        UNROLL for (int i = 4; i < 8; i++) second = i_dot(second, w[i], i_four(q + 4 * i));
        F both = f_fma(f_of(second), d2, f_mul(f_of(first), d));
        return f_fma(both, f_set(x->d[b]), sum);
    }
    UNROLL for (int i = 4; i < 8; i++) first = i_dot(first, w[i], i_four(q + 4 * i));
    sum = f_fma(f_mul(f_of(first), f_set(x->d[b])), d, sum);
    return min ? f_fma(m, f_set(x->s[b]), sum) : sum;
}

/** n rows, a constant, with a tile that is unpacked in registers. */
INLINE void direct_rows(int f, int n, int group, const uint8_t *tile, int64_t blocks, const struct act *x, const int32_t *index, float *y,
                        int64_t stride) {
    x_row row[n];
    F sum[n];
    UNROLL for (int t = 0; t < n; t++) {
        row[t] = x_at(x, index[t]);
        sum[t] = f_zero();
    }
    for (int64_t b = 0; b < blocks; b++) {
        block k = unpack_block(f, group, tile, b);
        UNROLL for (int t = 0; t < n; t++) sum[t] = add_block(f == Q6_K, has_min(f), SHIFTED(f), k.w, k.d, k.d2, k.m, &row[t], b, sum[t]);
    }
    UNROLL for (int t = 0; t < n; t++) f_store(y + t * stride, sum[t]);
}

/**
 * The same with unpacked tiles, which share what is loaded of an activation. Sizes of arrays are constants: those of a variable size, even of one that is
 * known here, do not become registers.
 */
INLINE void panel_rows(int two, int min, int tiles, int n, int32_t factor, const panel_block *panel, int64_t blocks, const struct act *x,
                       const int32_t *index, float *y, int64_t stride) {
    x_row row[MANY];
    F sum[MANY][2];
    UNROLL for (int t = 0; t < n; t++) {
        row[t] = x_at(x, index[t]);
        UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_zero();
    }
    for (int64_t b = 0; b < blocks; b++) {
        const panel_block *p = panel + b;
        I part[MANY][2];
        F first[MANY][2];
        UNROLL for (int t = 0; t < n; t++) {
            const int32_t *off = row[t].n + 2 * b;
            UNROLL for (int k = 0; k < tiles; k++) part[t][k] = i_set(two ? off[0] * factor : (off[0] + off[1]) * factor);
        }
        UNROLL for (int i = 0; i < 8; i++) {
            I w[2];
            UNROLL for (int k = 0; k < tiles; k++) w[k] = i_load(p[k * blocks].codes + 64 * i);
            UNROLL for (int t = 0; t < n; t++) {
                I four = i_four(row[t].codes + BLOCK * b + 4 * i);
                UNROLL for (int k = 0; k < tiles; k++) {
                    if (two && i == 4) {
                        first[t][k] = f_mul(f_of(part[t][k]), f_load(p[k * blocks].d));
                        part[t][k] = i_set(row[t].n[2 * b + 1] * factor);
                    }
                    part[t][k] = i_dot(part[t][k], w[k], four);
                }
            }
        }
        UNROLL for (int t = 0; t < n; t++) {
            F d = f_set(row[t].d[b]);
            UNROLL for (int k = 0; k < tiles; k++) {
                const panel_block *at = p + k * blocks;
                F all = f_of(part[t][k]);
                if (two) sum[t][k] = f_fma(f_fma(all, f_load(at->d2), first[t][k]), d, sum[t][k]);
                else sum[t][k] = f_fma(f_mul(all, d), f_load(at->d), sum[t][k]);
                if (min) sum[t][k] = f_fma(f_load(at->m), f_set(row[t].s[b]), sum[t][k]);
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int k = 0; k < tiles; k++) f_store(y + t * stride + k * LANES, sum[t][k]);
}

/** Rows whose sums stay in registers together. */
#if defined(__AVX512F__)
#define TOGETHER 12
#else
#define TOGETHER 4
#endif

/** Splits rows into runs whose length is a constant for the compiler. */
#define BY_ROWS(n, t, CALL)                                                                                                                          \
    for (int64_t t = 0, left = (n); left > 0; left = (n) - t) {                                                                                      \
        if (TOGETHER >= 12 && left >= 12) { CALL(12); t += 12; }                                                                                                       \
        else if (TOGETHER >= 8 && left >= 8) { CALL(8); t += 8; }                                                                                                     \
        else if (left >= 4) { CALL(4); t += 4; }                                                                                                     \
        else if (left >= 2) { CALL(2); t += 2; }                                                                                                     \
        else { CALL(1); t += 1; }                                                                                                                    \
    }

#define DIRECT(f)                                                                                                                                    \
    static void direct_##f(const struct weight *w, const uint8_t *tile, const struct act *x, const int32_t *index, int64_t rows, float *y,           \
                           int64_t stride) {                                                                                                         \
        int64_t blocks = blocks_of(w->cols);                                                                                                         \
        int group = (int)w->group;                                                                                                                   \
        BY_ROWS(rows, t, DIRECT_ROWS_##f)                                                                                                            \
    }
#define DIRECT_CALL(f, n) direct_rows(f, n, group, tile, blocks, x, index + t, y + t * stride, stride)
#define DIRECT_ROWS_Q8_0(n) DIRECT_CALL(Q8_0, n)
#define DIRECT_ROWS_Q4_0(n) DIRECT_CALL(Q4_0, n)
#define DIRECT_ROWS_Q4_1(n) DIRECT_CALL(Q4_1, n)
#define DIRECT_ROWS_Q5_0(n) DIRECT_CALL(Q5_0, n)
#define DIRECT_ROWS_Q5_1(n) DIRECT_CALL(Q5_1, n)
#define DIRECT_ROWS_Q4_K(n) DIRECT_CALL(Q4_K, n)
#define DIRECT_ROWS_Q5_K(n) DIRECT_CALL(Q5_K, n)
#define DIRECT_ROWS_Q6_K(n) DIRECT_CALL(Q6_K, n)
#define DIRECT_ROWS_I8_ROW(n) DIRECT_CALL(I8_ROW, n)
#define DIRECT_ROWS_I8_GROUP(n) DIRECT_CALL(I8_GROUP, n)
#define DIRECT_ROWS_I4_GROUP(n) DIRECT_CALL(I4_GROUP, n)
#define DIRECT_ROWS_I8_24(n) DIRECT_CALL(I8_24, n)
#define DIRECT_ROWS_I4_24(n) DIRECT_CALL(I4_24, n)
#define DIRECT_ROWS_I8_BITMASK(n) DIRECT_CALL(I8_BITMASK, n)
#define DIRECT_ROWS_I4_BITMASK(n) DIRECT_CALL(I4_BITMASK, n)
EACH_BLOCK_FORMAT(DIRECT)

/** Rows with two unpacked tiles, or with one. */
#define PANEL(name, most)                                                                                                                            \
    static void name(const panel_block *panel, int64_t blocks, int tiles, int32_t factor, const struct act *x, const int32_t *index, int64_t rows,   \
                     float *y, int64_t stride) {                                                                                                     \
        if (tiles == 2) IN_RUNS(rows, t, most, name##_pair)                                                                                          \
        else IN_RUNS(rows, t, most, name##_single)                                                                                                   \
    }
#define PANEL_CALL(two, min, tiles, n) panel_rows(two, min, tiles, n, factor, panel, blocks, x, index + t, y + t * stride, stride)
#define panel_plain_pair(n) PANEL_CALL(0, 0, 2, n)
#define panel_plain_single(n) PANEL_CALL(0, 0, 1, n)
#define panel_min_pair(n) PANEL_CALL(0, 1, 2, n)
#define panel_min_single(n) PANEL_CALL(0, 1, 1, n)
#define panel_two_pair(n) PANEL_CALL(1, 0, 2, n)
#define panel_two_single(n) PANEL_CALL(1, 0, 1, n)
#if defined(__AVX512F__)
PANEL(panel_plain, 6)
PANEL(panel_min, 6)
PANEL(panel_two, 4)
#else
PANEL(panel_plain, 2)
PANEL(panel_min, 2)
PANEL(panel_two, 2)
#endif

#define UNPACK(f)                                                                                                                                    \
    case f:                                                                                                                                          \
        for (int64_t b = 0; b < blocks; b++) {                                                                                                       \
            block k = unpack_block(f, group, tile, b);                                                                                               \
            UNROLL for (int i = 0; i < 8; i++) i_store(to[b].codes + 64 * i, k.w[i]);                                                                \
            f_store(to[b].d, k.d);                                                                                                                   \
            if (f == Q6_K) f_store(to[b].d2, k.d2);                                                                                                  \
            if (has_min(f)) f_store(to[b].m, k.m);                                                                                                   \
        }                                                                                                                                            \
        break;

static void unpack_panel(const struct weight *w, const uint8_t *tile, panel_block *to) {
    int64_t blocks = blocks_of(w->cols);
    int group = (int)w->group;
    switch (w->format) { EACH_BLOCK_FORMAT(UNPACK) }
}

void KERNEL(eight_bits)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                        int64_t stride, void *scratch) {
    panel_block *panel = scratch;
    int f = (int)w->format;
    if (rows <= MANY) {
        for (int64_t t = from; t < to; t++) {
            const uint8_t *tile = tile_at(w, t);
            float *out = y + (t - from) * LANES;
            switch (f) {
#define CASE(f) case f: direct_##f(w, tile, x, index, rows, out, stride); break;
                EACH_BLOCK_FORMAT(CASE)
#undef CASE
            }
        }
        return;
    }
    int64_t blocks = blocks_of(w->cols);
    int32_t factor = SHIFTED(f);
    for (int64_t first = from; first < to; first += PANEL_TILES) {
        int64_t n = to - first < PANEL_TILES ? to - first : PANEL_TILES;
        for (int64_t t = 0; t < n; t++) unpack_panel(w, tile_at(w, first + t), panel + t * blocks);
        for (int64_t r = 0; r < rows; r += MANY) {
            int64_t some = rows - r < MANY ? rows - r : MANY;
            for (int64_t t = 0; t < n; t += 2) {
                const panel_block *p = panel + t * blocks;
                int tiles = n - t < 2 ? 1 : 2;
                float *out = y + r * stride + (first - from + t) * LANES;
                if (f == Q6_K) panel_two(p, blocks, tiles, factor, x, index + r, some, out, stride);
                else if (has_min(f)) panel_min(p, blocks, tiles, factor, x, index + r, some, out, stride);
                else panel_plain(p, blocks, tiles, factor, x, index + r, some, out, stride);
            }
        }
    }
}

// ---- float activations

/** Columns whose products are summed before they are added to the rest, which keeps the error of long sums small. */
#define CHUNK 256

/** One row of values for each column, either packed or unpacked to floats. */
INLINE void float_rows(int f, int n, const uint8_t *tile, int64_t cols, const struct act *x, const int32_t *index, float *y, int64_t stride) {
    const float *row[n];
    F sum[n];
    UNROLL for (int t = 0; t < n; t++) {
        row[t] = x->floats + index[t] * x->padded;
        sum[t] = f_zero();
    }
    for (int64_t from = 0; from < cols; from += CHUNK) {
        int64_t to = from + CHUNK < cols ? from + CHUNK : cols;
        F even[n], odd[n];
        UNROLL for (int t = 0; t < n; t++) even[t] = odd[t] = f_zero();
        int64_t c = from;
        for (; c + 2 <= to; c += 2) {
            ask_ahead(tile + c * float_bytes(f), 2 * float_bytes(f));
            F v = unpack_float(f, tile, c), u = unpack_float(f, tile, c + 1);
            UNROLL for (int t = 0; t < n; t++) {
                even[t] = f_fma(v, f_set(row[t][c]), even[t]);
                odd[t] = f_fma(u, f_set(row[t][c + 1]), odd[t]);
            }
        }
        if (c < to) {
            F v = unpack_float(f, tile, c);
            UNROLL for (int t = 0; t < n; t++) even[t] = f_fma(v, f_set(row[t][c]), even[t]);
        }
        UNROLL for (int t = 0; t < n; t++) sum[t] = f_add(sum[t], f_add(even[t], odd[t]));
    }
    UNROLL for (int t = 0; t < n; t++) f_store(y + t * stride, sum[t]);
}

#define FLOATS(f)                                                                                                                                    \
    static void floats_##f(const uint8_t *tile, int64_t cols, const struct act *x, const int32_t *index, int64_t rows, float *y, int64_t stride) {   \
        BY_ROWS_OF_FLOATS(rows, t, FLOAT_ROWS_##f)                                                                                                   \
    }
#define BY_ROWS_OF_FLOATS(n, t, CALL)                                                                                                                \
    for (int64_t t = 0, left = (n); left > 0; left = (n) - t) {                                                                                      \
        if (TOGETHER >= 8 && left >= 8) { CALL(8); t += 8; }                                                                                                          \
        else if (left >= 4) { CALL(4); t += 4; }                                                                                                     \
        else if (left >= 2) { CALL(2); t += 2; }                                                                                                     \
        else { CALL(1); t += 1; }                                                                                                                    \
    }
#define FLOAT_CALL(f, n) float_rows(f, n, tile, cols, x, index + t, y + t * stride, stride)
#define FLOAT_ROWS_F32(n) FLOAT_CALL(F32, n)
#define FLOAT_ROWS_F16(n) FLOAT_CALL(F16, n)
#define FLOAT_ROWS_BF16(n) FLOAT_CALL(BF16, n)
FLOATS(F32)
FLOATS(F16)
FLOATS(BF16)

#define TO_FLOATS(f)                                                                                                                                 \
    case f:                                                                                                                                          \
        for (int64_t b = 0; b < blocks; b++) values(f, unpack_block(f, group, tile, b), (float(*)[LANES])(to + b * BLOCK * LANES));                  \
        break;

void KERNEL(floats)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                    int64_t stride, void *scratch) {
    float *panel = scratch;
    for (int64_t t = from; t < to; t++) {
        const uint8_t *tile = tile_at(w, t);
        float *out = y + (t - from) * LANES;
        switch (w->format) {
        case F32: floats_F32(tile, w->cols, x, index, rows, out, stride); break;
        case F16: floats_F16(tile, w->cols, x, index, rows, out, stride); break;
        case BF16: floats_BF16(tile, w->cols, x, index, rows, out, stride); break;
        default: {
            int64_t blocks = blocks_of(w->cols);
            int group = (int)w->group;
            float *to = panel;
            switch (w->format) { EACH_BLOCK_FORMAT(TO_FLOATS) }
            floats_F32((const uint8_t *)panel, w->cols, x, index, rows, out, stride);
        }
        }
    }
}

#endif

void KERNEL(multiply)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                      int64_t stride, void *scratch) {
    if (x->input == IN_BF16) KERNEL(brains)(w, x, index, rows, from, to, y, stride, scratch);
    else if (x->input == IN_F32) ON_BASE(floats)(w, x, index, rows, from, to, y, stride, scratch);
    else if (!long_sums(w, x, rows)) ON_BASE(eight_bits)(w, x, index, rows, from, to, y, stride, scratch);
#ifdef TILES
    else if (fits_tiles(w, x, rows)) KERNEL(tiled_codes)(w, x, index, rows, from, to, y, stride, scratch);
#endif
    else ON_BASE(longs)(w, x, index, rows, from, to, y, stride, scratch);
}

/** Parts are tiles. */
int32_t KERNEL(product)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct product_args *a = arguments;
    if (a->w.format < 0 || a->w.format >= FORMATS) return BAD_FORMAT;
    float *y = a->y.floats + from * LANES;
    KERNEL(multiply)(&a->w, &a->x, a->index, a->rows, from, to, y, a->y.padded, scratch);
    if (!a->w.bias && a->cap == 0) return OK;
    F cap = f_set((float)a->cap);
    for (int64_t r = 0; r < a->rows; r++) {
        for (int64_t t = from; t < to; t++) {
            float *at = a->y.floats + r * a->y.padded + t * LANES;
            F v = f_load(at);
            if (a->w.bias) v = f_add(v, f_load(a->w.bias + t * LANES));
            if (a->cap != 0) v = f_mul(cap, f_tanh(f_div(v, cap)));
            f_store(at, v);
        }
    }
    return OK;
}

/** Parts are pairs of tiles, the 32 hidden values that share a scale. */
int32_t KERNEL(gated)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct gated_args *a = arguments;
    if (a->up.format < 0 || a->up.format >= FORMATS || a->gate.format < 0 || a->gate.format >= FORMATS) return BAD_FORMAT;
    float *up = (float *)((char *)scratch + panel_bytes(a->x.cols));
    float *gate = up + a->rows * BLOCK;
    int64_t tiles = (a->up.rows + LANES - 1) / LANES;
    for (int64_t p = from; p < to; p++) {
        int64_t last = 2 * p + 2 < tiles ? 2 * p + 2 : tiles;
        KERNEL(multiply)(&a->up, &a->x, a->index, a->rows, 2 * p, last, up, BLOCK, scratch);
        if (a->gate.data) KERNEL(multiply)(&a->gate, &a->x, a->index, a->rows, 2 * p, last, gate, BLOCK, scratch);
        for (int64_t r = 0; r < a->rows; r++) {
            float v[BLOCK] = { 0 };
            for (int64_t t = 2 * p; t < last; t++) {
                int64_t at = r * BLOCK + (t - 2 * p) * LANES;
                F u = f_load(up + at);
                if (a->up.bias) u = f_add(u, f_load(a->up.bias + t * LANES));
                F g = u;
                if (a->gate.data) {
                    g = f_load(gate + at);
                    if (a->gate.bias) g = f_add(g, f_load(a->gate.bias + t * LANES));
                }
                F z = f_activate((int)a->activation, g);
                f_store(v + (t - 2 * p) * LANES, a->gate.data ? f_mul(z, u) : z);
            }
            pack_block(&a->hidden, r, p, v);
        }
    }
    return OK;
}
