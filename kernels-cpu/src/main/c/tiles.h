// Tiles of AMX: eight registers of 16 rows of 64 bytes. With EMULATED_TILES they are memory, so that what uses them is tested on every processor.
#ifndef LACUNA_TILES_H
#define LACUNA_TILES_H

#ifdef TILES

#include "product.h"

/** Bytes of a tile, and of one of its rows. */
#define TILE_BYTES 1024
#define TILE_ROW 64

/** Whether products of bytes go to tiles, which are 64 columns deep: whole numbers are summed over no less, for rows that are many. */
INLINE int fits_tiles(const struct weight *w, const struct act *x, int64_t rows) { return rows > MANY && long_run(w, x) % 2 == 0; }

multiplies KERNEL(tiled_codes);
/** Products of one or two tiles as pairs of columns with rows of bfloat16. */
void tiled_brains(const uint8_t *panel, int tiles, int64_t pairs, const struct act *x, const int32_t *index, int64_t rows, float *y, int64_t stride,
                  void *scratch);

typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t columns[16];
    uint8_t rows[16];
} tile_shape;

/** All tiles whole. Static, since GCC 12 drops stores to a local one before the instruction that reads it. */
static const tile_shape WHOLE_TILES = { .palette = 1, .columns = { 64, 64, 64, 64, 64, 64, 64, 64 }, .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };

#ifndef EMULATED_TILES

#define TILES_BEGIN() _tile_loadconfig(&WHOLE_TILES)
#define TILES_END() _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
/** Signed bytes of a times unsigned bytes of b. */
#define TILE_DOT_CODES(c, a, b) _tile_dpbsud(c, a, b)
#define TILE_DOT_BRAINS(c, a, b) _tile_dpbf16ps(c, a, b)

#else

#include <math.h>

typedef struct {
    tile_shape shape;
    uint8_t of[8][16][TILE_ROW];
} emulated_tiles;
static _Thread_local emulated_tiles tiles;

/** As the processor: an instruction on tiles that have no shape ends the process. */
static inline void tiles_need_shape(int t) {
    if (tiles.shape.palette != 1 || tiles.shape.rows[t] == 0 || tiles.shape.columns[t] == 0) __builtin_trap();
}
static inline void tiles_begin(const tile_shape *shape) {
    memset(&tiles, 0, sizeof tiles);
    tiles.shape = *shape;
}
static inline void tile_zero(int t) {
    tiles_need_shape(t);
    memset(tiles.of[t], 0, sizeof tiles.of[t]);
}
static inline void tile_load(int t, const void *from, int64_t stride) {
    tile_zero(t);
    for (int r = 0; r < tiles.shape.rows[t]; r++) memcpy(tiles.of[t][r], (const char *)from + r * stride, tiles.shape.columns[t]);
}
static inline void tile_store(int t, void *to, int64_t stride) {
    tiles_need_shape(t);
    for (int r = 0; r < tiles.shape.rows[t]; r++) memcpy((char *)to + r * stride, tiles.of[t][r], tiles.shape.columns[t]);
}
static inline void tiles_need_fit(int c, int a, int b) {
    tiles_need_shape(a);
    tiles_need_shape(b);
    tiles_need_shape(c);
    const tile_shape *s = &tiles.shape;
    int fit = a != b && b != c && a != c && s->rows[c] == s->rows[a] && s->columns[c] == s->columns[b] && s->columns[a] == 4 * s->rows[b];
    if (!fit) __builtin_trap();
}
static inline void tile_dot_codes(int c, int a, int b) {
    tiles_need_fit(c, a, b);
    for (int m = 0; m < tiles.shape.rows[c]; m++) {
        for (int n = 0; n < tiles.shape.columns[c] / 4; n++) {
            uint32_t sum;
            memcpy(&sum, &tiles.of[c][m][4 * n], 4);
            for (int k = 0; k < tiles.shape.columns[a]; k++) sum += (uint32_t)((int8_t)tiles.of[a][m][k] * tiles.of[b][k / 4][4 * n + k % 4]);
            memcpy(&tiles.of[c][m][4 * n], &sum, 4);
        }
    }
}
/** What is subnormal counts as zero, before and after. */
static inline float tile_normal(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if (bits & 0x7f800000) return v;
    bits &= 0x80000000;
    memcpy(&v, &bits, 4);
    return v;
}
static inline float tile_brain(const uint8_t *p) {
    uint16_t half;
    memcpy(&half, p, 2);
    uint32_t bits = (uint32_t)half << 16;
    float v;
    memcpy(&v, &bits, 4);
    return tile_normal(v);
}
/** The first of each pair and the second are summed apart, then together, then with what was there. */
static inline void tile_dot_brains(int c, int a, int b) {
    tiles_need_fit(c, a, b);
    for (int m = 0; m < tiles.shape.rows[c]; m++) {
        for (int n = 0; n < tiles.shape.columns[c] / 4; n++) {
            float first = 0, second = 0, sum;
            for (int k = 0; k < tiles.shape.columns[a] / 4; k++) {
                const uint8_t *x = &tiles.of[a][m][4 * k], *w = &tiles.of[b][k][4 * n];
                first = tile_normal(fmaf(tile_brain(x), tile_brain(w), first));
                second = tile_normal(fmaf(tile_brain(x + 2), tile_brain(w + 2), second));
            }
            memcpy(&sum, &tiles.of[c][m][4 * n], 4);
            sum = tile_normal(tile_normal(sum) + tile_normal(first + second));
            memcpy(&tiles.of[c][m][4 * n], &sum, 4);
        }
    }
}

#define TILES_BEGIN() tiles_begin(&WHOLE_TILES)
#define TILES_END() tiles_begin(&(tile_shape){ 0 })
#define TILE_ZERO(t) tile_zero(t)
#define TILE_LOAD(t, from, stride) tile_load(t, from, stride)
#define TILE_STORE(t, to, stride) tile_store(t, to, stride)
#define TILE_DOT_CODES(c, a, b) tile_dot_codes(c, a, b)
#define TILE_DOT_BRAINS(c, a, b) tile_dot_brains(c, a, b)

#endif

#endif
#endif
