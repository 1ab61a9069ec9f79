// Products of tiles of 16 weight rows with activation rows.
#ifndef LACUNA_PRODUCT_H
#define LACUNA_PRODUCT_H

#include "values.h"

/** A block that was unpacked for many activation rows. */
typedef struct {
    uint8_t codes[512];
    float d[LANES], d2[LANES], m[LANES];
} panel_block;

/** Tiles that are unpacked at a time for many rows, and how many activation rows are many. */
#define PANEL_TILES 4
#define MANY 12

INLINE int64_t blocks_of(int64_t cols) { return (cols + BLOCK - 1) / BLOCK; }

/** Bytes of scratch that tiles of so many columns need. */
INLINE int64_t panel_bytes(int64_t cols) {
    int64_t codes = PANEL_TILES * blocks_of(cols) * (int64_t)sizeof(panel_block);
    int64_t floats = blocks_of(cols) * BLOCK * LANES * (int64_t)sizeof(float);
    return codes > floats ? codes : floats;
}

/** y[r * stride + 16 * (tile - from) ..] = x[index[r]] . w for tiles from .. to and all rows; lanes past the weight's rows are zeros. */
void KERNEL(multiply)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                      int64_t stride, void *scratch);

#endif
