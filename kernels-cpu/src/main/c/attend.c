// Softmax attention, block after block of the cache with a running maximum (Milakov and Gimelshein, 2018), so that the matrix of scores is never
// written. A part is a tile of query rows of one sequence with the query heads that read one key/value head: a block is unpacked once for all of them.
// What a row computes does not depend on its tile.
#include "functions.h"
#include <math.h>

/** Queries whose sums stay in registers together. */
#define TOGETHER 6
#define HALVES (KV_BLOCK / LANES)

typedef struct {
    float *q;      // [queries x head_size]
    float *scores; // [queries x KV_BLOCK]
    float *mixed;  // [queries x padded head_size], in units of exp(max)
    float *keys;   // [head_size x KV_BLOCK]
    float *values; // [KV_BLOCK x padded head_size]
    float *max;
    float *total;
    int32_t *from; // positions of the current block that a query sees
    int32_t *to;
    int64_t padded;
} room;

static int64_t pad(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/** Packed numbers as floats; n is padded. */
static void unpack(int type, const uint8_t *from, int64_t n, float *to) {
    switch (type) {
    case KV_F32: memcpy(to, from, (size_t)n * sizeof(float)); break;
    case KV_F16: {
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES) f_store(to + i, f_half(from + 2 * i));
        for (; i < n; i++) {
            uint16_t h;
            memcpy(&h, from + 2 * i, 2);
            to[i] = _cvtsh_ss(h);
        }
        break;
    }
    default: {
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES) f_store(to + i, f_of(i_s8(from + i)));
        for (; i < n; i++) to[i] = (float)(int8_t)from[i];
    }
    }
}

/** Scores of n queries, a constant, with the keys of a block. */
INLINE void score(int n, const room *s, int64_t at, int64_t size) {
    F sum[n][HALVES];
    const float *q = s->q + at * size;
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int h = 0; h < HALVES; h++) sum[i][h] = f_zero();
    for (int64_t c = 0; c < size; c++) {
        F k[HALVES];
        UNROLL for (int h = 0; h < HALVES; h++) k[h] = f_load(s->keys + c * KV_BLOCK + h * LANES);
        UNROLL for (int i = 0; i < n; i++) {
            F x = f_set(q[i * size + c]);
            UNROLL for (int h = 0; h < HALVES; h++) sum[i][h] = f_fma(x, k[h], sum[i][h]);
        }
    }
    UNROLL for (int i = 0; i < n; i++)
        UNROLL for (int h = 0; h < HALVES; h++) f_store(s->scores + (at + i) * KV_BLOCK + h * LANES, sum[i][h]);
}

/** Adds the values of positions from .. to, weighted, to the sums of n queries, a constant. */
INLINE void mix(int n, const room *s, int64_t at, int64_t from, int64_t to) {
    for (int64_t c = 0; c < s->padded; c += 2 * LANES) {
        int two = c + LANES < s->padded;
        F sum[n][2];
        float *mixed = s->mixed + at * s->padded + c;
        UNROLL for (int i = 0; i < n; i++) {
            sum[i][0] = f_load(mixed + i * s->padded);
            sum[i][1] = two ? f_load(mixed + i * s->padded + LANES) : f_zero();
        }
        for (int64_t p = from; p < to; p++) {
            const float *v = s->values + p * s->padded + c;
            F v0 = f_load(v), v1 = two ? f_load(v + LANES) : v0;
            UNROLL for (int i = 0; i < n; i++) {
                F w = f_set(s->scores[(at + i) * KV_BLOCK + p]);
                sum[i][0] = f_fma(w, v0, sum[i][0]);
                sum[i][1] = f_fma(w, v1, sum[i][1]);
            }
        }
        UNROLL for (int i = 0; i < n; i++) {
            f_store(mixed + i * s->padded, sum[i][0]);
            if (two) f_store(mixed + i * s->padded + LANES, sum[i][1]);
        }
    }
}

