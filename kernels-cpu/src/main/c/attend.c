// Softmax attention, block after block of the cache with a running maximum (Milakov and Gimelshein, 2018), so that the matrix of scores is never
// written. A part is a tile of query rows of one sequence with the query heads that read one key/value head: a block is unpacked once for all of them.
// What a row computes does not depend on its tile.
#include "functions.h"
#include <math.h>

/** Queries whose sums stay in registers together. */
#define TOGETHER 6
#define HALVES (KV_BLOCK / LANES)

#if defined(__AVX512BF16__)
#define HAS_PAIRS 1
#else
#define HAS_PAIRS 0
#endif
#define PAIRS(s) (HAS_PAIRS && (s)->pairs)

typedef struct {
    /**
     * Whether queries, keys, weights and values are rounded to bfloat16 and multiplied two by two, at twice the rate: where what comes out is rounded to
     * no more bits than that, and what the cache holds was rounded before.
     */
    int pairs;
    float *q;      // [queries x head_size]
    float *scores; // [queries x KV_BLOCK]
    float *mixed;  // [queries x padded head_size], in units of exp(max)
    float *keys;   // [head_size x KV_BLOCK]; pairs: [head_size / 2 x KV_BLOCK]
    float *values; // [KV_BLOCK x padded head_size]; pairs: [KV_BLOCK / 2 x padded head_size]
    float *most;   // the largest score of the current block
    float *max;    // of all blocks so far, to which sums are relative
    float *factor; // from the largest before to the largest now
    float *total;  // [queries x LANES], sums of weights
    int32_t *from; // positions of the current block that a query sees
    int32_t *to;
    int64_t padded;
} room;

static int64_t pad(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/** The first n packed numbers, zeros after them. */
INLINE F numbers(int type, const uint8_t *p, int64_t n) {
    uint8_t some[4 * LANES] = { 0 };
    if (n < LANES) p = memcpy(some, p, (size_t)(n * (type == KV_F32 ? 4 : type == KV_F16 ? 2 : 1)));
    return type == KV_F32 ? f_load((const float *)p) : type == KV_F16 ? f_half(p) : f_of(i_s8(p));
}

/**
 * Rows of n packed numbers as rows of floats, zeros to their end, or each two rows as one of pairs, and an odd one with zeros. Asks for the same of the
 * next block, `ahead` bytes on, which lies elsewhere: the processor does not guess where.
 */
INLINE void unpack(int pairs, int type, const uint8_t *from, int64_t ahead, int64_t rows, int64_t n, float *to) {
    int width = type == KV_F32 ? 4 : type == KV_F16 ? 2 : 1;
    for (int64_t r = 0; r < rows; r += 1 + pairs) {
        for (int64_t c = 0; c < n; c += LANES, to += LANES) {
            const uint8_t *first = from + (r * n + c) * width, *second = first + n * width;
            __builtin_prefetch((const void *)((uintptr_t)first + (uintptr_t)ahead));
            F x = numbers(type, first, n - c);
            if (pairs) {
                __builtin_prefetch((const void *)((uintptr_t)second + (uintptr_t)ahead));
                x = f_from(i_pairs(x, r + 1 < rows ? numbers(type, second, n - c) : f_zero()));
            }
            f_store(to, x);
        }
    }
}

static void unpack_block(const room *s, int type, const uint8_t *from, int64_t ahead, int64_t rows, int64_t n, float *to) {
#define CASE(t)                                                                                                                                      \
    case t:                                                                                                                                          \
        if (PAIRS(s)) unpack(1, t, from, ahead, rows, n, to);                                                                                        \
        else unpack(0, t, from, ahead, rows, n, to);                                                                                                 \
        break;
    switch (type) { CASE(KV_F32) CASE(KV_F16) CASE(KV_I8) }
#undef CASE
}

/** Queries as pairs, in place. */
static void pair_queries(const room *s, int64_t n, int64_t size) {
    int64_t words = (size + 1) / 2;
    for (int64_t i = 0; i < n; i++) {
        const float *q = s->q + i * size;
        for (int64_t c = 0; c < size; c += 2 * LANES) {
            F x = f_load_some(q + c, size - c), y = size - c > LANES ? f_load_some(q + c + LANES, size - c - LANES) : f_zero();
            f_store_some(s->q + i * words + c / 2, f_from(i_row(x, y)), words - c / 2);
        }
    }
}

INLINE F multiply(int pairs, F sum, F w, F x) { return pairs ? f_dot_brain(sum, f_bits(w), f_bits(x)) : f_fma(w, x, sum); }

/** Scores of n queries, a constant, with the keys of a block. */
INLINE void score(int pairs, int n, const room *s, int64_t at, int64_t size) {
    F sum[n][HALVES];
    int64_t steps = pairs ? (size + 1) / 2 : size;
    const float *q = s->q + at * steps;
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int h = 0; h < HALVES; h++) sum[i][h] = f_zero();
    for (int64_t c = 0; c < steps; c++) {
        F k[HALVES];
        UNROLL for (int h = 0; h < HALVES; h++) k[h] = f_load(s->keys + c * KV_BLOCK + h * LANES);
        UNROLL for (int i = 0; i < n; i++) {
            F x = f_set(q[i * steps + c]);
            UNROLL for (int h = 0; h < HALVES; h++) sum[i][h] = multiply(pairs, sum[i][h], k[h], x);
        }
    }
    UNROLL for (int i = 0; i < n; i++)
        UNROLL for (int h = 0; h < HALVES; h++) f_store(s->scores + (at + i) * KV_BLOCK + h * LANES, sum[i][h]);
}

