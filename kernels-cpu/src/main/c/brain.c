// Products of bfloat16: weights are rounded to it as activations are, whatever their format.
#include "brain.h"
#include "product.h"
#include "tiles.h"

/** Pairs of columns that are summed before they are added to the rest, which keeps the error of long sums small. */
#define CHUNK 128

#define PAIRS(f)                                                                                                                                     \
    case f:                                                                                                                                          \
        if (is_float(f)) {                                                                                                                           \
            int64_t c = 0;                                                                                                                           \
            for (; c + 2 <= cols; c += 2) i_store(to + c * 32, i_pair(unpack_float(f, tile, c), unpack_float(f, tile, c + 1)));                      \
            if (c < cols) i_store(to + c * 32, i_pair(unpack_float(f, tile, c), f_zero()));                                                          \
            for (c += cols % 2 * 2; c < blocks * BLOCK; c += 2) i_store(to + c * 32, i_set(0));                                                      \
            break;                                                                                                                                   \
        }                                                                                                                                            \
        for (int64_t b = 0; b < blocks; b++) {                                                                                                       \
            float v[BLOCK][LANES];                                                                                                                   \
            values(f, unpack_block(f, group, tile, b), v);                                                                                           \
            for (int c = 0; c < BLOCK; c += 2) i_store(to + (b * BLOCK + c) * 32, i_pair(f_load(v[c]), f_load(v[c + 1])));                           \
        }                                                                                                                                            \
        break;

/** A tile as pairs of columns, [padded / 2][16 rows][2]. */
static void pairs_of(const struct weight *w, const uint8_t *tile, uint8_t *to) {
    int64_t cols = w->cols, blocks = blocks_of(cols);
    int group = (int)w->group;
    switch (w->format) { EACH_FORMAT(PAIRS) }
}

/** n rows with some tiles, both constants. */
INLINE void brain_rows(int n, int tiles, const uint8_t *panel, int64_t pairs, const struct act *x, const int32_t *index, float *y, int64_t stride) {
    const int8_t *row[MANY];
    UNROLL for (int t = 0; t < n; t++) row[t] = x->codes + index[t] * x->bytes;
#ifdef TILES
    // the order of tdpbf16ps: first and second columns apart within 32
    F sum[MANY][2];
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_zero();
    for (int64_t p = 0; p < pairs; p += LANES) {
        F first[MANY][2], second[MANY][2];
        UNROLL for (int t = 0; t < n; t++) UNROLL for (int k = 0; k < tiles; k++) first[t][k] = second[t][k] = f_zero();
        for (int i = 0; i < LANES; i++) {
            I w[2];
            UNROLL for (int k = 0; k < tiles; k++) w[k] = i_load(panel + 64 * (k * pairs + p + i));
            UNROLL for (int t = 0; t < n; t++) {
                I v = i_four(row[t] + 4 * (p + i));
                UNROLL for (int k = 0; k < tiles; k++) {
                    first[t][k] = f_fma(f_first(w[k]), f_first(v), first[t][k]);
                    second[t][k] = f_fma(f_second(w[k]), f_second(v), second[t][k]);
                }
            }
        }
        UNROLL for (int t = 0; t < n; t++)
            UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_add(sum[t][k], f_add(first[t][k], second[t][k]));
    }
    UNROLL for (int t = 0; t < n; t++) UNROLL for (int k = 0; k < tiles; k++) f_store(y + t * stride + k * LANES, sum[t][k]);
#else
    for (int64_t from = 0; from < pairs; from += CHUNK) {
        int64_t to = from + CHUNK < pairs ? from + CHUNK : pairs;
        F sum[MANY][2];
        UNROLL for (int t = 0; t < n; t++) UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_zero();
        for (int64_t p = from; p < to; p += 4) {
            UNROLL for (int i = 0; i < 4; i++) {
                I w[2];
                UNROLL for (int k = 0; k < tiles; k++) w[k] = i_load(panel + 64 * (k * pairs + p + i));
                UNROLL for (int t = 0; t < n; t++) {
                    I v = i_four(row[t] + 4 * (p + i));
                    UNROLL for (int k = 0; k < tiles; k++) sum[t][k] = f_dot_brain(sum[t][k], w[k], v);
                }
            }
        }
        UNROLL for (int t = 0; t < n; t++) {
            UNROLL for (int k = 0; k < tiles; k++) {
                float *at = y + t * stride + k * LANES;
                f_store(at, from ? f_add(f_load(at), sum[t][k]) : sum[t][k]);
            }
        }
    }
#endif
}

#if defined(TILES) || !defined(__AVX512F__)
#define ROWS_OF_TWO 2
#define ROWS_OF_ONE 2
#elif defined(__AVX512BF16__)
#define ROWS_OF_TWO 12
#define ROWS_OF_ONE 12
#else
#define ROWS_OF_TWO 6
#define ROWS_OF_ONE 8
#endif
#define CALL_1(n) brain_rows(n, 1, panel, pairs, x, index + t, y + t * stride, stride)
#define CALL_2(n) brain_rows(n, 2, panel, pairs, x, index + t, y + t * stride, stride)

static void one_tile(const uint8_t *panel, int64_t pairs, const struct act *x, const int32_t *index, int64_t rows, float *y, int64_t stride) {
    IN_RUNS(rows, t, ROWS_OF_ONE, CALL_1)
}

static void two_tiles(const uint8_t *panel, int64_t pairs, const struct act *x, const int32_t *index, int64_t rows, float *y, int64_t stride) {
    IN_RUNS(rows, t, ROWS_OF_TWO, CALL_2)
}

void KERNEL(brains)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                    int64_t stride, void *scratch) {
    int64_t pairs = blocks_of(w->cols) * BLOCK / 2;
    uint8_t *panel = scratch;
    for (int64_t first = from; first < to; first += 2) {
        int tiles = to - first < 2 ? 1 : 2;
        float *out = y + (first - from) * LANES;
        for (int t = 0; t < tiles; t++) pairs_of(w, tile_at(w, first + t), panel + t * pairs * 64);
#ifdef TILES
        if (rows > MANY) {
            tiled_brains(panel, tiles, pairs, x, index, rows, out, stride, panel + 2 * pairs * 64);
            continue;
        }
#endif
        if (tiles == 2) two_tiles(panel, pairs, x, index, rows, out, stride);
        else one_tile(panel, pairs, x, index, rows, out, stride);
    }
}
