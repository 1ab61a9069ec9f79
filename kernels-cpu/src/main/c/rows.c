// Work on whole rows of activations: look-up, norms, activation functions, packing, rotation, the best tokens.
#include "functions.h"
#include "values.h"
#include <stdlib.h>

/** One row of a placed matrix as floats, [cols padded to 32]. */
static void table_row(const struct weight *w, int64_t row, float *to) {
    const uint8_t *tile = tile_at(w, row / LANES);
    int lane = (int)(row % LANES);
    int group = (int)w->group;
    int64_t cols = w->cols;
    float v[BLOCK][LANES];
    for (int64_t b = 0; b < (cols + BLOCK - 1) / BLOCK; b++) {
        int n = cols - b * BLOCK < BLOCK ? (int)(cols - b * BLOCK) : BLOCK;
        switch (w->format) {
#define CASE(f)                                                                                                                                      \
    case f:                                                                                                                                          \
        if (is_float(f)) {                                                                                                                           \
            for (int c = 0; c < n; c++) f_store(v[c], unpack_float(f, tile, b * BLOCK + c));                                                         \
        } else {                                                                                                                                     \
            values(f, unpack_block(f, group, tile, b), v);                                                                                           \
        }                                                                                                                                            \
        break;
            EACH_FORMAT(CASE)
#undef CASE
        }
        for (int c = 0; c < BLOCK; c++) to[b * BLOCK + c] = c < n ? v[c][lane] : 0;
    }
}

/** Parts are rows. Scratch holds two rows. */
int32_t KERNEL(embed)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct embed_args *a = arguments;
    if (a->table.format < 0 || a->table.format >= FORMATS) return BAD_FORMAT;
    int64_t padded = a->x.padded;
    float *v = scratch;
    float *learned = v + padded;
    for (int64_t r = from; r < to; r++) {
        table_row(&a->table, a->id[r], v);
        if (a->positions.data) table_row(&a->positions, a->offset + a->pos[r], learned);
        F scale = f_set((float)a->scale);
        for (int64_t c = 0; c < padded; c += LANES) {
            F y = f_mul(f_load(v + c), scale);
            if (a->positions.data) y = f_add(y, f_load(learned + c));
            f_store(v + c, y);
        }
        pack_row(&a->x, r, v);
    }
    return OK;
}

/** to = norm(x), both [padded] with zeros after n. */
static void normalize(const struct norm *norm, const float *x, int64_t n, float *to) {
    float mean = 0;
    if (norm->layer) {
        F sum = f_zero();
        for (int64_t c = 0; c < n; c += LANES) sum = f_add(sum, f_load_some(x + c, n - c));
        mean = f_sum(sum) / (float)n;
    }
    F m = f_set(mean), square = f_zero(), off = f_zero();
    for (int64_t c = 0; c < n; c += LANES) {
        F y = f_keep(f_sub(f_load_some(x + c, n - c), m), n - c);
        square = f_fma(y, y, square);
        off = f_add(off, y);
    }
    // the mean's own rounding, for rows whose mean is far larger than their deviation
    float left = norm->layer ? f_sum(off) / (float)n : 0;
    float variance = f_sum(square) / (float)n - left * left;
    F scale = f_set((float)(1 / sqrt((double)variance + norm->eps)));
    F l = f_set(left);
    for (int64_t c = 0; c < n; c += LANES) {
        F y = f_mul(f_mul(f_sub(f_sub(f_load_some(x + c, n - c), m), l), scale), f_load_some(norm->gain + c, n - c));
        if (norm->bias) y = f_add(y, f_load_some(norm->bias + c, n - c));
        f_store_some(to + c, y, n - c);
    }
}

