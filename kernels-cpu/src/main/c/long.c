// Products of bytes whose sums stay whole numbers over more than 32 columns: over what one scale of the weight and one of the activation cover.
#include "product.h"

/**
 * n rows with some tiles, both constants, and so is whether there is one scale for all of a tile's columns, and whether runs are single blocks. Every sum
 * of whole numbers is exact, and what follows it has one order, however many rows and tiles share the work.
 */
INLINE void long_rows(int n, int tiles, int one, int blockwise, int32_t factor, int64_t run, const long_tile *w, int64_t blocks, const struct act *x,
                      const int32_t *index, float *y, int64_t stride) {
    // sizes are constants: arrays of a variable size, even of one that is known here, do not become registers
    x_row row[MANY];
    F sum[MANY][2];
    UNROLL for (int t = 0; t < n; t++) {
        row[t] = x_at(x, index[t]);
        UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_zero();
    }
    // a single chain of sums would wait for each instruction's result
    enum { MOST = 4 };
    int chains = n * tiles <= 2 ? MOST : n * tiles <= 4 ? 2 : 1;
    for (int64_t b = 0, r = 0; b < blocks; b += blockwise ? 1 : run, r++) {
        int64_t end = blockwise ? b + 1 : b + run < blocks ? b + run : blocks;
        I part[MANY][2][MOST];
        int32_t off[MANY];
        UNROLL for (int t = 0; t < n; t++) {
            off[t] = blockwise ? row[t].n[2 * b] + row[t].n[2 * b + 1] : run_sum(&row[t], b, end);
            UNROLL for (int k = 0; k < tiles; k++)
                UNROLL for (int c = 0; c < chains; c++) part[t][k][c] = i_set(c == 0 ? off[t] * factor : 0);
        }
        for (int64_t q = 8 * b; q < 8 * end; q += 8) {
            UNROLL for (int i = 0; i < 8; i++) {
                I v[2];
                UNROLL for (int k = 0; k < tiles; k++) v[k] = i_load(w[k].codes + 64 * (q + i));
                if (tiles == 1) ask_ahead(w[0].codes + 64 * (q + i), 64);
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
#else
#define FEW_ROWS 4
#define PAIR_ROWS 2
#endif

typedef void long_loops(int32_t factor, int64_t run, const long_tile *w, int64_t blocks, const struct act *x, const int32_t *index, int64_t rows,
                        float *y, int64_t stride);
/** Rows with one tile, whose weights are then read once, or with two, which share what is loaded of the activation. */
#define LONG(name, most)                                                                                                                             \
    static void name(int32_t factor, int64_t run, const long_tile *w, int64_t blocks, const struct act *x, const int32_t *index, int64_t rows,       \
                     float *y, int64_t stride) {                                                                                                     \
        IN_RUNS(rows, t, most, name##_rows)                                                                                                          \
    }
#define LONG_CALL(n, tiles, one, blockwise)                                                                                                          \
    long_rows(n, tiles, one, blockwise, factor, run, w, blocks, x, index + t, y + t * stride, stride)
#define row_blocks_rows(n) LONG_CALL(n, 1, 1, 1)
#define row_runs_rows(n) LONG_CALL(n, 1, 1, 0)
#define group_runs_rows(n) LONG_CALL(n, 1, 0, 0)
#define row_blocks_two_rows(n) LONG_CALL(n, 2, 1, 1)
#define row_runs_two_rows(n) LONG_CALL(n, 2, 1, 0)
#define group_runs_two_rows(n) LONG_CALL(n, 2, 0, 0)
LONG(row_blocks, FEW_ROWS)
LONG(row_runs, FEW_ROWS)
LONG(group_runs, FEW_ROWS)
LONG(row_blocks_two, PAIR_ROWS)
LONG(row_runs_two, PAIR_ROWS)
LONG(group_runs_two, PAIR_ROWS)

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
        const uint8_t *tile = tile_at(w, from + t);
        if (w->format == I8_ROW) {
            to[t] = (long_tile){ tile + 64, (const float *)tile, 0 };
            continue;
        }
        uint8_t *codes = scratch;
        float *d = (float *)(codes + 512 * blocks);
        int32_t *zero = (int32_t *)(d + runs * LANES);
        scratch = zero + runs * LANES;
        to[t] = (long_tile){ codes, d, zero };
        switch (w->format) { UNPACK(I8_GROUP) UNPACK(I4_GROUP) UNPACK(I8_24) UNPACK(I4_24) UNPACK(I8_BITMASK) UNPACK(I4_BITMASK) }
    }
    return scratch;
}

void KERNEL(longs)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                   int64_t stride, void *scratch) {
    int one = has_row_scale((int)w->format);
    int32_t factor = SHIFTED((int)w->format);
    int64_t run = long_run(w, x), blocks = blocks_of(w->cols);
    long_loops *single = !one ? group_runs : run == 1 ? row_blocks : row_runs;
    long_loops *pair = !one ? group_runs_two : run == 1 ? row_blocks_two : row_runs_two;
    for (int64_t first = from; first < to; first += PANEL_TILES) {
        int64_t n = to - first < PANEL_TILES ? to - first : PANEL_TILES;
        long_tile tile[PANEL_TILES];
        KERNEL(long_tiles)(w, run, first, n, scratch, tile);
        for (int64_t r = 0; r < rows; r += MANY) {
            int64_t some = rows - r < MANY ? rows - r : MANY;
            float *out = y + r * stride + (first - from) * LANES;
            // few rows wait for memory, which one tile after another streams best
            for (int64_t t = 0; t < n;) {
                int two = rows > MANY && t + 2 <= n;
                (two ? pair : single)(factor, run, tile + t, blocks, x, index + r, some, out + t * LANES, stride);
                t += two ? 2 : 1;
            }
        }
    }
}
