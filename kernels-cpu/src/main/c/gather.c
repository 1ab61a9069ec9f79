// Products of chosen rows of a matrix. The rows lie one by one as files pack them, padded to whole lines, so that each is one run of memory wherever
// its neighbours are. What is read next is known, and asked for ahead: runs are too short and too far apart for a processor to guess them.
#include "functions.h"
#include "formats.h"

#define EACH_GATHERED(CALL) CALL(F32) CALL(F16) CALL(BF16) CALL(Q8_0) CALL(Q4_0) CALL(I8_ROW) CALL(I4_GROUP)
/** Products that are summed side by side: of so many chosen rows with one activation, or of one with so many. */
#define TOGETHER 4
#define LINE 64
/** Bytes of chosen rows that are asked for before they are needed. */
#define AHEAD 8192

/** Shifts by half a byte, in each 16 bits. */
#define NIBBLES 0x0004000400040004

/** Groups hold 1, 2 or 4 blocks: divisions would cost more than the rest. */
INLINE int shift_of(int group) { return group == 128 ? 2 : group == 64; }

/** Where the scale of block b begins, and where its codes do. */
INLINE const uint8_t *head_at(int f, int group, const uint8_t *row, int64_t b) {
    switch (f) {
    case Q8_0: return row + 34 * b;
    case Q4_0: return row + 18 * b;
    case I4_GROUP: return row + (b >> shift_of(group)) * (5 + group / 2);
    default: return row; // I8_ROW, which has one; of floats it is not used
    }
}
INLINE const uint8_t *codes_at(int f, int group, const uint8_t *row, int64_t b) {
    switch (f) {
    case F32: return row + 128 * b;
    case F16: case BF16: return row + 64 * b;
    case I8_ROW: return row + 4 + BLOCK * b;
    case I4_GROUP: return head_at(f, group, row, b) + 5 + (b & ((1 << shift_of(group)) - 1)) * 16;
    default: return head_at(f, group, row, b) + 2;
    }
}
INLINE float scale_at(int f, const uint8_t *head) {
    if (f == Q8_0 || f == Q4_0) {
        uint16_t h;
        memcpy(&h, head, sizeof h);
        return _cvtsh_ss(h);
    }
    float d;
    memcpy(&d, head, sizeof d);
    return d;
}
/** What codes are counted from; of 8 bits as unsigned bytes. */
INLINE int32_t zero_at(int f, const uint8_t *head) { return f == I4_GROUP ? (int8_t)head[4] : f == Q4_0 ? 8 : 128; }
INLINE int has_nibbles(int f) { return f == Q4_0 || f == I4_GROUP; }

/** What the 16 nibbles stand for, as f_nibbles takes it. */
INLINE F nibbles_less(int32_t zero) {
#if defined(__AVX512F__)
    return f_of(i_sub(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i_set(zero)));
#else
    return f_set((float)zero);
#endif
}
/** The nibbles of 16 bytes less a zero point as floats: their low halves, then their high halves. */
INLINE void f_nibbles(const uint8_t *p, F less, F v[2]) {
#if defined(__AVX512F__)
    // a permutation looks at the low four bits of an index: it is a table
    __m512i q = i_u8(p);
    v[0] = _mm512_permutexvar_ps(q, less);
    v[1] = _mm512_permutexvar_ps(i_right(q, 4), less);
#else
    I q = i_u8(p);
    v[0] = f_sub(f_of(i_and(q, i_set(15))), less);
    v[1] = f_sub(f_of(i_right(q, 4)), less);
#endif
}

/** The 32 columns whose codes begin at p as floats, without their scale. */
INLINE void values_at(int f, const uint8_t *p, F less, F v[2]) {
    switch (f) {
    case F32:
        v[0] = f_load((const float *)p);
        v[1] = f_load((const float *)p + LANES);
        break;
    case F16:
        v[0] = f_half(p);
        v[1] = f_half(p + 2 * LANES);
        break;
    case BF16:
        v[0] = f_brain(p);
        v[1] = f_brain(p + 2 * LANES);
        break;
    case Q8_0: case I8_ROW:
        v[0] = f_of(i_s8(p));
        v[1] = f_of(i_s8(p + LANES));
        break;
    default: f_nibbles(p, less, v);
    }
}

INLINE const uint8_t *row_at(const struct weight *w, int64_t row) { return w->data + row * w->tile_bytes; }