#define EACH_QUERY(n, i, CALL)                                                                                                                       \
    for (int64_t i = 0; i < (n);) {                                                                                                                  \
        if ((n) - i >= TOGETHER) { CALL(TOGETHER); i += TOGETHER; }                                                                                  \
        else if ((n) - i >= 3) { CALL(3); i += 3; }                                                                                                  \
        else { CALL(1); i += 1; }                                                                                                                    \
    }

/** Turns a query's scores at positions from .. to into weights relative to the largest score so far, to which its sums are brought. */
static void soften(const room *s, int64_t i, int64_t from, int64_t to, float scale, float cap, const float *key_scales, const float *value_scales) {
    float *at = s->scores + i * KV_BLOCK;
    float v[KV_BLOCK];
    F most = f_set(-INFINITY);
    for (int h = 0; h < KV_BLOCK; h += LANES) {
        F x = f_mul(f_load(at + h), f_set(scale));
        if (key_scales) x = f_mul(x, f_load(key_scales + h));
        if (cap != 0) x = f_mul(f_set(cap), f_tanh(f_div(x, f_set(cap))));
        f_store(v + h, x);
    }
    if (from > 0 || to < KV_BLOCK) {
        // what lies outside may be anything
        for (int64_t p = 0; p < KV_BLOCK; p++) v[p] = p < from || p >= to ? -INFINITY : v[p];
    }
    // passes over what is not a number, which the weights below carry on
    for (int h = 0; h < KV_BLOCK; h += LANES) most = f_max(f_load(v + h), most);
    float max = f_most(most);
    if (max > s->max[i]) {
        F factor = f_exp(f_set(s->max[i] - max));
        s->total[i] *= f_first_lane(factor);
        float *mixed = s->mixed + i * s->padded;
        for (int64_t c = 0; c < s->padded; c += LANES) f_store(mixed + c, f_mul(f_load(mixed + c), factor));
        s->max[i] = max;
    }
    F base = f_set(s->max[i]), sum = f_zero();
    for (int h = 0; h < KV_BLOCK; h += LANES) {
        F x = f_load(v + h);
        F e = f_above(f_set(-FLT_MAX), x, f_zero(), f_exp(f_sub(x, base)));
        sum = f_add(sum, e);
        f_store(at + h, value_scales ? f_mul(e, f_load(value_scales + h)) : e);
    }
    s->total[i] += f_sum(sum);
}

/** Adds for each row, that is `group` queries, what it sees of positions from .. to. */
static void mix_rows(const room *s, int64_t n, int64_t group, int64_t from, int64_t to) {
    for (int64_t row = 0; row < n; row += group) {
        int64_t first = s->from[row] > from ? s->from[row] : from, last = s->to[row] < to ? s->to[row] : to;
        if (first >= last) continue;
#define CALL(k) mix(k, s, row + i, first, last)
        EACH_QUERY(group, i, CALL)
#undef CALL
    }
}

