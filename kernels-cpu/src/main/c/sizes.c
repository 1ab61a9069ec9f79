// Sizes, which do not depend on the tier.
#include "product.h"

int64_t tile_bytes_of(int64_t format, int64_t group, int64_t cols) { return tile_bytes((int)format, (int)group, cols); }

int64_t scratch_bytes_of(int64_t cols, int64_t rows, int64_t queries, int64_t head_size) {
    int64_t padded = blocks_of(cols) * BLOCK;
    int64_t product = panel_bytes(cols) + 2 * rows * BLOCK * (int64_t)sizeof(float);
    int64_t two_rows = 2 * padded * (int64_t)sizeof(float);
    int64_t head = (head_size + LANES - 1) / LANES * LANES;
    int64_t attend = (2 * head * KV_BLOCK + queries * (2 * head + KV_BLOCK + LANES + 5) + 7 * LANES) * (int64_t)sizeof(float);
    int64_t most = product > two_rows ? product : two_rows;
    return most > attend ? most : attend;
}