/** Asks for all of a run of bytes. */
INLINE void ask_for(const uint8_t *from, const uint8_t *to) {
    for (; from < to; from += LINE) _mm_prefetch((const char *)from, _MM_HINT_T0);
}
/** Asks for block b of a row of which blocks are asked for one after another: what it shares with the one before has been asked for. */
INLINE void ask_block(int f, int group, const uint8_t *row, int64_t b) {
    const uint8_t *p = codes_at(f, group, row, b);
    _mm_prefetch((const char *)p, _MM_HINT_T0);
    if (f == F32) _mm_prefetch((const char *)p + LINE, _MM_HINT_T0);
}
/** Rows of so many bytes that are asked for ahead of those that are read: enough to keep the memory busy, few enough to stay in the first cache. */
INLINE int64_t rows_ahead(int64_t bytes) { return (AHEAD / bytes + TOGETHER - 1) / TOGETHER * TOGETHER; }

/** m rows with n rows of floats, constants of which one is 1. */
INLINE void float_dots(int f, int m, int n, const struct gather_args *a, const uint8_t *const *w, const uint8_t *const *ahead, int64_t r, float *to) {
    F sum[TOGETHER][2];
    int group = (int)a->w.group;
    UNROLL for (int k = 0; k < m * n; k++) sum[k][0] = sum[k][1] = f_zero();
    const float *x = a->x.floats + r * a->x.padded;
    for (int64_t b = 0; b < a->x.padded / BLOCK; b++) {
        UNROLL for (int i = 0; i < m; i++) {
            const uint8_t *head = head_at(f, group, w[i], b);
            F v[2];
            ask_block(f, group, ahead[i], b);
            values_at(f, codes_at(f, group, w[i], b), has_nibbles(f) ? nibbles_less(zero_at(f, head)) : f_zero(), v);
            if (!is_float(f) && f != I8_ROW) UNROLL for (int h = 0; h < 2; h++) v[h] = f_mul(v[h], f_set(scale_at(f, head)));
            UNROLL for (int t = 0; t < n; t++)
                UNROLL for (int h = 0; h < 2; h++)
                    sum[i * n + t][h] = f_fma(v[h], f_load(x + t * a->x.padded + BLOCK * b + h * LANES), sum[i * n + t][h]);
        }
    }
    UNROLL for (int i = 0; i < m; i++)
        UNROLL for (int t = 0; t < n; t++)
            to[t * a->y.padded + i] = f_sum(f_add(sum[i * n + t][0], sum[i * n + t][1])) * (f == I8_ROW ? scale_at(f, w[i]) : 1);
}

/** Unsigned codes of 32 columns in the lower half, of the next 32 in the upper. */
INLINE I two_codes(int f, const uint8_t *first, const uint8_t *second) {
    if (!has_nibbles(f)) return i_xor(i_two(first, second), i_set((int32_t)0x80808080));
#if defined(__AVX512BW__)
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)first)), _mm_loadu_si128((const __m128i *)second), 1);
    // each of the two twice, its high halves brought down the second time
    __m512i twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3), _mm512_castsi256_si512(both));
    return i_and(_mm512_srlv_epi16(twice, _mm512_setr_epi64(0, 0, NIBBLES, NIBBLES, 0, 0, NIBBLES, NIBBLES)), i_set(0x0f0f0f0f));
#else
    return i_two_of_nibbles(first, second);
#endif
}