/** Parts are rows. Scratch holds two rows. */
int32_t KERNEL(norm)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct norm_args *a = arguments;
    int64_t n = a->residual.cols;
    int64_t padded = a->residual.padded;
    float *x = scratch;
    float *y = x + padded;
    memset(x, 0, 2 * (size_t)padded * sizeof(float));
    for (int64_t r = from; r < to; r++) {
        float *residual = a->residual.floats + r * padded;
        const float *delta = a->delta.floats ? a->delta.floats + r * padded : 0;
        if (delta && a->post.gain) {
            normalize(&a->post, delta, n, y);
            delta = y;
        }
        for (int64_t c = 0; c < n; c += LANES) {
            F v = f_load_some(residual + c, n - c);
            if (delta) v = f_add(v, f_load_some(delta + c, n - c));
            f_store(x + c, v);
        }
        if (a->norm.gain) normalize(&a->norm, x, n, y);
        memcpy(residual, a->keep_normed && a->norm.gain ? y : x, (size_t)n * sizeof(float));
        if (!a->out.floats) continue;
        pack_row(&a->out, r, a->norm.gain ? y : x);
    }
    return OK;
}

/** Parts are rows. */
int32_t KERNEL(activate)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct activate_args *a = arguments;
    (void)scratch;
    for (int64_t r = from; r < to; r++) {
        const float *gate = a->gate.floats + r * a->gate.padded;
        const float *up = a->up.floats ? a->up.floats + r * a->up.padded : 0;
        for (int64_t b = 0; b < a->out.padded / BLOCK; b++) {
            float v[BLOCK];
            for (int h = 0; h < BLOCK; h += LANES) {
                int64_t c = b * BLOCK + h;
                F z = f_activate((int)a->activation, f_load(gate + c));
                f_store(v + h, up ? f_mul(z, f_load(up + c)) : z);
            }
            pack_block(&a->out, r, b, v);
        }
        if (waits(&a->out)) pack_row(&a->out, r, a->out.floats + r * a->out.padded);
    }
    return OK;
}

/** Floats to what they are packed to; parts are rows. */
int32_t KERNEL(quantize)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct quantize_args *a = arguments;
    (void)scratch;
    for (int64_t r = from; r < to; r++) {
        pack_row(&a->x, r, a->x.floats + r * a->x.padded);
    }
    return OK;
}

/** What was packed to floats; parts are rows. */
int32_t KERNEL(unpack)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct quantize_args *a = arguments;
    (void)scratch;
    for (int64_t r = from; r < to; r++) {
        const int8_t *codes = a->x.codes + r * a->x.bytes;
        const float *d = (const float *)(codes + a->x.padded);
        if (a->x.input == IN_BF16) {
            for (int64_t c = 0; c < a->x.padded; c += LANES) f_store(a->x.floats + r * a->x.padded + c, f_brain(codes + 2 * c));
            continue;
        }
        for (int64_t c = 0; c < a->x.padded; c++) a->x.floats[r * a->x.padded + c] = (float)codes[c] * d[c / BLOCK];
    }
    return OK;
}

// ---- rotation and cache

static void rotate(const struct rope_args *a, float *x, int64_t n, const float *table, const float *gain) {
    int64_t size = a->head_size, half = a->dims / 2;
    for (float *v = x; v < x + n; v += size) {
        if (gain) normalize(&(struct norm){ .gain = gain, .eps = a->eps }, v, size, v);
        if (a->interleaved) {
            for (int64_t i = 0; i < a->dims; i += LANES) {
                int64_t some = a->dims - i;
                f_store_some(v + i, f_turn(f_load_some(v + i, some), f_load_some(table + i, some)), some);
            }
            continue;
        }
        for (int64_t i = 0; i < half; i += LANES) {
            int64_t some = half - i, more = 2 * some - LANES;
            F low = f_load_some(table + 2 * i, 2 * some), high = more > 0 ? f_load_some(table + 2 * i + LANES, more) : f_zero();
            F cos = f_evens(low, high), sin = f_odds(low, high);
            F p = f_load_some(v + i, some), q = f_load_some(v + half + i, some);
            f_store_some(v + i, f_sub(f_mul(p, cos), f_mul(q, sin)), some);
            f_store_some(v + half + i, f_add(f_mul(p, sin), f_mul(q, cos)), some);
        }
    }
}