static void attend_head(const struct attend_args *a, const room *s, int64_t row, int64_t n, int64_t group, int64_t kv) {
    int type = (int)a->cache_type;
    int64_t size = a->head_size;
    int64_t head = KV_BLOCK * (type == KV_F32 ? 4 * size : type == KV_F16 ? 2 * size : size + 4);
    int64_t value_bytes = type == KV_F32 ? 4 * size : type == KV_F16 ? 2 * size : size;
    const int32_t *table = a->table + a->seq[row] * a->table_stride;
    int64_t rows = n / group;
    int64_t first = INT64_MAX, last = 0;
    for (int64_t r = row; r < row + rows; r++) {
        int64_t begin = a->window && a->pos[r] >= a->window ? a->pos[r] - a->window + 1 : 0;
        first = begin < first ? begin : first;
        last = a->pos[r] > last ? a->pos[r] : last;
    }
    for (int64_t b = first / KV_BLOCK; b <= last / KV_BLOCK; b++) {
        const uint8_t *keys = a->cache + table[b] * 2 * a->kv_heads * head + kv * head;
        const uint8_t *values = keys + a->kv_heads * head;
        const float *key_scales = type == KV_I8 ? (const float *)(keys + KV_BLOCK * size) : 0;
        const float *value_scales = type == KV_I8 ? (const float *)(values + KV_BLOCK * size) : 0;
        unpack(type, keys, KV_BLOCK * size, s->keys);
        if (s->padded == size) unpack(type, values, KV_BLOCK * size, s->values);
        else
            for (int64_t p = 0; p < KV_BLOCK; p++) unpack(type, values + p * value_bytes, size, s->values + p * s->padded);
#define CALL(k) score(k, s, i, size)
        EACH_QUERY(n, i, CALL)
#undef CALL
        // the positions that every query sees
        int64_t low = 0, high = KV_BLOCK;
        for (int64_t i = 0; i < n; i++) {
            int64_t pos = a->pos[row + i / group];
            int64_t from = a->window && pos >= a->window ? pos - a->window + 1 - b * KV_BLOCK : 0;
            int64_t to = pos + 1 - b * KV_BLOCK;
            from = from < 0 ? 0 : from > KV_BLOCK ? KV_BLOCK : from;
            to = to < 0 ? 0 : to > KV_BLOCK ? KV_BLOCK : to;
            if (from < to) soften(s, i, from, to, (float)a->scale, (float)a->cap, key_scales, value_scales);
            s->from[i] = (int32_t)from;
            s->to[i] = (int32_t)to;
            low = from > low ? from : low;
            high = to < high ? to : high;
        }
        // those that only some see are added row by row, since 0 times what another row must not see is not always 0; the order is that of positions
        if (low < high) {
            mix_rows(s, n, group, 0, low);
#define CALL(k) mix(k, s, i, low, high)
            EACH_QUERY(n, i, CALL)
#undef CALL
            mix_rows(s, n, group, high, KV_BLOCK);
        } else {
            mix_rows(s, n, group, 0, KV_BLOCK);
        }
    }
}

/** Parts are (tile, group). Scratch holds a block's keys and values and what belongs to each query, see scratch_bytes. */
int32_t KERNEL(attend)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct attend_args *a = arguments;
    int64_t size = a->head_size;
    for (int64_t part = from; part < to; part++) {
        int64_t tile = part / a->group_count, g = part % a->group_count;
        int64_t row = a->tiles[tile], rows = a->tiles[tile + 1] - row;
        const int32_t *heads = a->heads + a->groups[g];
        int64_t group = a->groups[g + 1] - a->groups[g];
        int64_t n = rows * group;
        room s = { .padded = pad(size) };
        float *p = scratch;
        s.keys = p, p += size * KV_BLOCK;
        s.values = p, p += s.padded * KV_BLOCK;
        s.q = p, p += pad(n * size);
        s.scores = p, p += n * KV_BLOCK;
        s.mixed = p, p += n * s.padded;
        s.max = p, p += pad(n);
        s.total = p, p += pad(n);
        s.from = (int32_t *)p, p += pad(n);
        s.to = (int32_t *)p;
        if (s.padded != size) memset(s.values, 0, (size_t)(s.padded * KV_BLOCK) * sizeof(float));
        memset(s.mixed, 0, (size_t)(n * s.padded) * sizeof(float));
        for (int64_t i = 0; i < n; i++) {
            s.max[i] = -INFINITY;
            s.total[i] = 0;
            memcpy(s.q + i * size, a->q.floats + (row + i / group) * a->q.padded + heads[i % group] * size, (size_t)size * sizeof(float));
        }
        int padding = a->seq[row] < 0;
        if (!padding) attend_head(a, &s, row, n, group, a->kv_of[heads[0]]);
        for (int64_t i = 0; i < n; i++) {
            float *mixed = s.mixed + i * s.padded;
            F scale = f_set(padding ? 0 : 1 / s.total[i]);
            for (int64_t c = 0; c < s.padded; c += LANES) f_store(mixed + c, f_mul(f_load(mixed + c), scale));
            int64_t r = row + i / group, col = heads[i % group] * size;
            if (a->out.input != IN_F32 && size % BLOCK == 0) {
                for (int64_t c = 0; c < size; c += BLOCK) pack_block(&a->out, r, (col + c) / BLOCK, mixed + c);
            } else {
                memcpy(a->out.floats + r * a->out.padded + col, mixed, (size_t)size * sizeof(float));
            }
        }
    }
    return OK;
}