/** m rows with n rows of packed bytes, constants of which one is 1: sums of integers of four columns a lane, 64 columns at a time. */
INLINE void byte_dots(int f, int m, int n, const struct gather_args *a, const uint8_t *const *w, const uint8_t *const *ahead, int64_t r, float *to) {
    int group = (int)a->w.group;
    int64_t blocks = a->x.padded / BLOCK;
    F sum[TOGETHER];
    UNROLL for (int k = 0; k < m * n; k++) sum[k] = f_zero();
    for (int64_t b = 0; b < blocks; b += 2) {
        // a row may end with a single block; groups of more than one do not
        int both = b + 1 < blocks;
        I at[TOGETHER], less[TOGETHER];
        F scales[TOGETHER];
        UNROLL for (int t = 0; t < n; t++) {
            const int8_t *x = a->x.codes + (r + t) * a->x.bytes;
            const float *scale = (const float *)(x + a->x.padded);
            const int32_t *sums = (const int32_t *)(scale + 2 * blocks) + 2 * b;
            at[t] = both ? i_load(x + BLOCK * b) : i_load_half(x + BLOCK * b);
            less[t] = i_fours(sums[0], sums[1], both ? sums[2] : 0, both ? sums[3] : 0);
            if (f != I4_GROUP) less[t] = i_left(less[t], f == Q4_0 ? 3 : 7);
            scales[t] = f_halves(scale[b], both ? scale[b + 1] : 0);
        }
        UNROLL for (int i = 0; i < m; i++) {
            const uint8_t *head = head_at(f, group, w[i], b), *next = both ? head_at(f, group, w[i], b + 1) : head;
            I codes = two_codes(f, codes_at(f, group, w[i], b), codes_at(f, group, w[i], both ? b + 1 : b));
            ask_block(f, group, ahead[i], b);
            if (f == Q8_0) ask_block(f, group, ahead[i], b + 1);
            UNROLL for (int t = 0; t < n; t++) {
                I start = f == I4_GROUP ? i_mul(i_halves(zero_at(f, head), zero_at(f, next)), less[t]) : less[t];
                F factor = f == I8_ROW ? scales[t] : f_mul(f_halves(scale_at(f, head), scale_at(f, next)), scales[t]);
                sum[i * n + t] = f_fma(f_of(i_dot(start, codes, at[t])), factor, sum[i * n + t]);
            }
        }
    }
    UNROLL for (int i = 0; i < m; i++)
        UNROLL for (int t = 0; t < n; t++) to[t * a->y.padded + i] = f_sum(sum[i * n + t]) * (f == I8_ROW ? scale_at(f, w[i]) : 1);
}

#define SOME_DOTS(f, m, n)                                                                                                                           \
    do {                                                                                                                                             \
        if (!is_float(f) && a->x.input == IN_I8) byte_dots(f, m, n, a, w, ahead, r, to + r * a->y.padded);                                           \
        else float_dots(f, m, n, a, w, ahead, r, to + r * a->y.padded);                                                                              \
    } while (0)
/** TOGETHER rows, or one, with all rows of the step. */
#define DOTS(f)                                                                                                                                      \
    static void dots_##f(const struct gather_args *a, int m, const uint8_t *const *w, const uint8_t *const *ahead, float *to) {                      \
        int64_t r = 0;                                                                                                                               \
        if (m == TOGETHER) {                                                                                                                         \
            for (; r < a->rows; r++) SOME_DOTS(f, TOGETHER, 1);                                                                                      \
        }                                                                                                                                            \
        for (; r + TOGETHER <= a->rows; r += TOGETHER) SOME_DOTS(f, 1, TOGETHER);                                                                    \
        for (; r < a->rows; r++) SOME_DOTS(f, 1, 1);                                                                                                 \
    }
EACH_GATHERED(DOTS)

/** Parts are chosen rows. */
int32_t KERNEL(rows)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct gather_args *a = arguments;
    (void)scratch;
    int64_t next = rows_ahead(a->w.tile_bytes);
    for (int64_t j = from; j < to && j < from + next; j++) {
        const uint8_t *w = row_at(&a->w, a->active[j]);
        ask_for(w, w + a->w.tile_bytes);
    }
    for (int64_t j = from, m; j < to; j += m) {
        // several rows of the step share what is unpacked of one row of the weight
        m = a->rows < TOGETHER && j + TOGETHER <= to ? TOGETHER : 1;
        const uint8_t *w[TOGETHER], *ahead[TOGETHER];
        for (int64_t i = 0; i < m; i++) {
            w[i] = row_at(&a->w, a->active[j + i]);
            ahead[i] = j + next + i < to ? row_at(&a->w, a->active[j + next + i]) : w[i];
        }
        switch (a->w.format) {
#define CASE(f) case f: dots_##f(a, (int)m, w, ahead, a->y.floats + j); break;
            EACH_GATHERED(CASE)
#undef CASE
        default: return BAD_FORMAT;
        }
        for (int64_t r = 0; a->w.bias && r < a->rows; r++) {
            for (int64_t i = 0; i < m; i++) a->y.floats[r * a->y.padded + j + i] += a->w.bias[a->active[j + i]];
        }
    }
    return OK;
}

