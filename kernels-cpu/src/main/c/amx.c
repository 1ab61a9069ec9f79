// Products of many rows on the tiles of AMX: two tiles of weights with two blocks of 16 rows at a time, so that each tile that is loaded is used twice.
#include "tiles.h"

/** Steps of 64 bytes of a row for which the weights of a part stay in the first-level cache while all rows pass. */
#define STEPS 8

/** Scratch: sums of 16 rows with one tile, rows that do not lie one after another, steps that end inside a tile, sums of one run. */
typedef struct {
    float sums[TILED_ROWS / 16][2][16 * LANES];
    uint8_t rows[2][16][STEPS * TILE_ROW];
    uint8_t last[2][TILE_BYTES];
    int32_t run[2][2][16 * LANES];
} room;
_Static_assert(sizeof(room) <= TILED_BYTES, "room for tiles");

/** Bytes of 16 rows. */
typedef struct {
    const uint8_t *at;
    int64_t stride;
} rows16;

/** Bytes from .. from + n of the next up to 16 rows: where they are, or a copy filled up with rows of zeros. */
static rows16 rows_at(const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t n, uint8_t (*copy)[STEPS * TILE_ROW]) {
    int whole = rows >= 16;
    for (int r = 1; whole && r < 16; r++) whole = index[r] == index[0] + r;
    if (whole) return (rows16){ (const uint8_t *)x->codes + index[0] * x->bytes + from, x->bytes };
    for (int r = 0; r < 16; r++) {
        if (r < rows) memcpy(copy[r], x->codes + index[r] * x->bytes + from, (size_t)n);
        else memset(copy[r], 0, (size_t)n);
    }
    return (rows16){ copy[0], STEPS * TILE_ROW };
}

#define DOT(c, a, b)                                                                                                                                 \
    do {                                                                                                                                             \
        if (brains) TILE_DOT_BRAINS(c, a, b);                                                                                                        \
        else TILE_DOT_CODES(c, a, b);                                                                                                                \
    } while (0)

/** Adds n steps to tiles 0 to 3, which are (row block, weight tile); all but n are constants. */
INLINE void steps(int brains, int blocks, int tiles, const rows16 *a, const uint8_t *b0, const uint8_t *b1, int64_t n) {
    for (int64_t s = 0; s < n; s++) {
        TILE_LOAD(4, a[0].at + TILE_ROW * s, a[0].stride);
        TILE_LOAD(6, b0 + TILE_BYTES * s, TILE_ROW);
        DOT(0, 4, 6);
        if (tiles == 2) {
            TILE_LOAD(7, b1 + TILE_BYTES * s, TILE_ROW);
            DOT(1, 4, 7);
        }
        if (blocks == 2) {
            TILE_LOAD(5, a[1].at + TILE_ROW * s, a[1].stride);
            DOT(2, 5, 6);
            if (tiles == 2) DOT(3, 5, 7);
        }
    }
}

INLINE void zero(void) {
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
}

INLINE void load(const void *first, const void *second) {
    TILE_LOAD(0, first, TILE_ROW);
    TILE_LOAD(1, (const char *)first + TILE_BYTES, TILE_ROW);
    TILE_LOAD(2, second, TILE_ROW);
    TILE_LOAD(3, (const char *)second + TILE_BYTES, TILE_ROW);
}

INLINE void store(void *first, void *second) {
    TILE_STORE(0, first, TILE_ROW);
    TILE_STORE(1, (char *)first + TILE_BYTES, TILE_ROW);
    TILE_STORE(2, second, TILE_ROW);
    TILE_STORE(3, (char *)second + TILE_BYTES, TILE_ROW);
}

/** Weights in steps of tiles; where the last step ends inside a tile, that one lies apart. */
typedef struct {
    const uint8_t *at[2];
    const uint8_t *last[2];
    int64_t steps;
    int tiles;
} panel;

/** Adds the products of steps from .. to with up to 32 rows to the tiles. */
INLINE void add(int brains, const panel *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, room *s) {
    rows16 a[2];
    int blocks = rows > 16 ? 2 : 1;
    int64_t bytes = (to - from) * TILE_ROW;
    a[0] = rows_at(x, index, rows, from * TILE_ROW, bytes, s->rows[0]);
    a[1] = blocks == 2 ? rows_at(x, index + 16, rows - 16, from * TILE_ROW, bytes, s->rows[1]) : a[0];
    int apart = w->last[0] && to == w->steps;
    const uint8_t *b0 = w->at[0] + from * TILE_BYTES, *b1 = w->at[1] + from * TILE_BYTES;
    for (int64_t n = to - from - apart;;) {
        if (blocks == 2 && w->tiles == 2) steps(brains, 2, 2, a, b0, b1, n);
        else if (blocks == 2) steps(brains, 2, 1, a, b0, b1, n);
        else if (w->tiles == 2) steps(brains, 1, 2, a, b0, b1, n);
        else steps(brains, 1, 1, a, b0, b1, n);
        if (!apart) return;
        apart = 0;
        a[0].at += n * TILE_ROW;
        a[1].at += n * TILE_ROW;
        b0 = w->last[0];
        b1 = w->last[1];
        n = 1;
    }
}

/** Sums over all steps of up to TILED_ROWS rows. */
INLINE void sums(int brains, const panel *w, const struct act *x, const int32_t *index, int64_t rows, room *s) {
    for (int64_t from = 0; from < w->steps; from += STEPS) {
        int64_t to = from + STEPS < w->steps ? from + STEPS : w->steps;
        for (int64_t r = 0; r < rows; r += 32) {
            float(*c)[2][16 * LANES] = s->sums + r / 16;
            // the second may be beyond the rows, never beyond the room
            if (from) load(c[0], c[1]);
            else zero();
            add(brains, w, x, index + r, rows - r < 32 ? rows - r : 32, from, to, s);
            store(c[0], c[1]);
        }
    }
}

