// Products of bytes whose sums stay whole numbers over more than 32 columns: over what one scale of the weight and one of the activation cover.
#include "product.h"

/** What the negated sums of codes count. */
#define FACTOR(f) ((f) == I4_GROUP ? 0 : 128)

static int32_t sum_of(const int32_t *n, int64_t count) {
    int32_t sum = 0;
    for (int64_t i = 0; i < count; i++) sum += n[i];
    return sum;
}

/**
 * n rows with some tiles, both constants, and so is whether there is one scale for all of a tile's columns. Every sum of whole numbers is exact, and what
 * follows it has one order, however many rows and tiles share the work.
 */
INLINE void long_rows(int n, int tiles, int one, int32_t factor, int64_t run, const long_tile *w, int64_t blocks, const struct act *x,
                      const int32_t *index, float *y, int64_t stride) {
    x_row row[n];
    F sum[n][tiles];
    UNROLL for (int t = 0; t < n; t++) {
        row[t] = x_at(x, index[t]);
        UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_zero();
    }
    // a single chain of sums would wait for each instruction's result
    enum { MOST = 4 };
    int chains = n * tiles <= 2 ? MOST : n * tiles <= 4 ? 2 : 1;
    for (int64_t b = 0, r = 0; b < blocks; b += run, r++) {
        int64_t end = b + run < blocks ? b + run : blocks;
        I part[n][tiles][MOST];
        int32_t off[n];
        UNROLL for (int t = 0; t < n; t++) {
            off[t] = sum_of(row[t].n + 2 * b, 2 * (end - b));
            UNROLL for (int k = 0; k < tiles; k++)
                UNROLL for (int c = 0; c < chains; c++) part[t][k][c] = i_set(c == 0 ? off[t] * factor : 0);
        }
        for (int64_t q = 8 * b; q < 8 * end; q += 4) {
            UNROLL for (int i = 0; i < 4; i++) {
                I v[tiles];
                UNROLL for (int k = 0; k < tiles; k++) v[k] = i_load(w[k].codes + 64 * (q + i));
                UNROLL for (int t = 0; t < n; t++) {
                    I four = i_four(row[t].codes + 4 * (q + i));
                    UNROLL for (int k = 0; k < tiles; k++) part[t][k][i % chains] = i_dot(part[t][k][i % chains], v[k], four);
                }
            }
        }
        UNROLL for (int t = 0; t < n; t++) {
            F d = f_set(row[t].d[b]);
            UNROLL for (int k = 0; k < tiles; k++) {
                I all = part[t][k][0];
                UNROLL for (int c = 1; c < chains; c++) all = i_add(all, part[t][k][c]);
                if (!one) all = i_add(all, i_mul(i_load(w[k].zero + r * LANES), i_set(off[t])));
                sum[t][k] = one ? f_fma(f_of(all), d, sum[t][k]) : f_fma(f_mul(f_of(all), d), f_load(w[k].d + r * LANES), sum[t][k]);
            }
        }
    }
    UNROLL for (int t = 0; t < n; t++)
        UNROLL for (int k = 0; k < tiles; k++) f_store(y + t * stride + k * LANES, one ? f_mul(sum[t][k], f_load(w[k].d)) : sum[t][k]);
}

#if defined(__AVX512F__)
#define FEW_ROWS 12
#define PAIR_ROWS 6
#define WHOLE_ROWS 12
#else
#define FEW_ROWS 4
#define PAIR_ROWS 2
#define WHOLE_ROWS 2
#endif
/** Blocks of a run from which on float sums need no registers beside those of whole numbers. */
#define WHOLE 16