/** Adds the values of positions from .. to, weighted, to the sums of n queries, a constant. */
INLINE void mix(int pairs, int n, const room *s, int64_t at, int64_t from, int64_t to) {
    for (int64_t c = 0; c < s->padded; c += 2 * LANES) {
        int two = c + LANES < s->padded;
        F sum[n][2];
        float *mixed = s->mixed + at * s->padded + c;
        UNROLL for (int i = 0; i < n; i++) {
            sum[i][0] = f_load(mixed + i * s->padded);
            sum[i][1] = two ? f_load(mixed + i * s->padded + LANES) : f_zero();
        }
        for (int64_t p = pairs ? from / 2 : from; (pairs ? 2 * p : p) < to; p++) {
            const float *v = s->values + p * s->padded + c;
            F v0 = f_load(v), v1 = two ? f_load(v + LANES) : v0;
            if (pairs && (2 * p < from || 2 * p + 1 == to)) {
                // the other of the pair is not to be seen, and 0 times it is not always 0
                I seen = i_set(2 * p < from ? (int32_t)0xffff0000 : 0xffff);
                v0 = f_from(i_and(f_bits(v0), seen));
                v1 = f_from(i_and(f_bits(v1), seen));
            }
            UNROLL for (int i = 0; i < n; i++) {
                F w = f_set(s->scores[(at + i) * KV_BLOCK + p]);
                sum[i][0] = multiply(pairs, sum[i][0], v0, w);
                sum[i][1] = multiply(pairs, sum[i][1], v1, w);
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

/** Scales a query's scores, hides those that are not at positions from .. to, and finds the largest. */
static void bound(const room *s, int64_t i, int64_t from, int64_t to, float scale, float cap, const float *key_scales) {
    float *at = s->scores + i * KV_BLOCK;
    F most = f_set(-INFINITY);
    for (int h = 0; h < KV_BLOCK; h += LANES) {
        F x = f_mul(f_load(at + h), f_set(scale));
        if (key_scales) x = f_mul(x, f_load(key_scales + h));
        if (cap != 0) x = f_mul(f_set(cap), f_tanh(f_div(x, f_set(cap))));
        f_store(at + h, x);
    }
    if (from > 0 || to < KV_BLOCK) {
        // what lies outside may be anything
        for (int64_t p = 0; p < KV_BLOCK; p++) at[p] = p < from || p >= to ? -INFINITY : at[p];
    }
    // passes over what is not a number, which the weights below carry on
    for (int h = 0; h < KV_BLOCK; h += LANES) most = f_max(f_load(at + h), most);
    s->most[i] = f_most(most);
}

/**
 * Turns scores into weights relative to each query's largest so far, to which its sums are brought. Step by step for all queries: whether a largest score
 * has grown is known long before it is asked, since a wrong guess costs as much as the rest.
 */
static void soften(const room *s, int64_t n, const float *value_scales) {
    for (int64_t i = 0; i < n; i += LANES) {
        F old = f_load(s->max + i), most = f_load(s->most + i);
        f_store(s->factor + i, f_above(most, old, f_exp(f_sub(old, most)), f_set(1)));
        f_store(s->max + i, f_max(old, most));
    }
    for (int64_t i = 0; i < n; i++) {
        if (s->from[i] >= s->to[i]) continue;
        float *at = s->scores + i * KV_BLOCK, *mixed = s->mixed + i * s->padded, *total = s->total + i * LANES;
        F factor = f_set(s->factor[i]), base = f_set(s->max[i]), sum = f_mul(f_load(total), factor);
        if (s->factor[i] != 1) {
            for (int64_t c = 0; c < s->padded; c += LANES) f_store(mixed + c, f_mul(f_load(mixed + c), factor));
        }
        F e[HALVES];
        for (int h = 0; h < HALVES; h++) {
            F x = f_load(at + h * LANES);
            e[h] = f_above(f_set(-FLT_MAX), x, f_zero(), f_exp(f_sub(x, base)));
            sum = f_add(sum, e[h]);
            if (value_scales) e[h] = f_mul(e[h], f_load(value_scales + h * LANES));
            f_store(at + h * LANES, e[h]);
        }
        if (PAIRS(s)) {
            f_store(at, f_from(i_row(e[0], e[1])));
            // what is paired with a position that is seen may be 0 times a scale that is not a number
            uint8_t *weights = (uint8_t *)at;
            if (s->from[i] % 2) memset(weights + 2 * (s->from[i] - 1), 0, 2);
            if (s->to[i] % 2) memset(weights + 2 * s->to[i], 0, 2);
        }
        f_store(total, sum);
    }
}

/** Adds for each row, that is `group` queries, what it sees of positions from .. to. */
static void mix_rows(const room *s, int64_t n, int64_t group, int64_t from, int64_t to) {
    for (int64_t row = 0; row < n; row += group) {
        int64_t first = s->from[row] > from ? s->from[row] : from, last = s->to[row] < to ? s->to[row] : to;
        if (first >= last) continue;
#define CALL(k) PAIRS(s) ? mix(1, k, s, row + i, first, last) : mix(0, k, s, row + i, first, last)
        EACH_QUERY(group, i, CALL)
#undef CALL
    }
}

static void attend_head(const struct attend_args *a, const room *s, int64_t row, int64_t n, int64_t group, int64_t kv) {
    int type = (int)a->cache_type;
    int64_t size = a->head_size;
    int64_t head = KV_BLOCK * (type == KV_F32 ? 4 * size : type == KV_F16 ? 2 * size : size + 4);
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
        int64_t ahead = b < last / KV_BLOCK ? (table[b + 1] - table[b]) * 2 * a->kv_heads * head : 0;
        unpack_block(s, type, keys, ahead, size, KV_BLOCK, s->keys);
        unpack_block(s, type, values, ahead, KV_BLOCK, size, s->values);
#define CALL(k) PAIRS(s) ? score(1, k, s, i, size) : score(0, k, s, i, size)
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
            bound(s, i, from, to, (float)a->scale, (float)a->cap, key_scales);
            s->from[i] = (int32_t)from;
            s->to[i] = (int32_t)to;
            low = from > low ? from : low;
            high = to < high ? to : high;
        }
        soften(s, n, value_scales);
        // no pair is torn, so that sums are those of the row in any tile
        low += low % 2;
        high -= high % 2;
        // those that only some see are added row by row, since 0 times what another row must not see is not always 0; the order is that of positions
        if (low < high) {
            mix_rows(s, n, group, 0, low);
#define CALL(k) PAIRS(s) ? mix(1, k, s, i, low, high) : mix(0, k, s, i, low, high)
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
        room s = { .pairs = a->cache_type != KV_F32 && a->out.input != IN_F32, .padded = pad(size) };
        float *p = scratch;
        s.keys = p, p += size * KV_BLOCK;
        s.values = p, p += s.padded * KV_BLOCK;
        s.q = p, p += pad(n * size);
        s.scores = p, p += n * KV_BLOCK;
        s.mixed = p, p += n * s.padded;
        s.most = p, p += pad(n);
        s.max = p, p += pad(n);
        s.factor = p, p += pad(n);
        s.total = p, p += n * LANES;
        s.from = (int32_t *)p, p += pad(n);
        s.to = (int32_t *)p;
        memset(s.mixed, 0, (size_t)(n * s.padded) * sizeof(float));
        for (int64_t i = 0; i < n; i += LANES) {
            f_store(s.most + i, f_set(-INFINITY));
            f_store(s.max + i, f_set(-INFINITY));
        }
        for (int64_t i = 0; i < n; i++) {
            f_store(s.total + i * LANES, f_zero());
            memcpy(s.q + i * size, a->q.floats + (row + i / group) * a->q.padded + heads[i % group] * size, (size_t)size * sizeof(float));
        }
        if (PAIRS(&s)) pair_queries(&s, n, size);
        int padding = a->seq[row] < 0;
        if (!padding) attend_head(a, &s, row, n, group, a->kv_of[heads[0]]);
        for (int64_t i = 0; i < n; i++) {
            float *mixed = s.mixed + i * s.padded;
            F scale = f_set(padding ? 0 : 1 / f_sum(f_load(s.total + i * LANES)));
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