/** Adds m rows to `per` blocks of the sums, which have one scale, weighted; m and per are constants. */
INLINE void add_blocks(int f, int m, int per, int group, const uint8_t *const *w, const uint8_t *const *ahead, const float *x, int64_t b, float *y) {
    F sum[4][2];
    UNROLL for (int k = 0; k < per; k++)
        UNROLL for (int h = 0; h < 2; h++) sum[k][h] = f_load(y + BLOCK * k + h * LANES);
    UNROLL for (int i = 0; i < m; i++) {
        const uint8_t *head = head_at(f, group, w[i], b);
        F less = has_nibbles(f) ? nibbles_less(zero_at(f, head)) : f_zero();
        F factor = f_set(is_float(f) ? x[i] : x[i] * scale_at(f, head));
        UNROLL for (int k = 0; k < per; k++) {
            F v[2];
            ask_block(f, group, ahead[i], b + k);
            values_at(f, codes_at(f, group, w[i], b + k), less, v);
            UNROLL for (int h = 0; h < 2; h++) sum[k][h] = f_fma(factor, v[h], sum[k][h]);
        }
    }
    UNROLL for (int k = 0; k < per; k++)
        UNROLL for (int h = 0; h < 2; h++) f_store(y + BLOCK * k + h * LANES, sum[k][h]);
}

/** Adds m rows from the j-th chosen on, m a constant, to blocks from .. to of all sums, and asks for as many from the next-th on. */
INLINE void add_rows(int f, int m, const struct gather_args *a, int64_t j, int64_t next, int64_t from, int64_t to) {
    const uint8_t *w[TOGETHER], *ahead[TOGETHER];
    int group = (int)a->w.group, per = f == I4_GROUP ? group / BLOCK : 1;
    UNROLL for (int i = 0; i < m; i++) {
        w[i] = row_at(&a->w, a->active[j + i]);
        ahead[i] = next + i < a->count ? row_at(&a->w, a->active[next + i]) : w[i];
    }
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x.floats + r * a->x.padded + j;
        float *y = a->y.floats + r * a->y.padded;
        for (int64_t b = from; b < to;) {
            if (f == I4_GROUP && per == 4 && b % 4 == 0 && b + 4 <= to) {
                add_blocks(f, m, 4, 128, w, ahead, x, b, y + BLOCK * b);
                b += 4;
            } else {
                add_blocks(f, m, 1, group, w, ahead, x, b, y + BLOCK * b);
                b++;
            }
        }
    }
}

#define ADD(f)                                                                                                                                       \
    static void add_##f(const struct gather_args *a, int64_t from, int64_t to) {                                                                     \
        int64_t first = codes_at(f, (int)a->w.group, a->w.data, from) - a->w.data;                                                                   \
        int64_t last = codes_at(f, (int)a->w.group, a->w.data, to) - a->w.data, next = rows_ahead(last - first), j = 0;                              \
        for (; j < next && j < a->count; j++) {                                                                                                      \
            const uint8_t *w = row_at(&a->w, a->active[j]);                                                                                          \
            ask_for(w + first, w + last);                                                                                                            \
        }                                                                                                                                            \
        for (j = 0; j + TOGETHER <= a->count; j += TOGETHER) add_rows(f, TOGETHER, a, j, j + next, from, to);                                        \
        for (; j < a->count; j++) add_rows(f, 1, a, j, a->count, from, to);                                                                          \
    }
EACH_GATHERED(ADD)

/** Parts are blocks of 32 columns. */
int32_t KERNEL(columns)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct gather_args *a = arguments;
    (void)scratch;
    for (int64_t r = 0; r < a->rows; r++) {
        float *y = a->y.floats + r * a->y.padded + from * BLOCK;
        size_t bytes = (size_t)((to - from) * BLOCK) * sizeof(float);
        if (a->w.bias) memcpy(y, a->w.bias + from * BLOCK, bytes);
        else memset(y, 0, bytes);
    }
    switch (a->w.format) {
#define CASE(f) case f: add_##f(a, from, to); break;
        EACH_GATHERED(CASE)
#undef CASE
    default: return BAD_FORMAT;
    }
    // 0 times what is not finite is not 0
    for (int64_t r = 0; r < a->rows; r++) {
        for (int64_t c = a->y.cols; c < to * BLOCK; c++) a->y.floats[r * a->y.padded + c] = 0;
    }
    return OK;
}