#define LONG(name, one)                                                                                                                              \
    /* weights are read once */                                                                                                                      \
    static void name##_single(int32_t factor, int64_t run, const long_tile *w, int64_t blocks, const struct act *x, const int32_t *index,            \
                              int64_t rows, float *y, int64_t stride) {                                                                              \
        IN_RUNS(rows, t, FEW_ROWS, name##_1)                                                                                                         \
    }                                                                                                                                                \
    /* two tiles share what is loaded of the activation */                                                                                           \
    static void name##_pair(int32_t factor, int64_t run, const long_tile *w, int64_t blocks, const struct act *x, const int32_t *index,              \
                            int64_t rows, float *y, int64_t stride) {                                                                                \
        if (run >= WHOLE) IN_RUNS(rows, t, WHOLE_ROWS, name##_2)                                                                                     \
        else IN_RUNS(rows, t, PAIR_ROWS, name##_2)                                                                                                   \
    }
#define rows_1(n) long_rows(n, 1, 1, factor, run, w, blocks, x, index + t, y + t * stride, stride)
#define rows_2(n) long_rows(n, 2, 1, factor, run, w, blocks, x, index + t, y + t * stride, stride)
#define groups_1(n) long_rows(n, 1, 0, factor, run, w, blocks, x, index + t, y + t * stride, stride)
#define groups_2(n) long_rows(n, 2, 0, factor, run, w, blocks, x, index + t, y + t * stride, stride)
LONG(rows, 1)
LONG(groups, 0)

#define UNPACK(f)                                                                                                                                    \
    case f:                                                                                                                                          \
        for (int64_t b = 0; b < blocks; b++) {                                                                                                       \
            block k = unpack_block(f, group, tile, b);                                                                                               \
            UNROLL for (int i = 0; i < 8; i++) i_store(codes + 512 * b + 64 * i, k.w[i]);                                                            \
            if (b % run) continue;                                                                                                                   \
            f_store(d + b / run * LANES, k.d);                                                                                                       \
            i_store(zero + b / run * LANES, k.zero);                                                                                                 \
        }                                                                                                                                            \
        break;

/** Tiles from .. from + n as long_rows takes them, unpacked to scratch where they have to be; returns the scratch that is left. */
void *KERNEL(long_tiles)(const struct weight *w, int64_t run, int64_t from, int64_t n, void *scratch, long_tile *to) {
    int64_t blocks = blocks_of(w->cols), runs = (blocks + run - 1) / run;
    int group = (int)w->group;
    for (int64_t t = 0; t < n; t++) {
        const uint8_t *tile = w->data + (from + t) * w->tile_bytes;
        if (w->format == I8_ROW) {
            to[t] = (long_tile){ tile + 64, (const float *)tile, 0 };
            continue;
        }
        uint8_t *codes = scratch;
        float *d = (float *)(codes + 512 * blocks);
        int32_t *zero = (int32_t *)(d + runs * LANES);
        scratch = zero + runs * LANES;
        to[t] = (long_tile){ codes, d, zero };
        switch (w->format) { UNPACK(I8_GROUP) UNPACK(I4_GROUP) }
    }
    return scratch;
}

void KERNEL(longs)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                   int64_t stride, void *scratch) {
    int one = w->format == I8_ROW;
    int32_t factor = FACTOR(w->format);
    int64_t run = long_run(w, x), blocks = blocks_of(w->cols);
    for (int64_t first = from; first < to; first += PANEL_TILES) {
        int64_t n = to - first < PANEL_TILES ? to - first : PANEL_TILES;
        long_tile tile[PANEL_TILES];
        KERNEL(long_tiles)(w, run, first, n, scratch, tile);
        for (int64_t r = 0; r < rows; r += MANY) {
            int64_t some = rows - r < MANY ? rows - r : MANY;
            float *out = y + r * stride + (first - from) * LANES;
            // few rows wait for memory, which one tile after another streams best
            int pairs = rows > MANY;
            for (int64_t t = 0; t < n; t += pairs && t + 2 <= n ? 2 : 1) {
                void (*f)(int32_t, int64_t, const long_tile *, int64_t, const struct act *, const int32_t *, int64_t, float *, int64_t)
                    = pairs && t + 2 <= n ? (one ? rows_pair : groups_pair) : (one ? rows_single : groups_single);
                f(factor, run, tile + t, blocks, x, index + r, some, out + t * LANES, stride);
            }
        }
    }
}