/** Element i of k, of a width that is a constant, goes to place i * step. */
INLINE void spread(int width, uint8_t *to, int64_t step, const uint8_t *from, int64_t k) {
    if (step == 1) memcpy(to, from, (size_t)(k * width));
    else
        for (int64_t i = 0; i < k; i++) memcpy(to + i * step * width, from + i * width, (size_t)width);
}

/** Value i of a head goes to element first + i * step; then its scale, where bytes have one. */
static void append(int type, uint8_t *to, int64_t slot, int64_t first, int64_t step, const float *x, int64_t n) {
    float inverse = 0;
    if (type == KV_I8) {
        I most = i_set(0);
        for (int64_t i = 0; i < n; i += LANES) most = i_max(most, f_bits(f_abs(f_load_some(x + i, n - i))));
        int32_t bits = i_most(most);
        float max;
        memcpy(&max, &bits, sizeof max);
        float scale = max / 127;
        inverse = scale < FLT_MIN ? 0 : 1 / scale;
        memcpy(to + KV_BLOCK * n + 4 * slot, &scale, 4);
    }
    for (int64_t i = 0; i < n; i += LANES) {
        int64_t k = n - i < LANES ? n - i : LANES, at = first + i * step;
        F v = f_load_some(x + i, k);
        uint8_t packed[4 * LANES];
        switch (type) {
        case KV_F32: f_store((float *)packed, v), spread(4, to + 4 * at, step, packed, k); break;
        case KV_F16: f_store_half(packed, v), spread(2, to + 2 * at, step, packed, k); break;
        default: {
            F y = f_mul(v, f_set(inverse));
            i_store_s8(packed, f_round(f_above(f_set(INFINITY), f_abs(y), y, f_zero())));
            spread(1, to + at, step, packed, k);
        }
        }
    }
}

/** Parts are rows. Keys of a block lie transposed, [head_size x block], values as [block x head_size]; see NativeKvPool. */
int32_t KERNEL(rope)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct rope_args *a = arguments;
    (void)scratch;
    int type = (int)a->cache_type;
    int64_t size = a->head_size;
    int64_t head = KV_BLOCK * (type == KV_F32 ? 4 * size : type == KV_F16 ? 2 * size : size + 4);
    for (int64_t r = from; r < to; r++) {
        const float *table = a->table + a->pos[r] * a->dims;
        float *k = a->k.floats + r * a->k.padded;
        const float *v = a->v.floats + r * a->v.padded;
        rotate(a, a->q.floats + r * a->q.padded, a->q.cols, table, a->q_gain);
        rotate(a, k, a->k.cols, table, a->k_gain);
        uint8_t *block = a->cache + a->block[r] * 2 * a->kv_heads * head;
        int64_t slot = a->pos[r] % KV_BLOCK;
        for (int64_t h = 0; h < a->kv_heads; h++) {
            append(type, block + h * head, slot, slot, KV_BLOCK, k + h * size, size);
            append(type, block + (a->kv_heads + h) * head, slot, slot * size, 1, v + h * size, size);
        }
    }
    return OK;
}

// ---- the best tokens

/** Larger as Float.compare has it: not a number above everything, zeros equal here since a tie goes to the smaller id. */
static int above(float x, float y) { return x != x ? y == y : x > y; }

/** Parts are rows. */
int32_t KERNEL(best)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct best_args *a = arguments;
    (void)scratch;
    for (int64_t r = from; r < to; r++) {
        const float *v = a->scores + r * a->stride;
        int32_t *id = a->ids + r * a->k;
        int64_t found = 0;
        for (int64_t i = 0; i < a->vocabulary; i++) {
            if (found == a->k) {
                float least = v[id[a->k - 1]];
                while (i + LANES <= a->vocabulary && !f_any_above(f_load(v + i), f_set(least))) i += LANES;
                if (i == a->vocabulary) break;
                if (!above(v[i], least)) continue;
            }
            int64_t at = found == a->k ? a->k - 1 : found++;
            while (at > 0 && above(v[i], v[id[at - 1]])) {
                id[at] = id[at - 1];
                at--;
            }
            id[at] = (int32_t)i;
        }
    }
    return OK;
}