void tiled_brains(const uint8_t *pairs_of_columns, int tiles, int64_t pairs, const struct act *x, const int32_t *index, int64_t rows, float *y,
                  int64_t stride, void *scratch) {
    room *s = scratch;
    panel w = { { pairs_of_columns, pairs_of_columns + pairs * TILE_ROW }, { 0, 0 }, pairs / 16, tiles };
    TILES_BEGIN();
    for (int64_t first = 0; first < rows; first += TILED_ROWS) {
        int64_t n = rows - first < TILED_ROWS ? rows - first : TILED_ROWS;
        sums(1, &w, x, index + first, n, s);
        for (int64_t r = 0; r < n; r++)
            for (int k = 0; k < tiles; k++) f_store(y + (first + r) * stride + k * LANES, f_load(s->sums[r / 16][k] + r % 16 * LANES));
    }
    TILES_END();
}

// ---- bytes

void *ON_BASE(long_tiles)(const struct weight *w, int64_t run, int64_t from, int64_t n, void *scratch, long_tile *to);

/** One run, one scale: whole numbers to the end. */
static void whole_rows(const panel *w, const long_tile *tile, int32_t factor, int64_t blocks, const struct act *x, const int32_t *index, int64_t rows,
                       float *y, int64_t stride, room *s) {
    sums(0, w, x, index, rows, s);
    for (int64_t r = 0; r < rows; r++) {
        x_row row = x_at(x, index[r]);
        I off = i_set(run_sum(&row, 0, blocks) * factor);
        F d = f_set(row.d[0]);
        for (int k = 0; k < w->tiles; k++) {
            I all = i_add(i_load(s->sums[r / 16][k] + r % 16 * LANES), off);
            f_store(y + r * stride + k * LANES, f_mul(f_mul(f_of(all), d), f_load(tile[k].d)));
        }
    }
}

/** Runs of some steps, each with scales of its own, of up to 32 rows; the same order of sums as without tiles. */
static void runs(const panel *w, const long_tile *tile, int one, int32_t factor, int64_t run, int64_t blocks, const struct act *x,
                 const int32_t *index, int64_t rows, float *y, int64_t stride, room *s) {
    for (int64_t b = 0, i = 0; b < blocks; b += run, i++) {
        int64_t end = b + run < blocks ? b + run : blocks;
        zero();
        for (int64_t from = b / 2; from < (end + 1) / 2; from += STEPS) {
            int64_t to = from + STEPS < (end + 1) / 2 ? from + STEPS : (end + 1) / 2;
            add(0, w, x, index, rows, from, to, s);
        }
        store(s->run[0], s->run[1]);
        for (int64_t r = 0; r < rows; r++) {
            x_row row = x_at(x, index[r]);
            int32_t off = run_sum(&row, b, end);
            F d = f_set(row.d[b]);
            for (int k = 0; k < w->tiles; k++) {
                float *at = y + r * stride + k * LANES;
                F sum = b ? f_load(at) : f_zero();
                I all = i_add(i_load(s->run[r / 16][k] + r % 16 * LANES), i_set(off * factor));
                if (!one) all = i_add(all, i_mul(i_load(tile[k].zero + i * LANES), i_set(off)));
                sum = one ? f_fma(f_of(all), d, sum) : f_fma(f_mul(f_of(all), d), f_load(tile[k].d + i * LANES), sum);
                f_store(at, one && end == blocks ? f_mul(sum, f_load(tile[k].d)) : sum);
            }
        }
    }
}

void KERNEL(tiled_codes)(const struct weight *w, const struct act *x, const int32_t *index, int64_t rows, int64_t from, int64_t to, float *y,
                         int64_t stride, void *scratch) {
    int one = has_row_scale((int)w->format);
    int32_t factor = SHIFTED((int)w->format);
    int64_t run = long_run(w, x), blocks = blocks_of(w->cols);
    room *s = scratch;
    TILES_BEGIN();
    for (int64_t first = from; first < to; first += 2) {
        int tiles = to - first < 2 ? 1 : 2;
        long_tile tile[2];
        ON_BASE(long_tiles)(w, run, first, tiles, s + 1, tile);
        if (tiles == 1) tile[1] = tile[0];
        panel p = { { tile[0].codes, tile[1].codes }, { 0, 0 }, (blocks + 1) / 2, tiles };
        for (int k = 0; blocks % 2 && k < 2; k++) {
            memcpy(s->last[k], tile[k].codes + 512 * (blocks - 1), 512);
            memset(s->last[k] + 512, 0, 512);
            p.last[k] = s->last[k];
        }
        float *out = y + (first - from) * LANES;
        if (one && run >= blocks) {
            for (int64_t r = 0; r < rows; r += TILED_ROWS) {
                int64_t n = rows - r < TILED_ROWS ? rows - r : TILED_ROWS;
                whole_rows(&p, tile, factor, blocks, x, index + r, n, out + r * stride, stride, s);
            }
        } else {
            for (int64_t r = 0; r < rows; r += 32) {
                runs(&p, tile, one, factor, run, blocks, x, index + r, rows - r < 32 ? rows - r : 32, out + r * stride, stride, s);
            }
        }
    }
    TILES_END();
}
