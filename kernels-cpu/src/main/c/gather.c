// Products of chosen rows of a matrix. The rows lie one by one as files pack them, padded to whole lines, so that each is one run of memory wherever
// its neighbours are. What is read next is known, and asked for ahead: runs are too short and too far apart for a processor to guess them.
#include "functions.h"
#include "formats.h"

#define EACH_GATHERED(CALL) CALL(F32) CALL(F16) CALL(BF16) CALL(Q8_0) CALL(Q4_0) CALL(I8_ROW) CALL(I4_GROUP)
/** Activation rows that meet an unpacked weight together. */
#define TOGETHER 4
/** Rows that are added up together while as many are asked for ahead. */
#define RUNS 4
#define LINE 64

/** Shifts by half a byte, in each 16 bits. */
#define NIBBLES 0x0004000400040004

/** Where the integers of block b begin, and what they are scaled with and counted from. */
typedef struct {
    const uint8_t *codes;
    float d;
    int32_t zero;
} scaled;

INLINE float half_of(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

/** Groups hold 1, 2 or 4 blocks: divisions would cost more than the rest. */
INLINE int shift_of(int group) { return group == 128 ? 2 : group == 64; }

INLINE scaled scaled_at(int f, int group, const uint8_t *row, int64_t b) {
    scaled s = { row + 4 + BLOCK * b, 1, 128 };
    switch (f) {
    case Q8_0: {
        const uint8_t *p = row + 34 * b;
        s = (scaled){ p + 2, half_of(p), 128 };
        break;
    }
    case Q4_0: {
        const uint8_t *p = row + 18 * b;
        s = (scaled){ p + 2, half_of(p), 8 };
        break;
    }
    case I4_GROUP: {
        const uint8_t *p = row + (b >> shift_of(group)) * (5 + group / 2);
        memcpy(&s.d, p, 4);
        s.zero = (int8_t)p[4];
        s.codes = p + 5 + (b & ((1 << shift_of(group)) - 1)) * 16;
        break;
    }
    }
    return s;
}

/** The nibbles of 16 bytes less a zero point as floats: their low halves, then their high halves. */
INLINE void f_nibbles(const uint8_t *p, int32_t zero, F v[2]) {
#if defined(__AVX512F__)
    // a permutation looks at the low four bits of an index: it is a table of what each nibble stands for
    __m512i q = i_u8(p);
    __m512 table = f_of(i_sub(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i_set(zero)));
    v[0] = _mm512_permutexvar_ps(q, table);
    v[1] = _mm512_permutexvar_ps(i_right(q, 4), table);
#else
    I q = i_u8(p), from = i_set(zero);
    v[0] = f_of(i_sub(i_and(q, i_set(15)), from));
    v[1] = f_of(i_sub(i_right(q, 4), from));
#endif
}

/** Columns 32b to 32b + 31 as floats; of I8_ROW without the row's scale. */
INLINE void values_at(int f, int group, const uint8_t *row, int64_t b, F v[2]) {
    const uint8_t *p = row + b * BLOCK * (f == F32 ? 4 : 2);
    switch (f) {
    case F32:
        v[0] = f_load((const float *)p);
        v[1] = f_load((const float *)p + LANES);
        return;
    case F16:
        v[0] = f_half(p);
        v[1] = f_half(p + 2 * LANES);
        return;
    case BF16:
        v[0] = f_brain(p);
        v[1] = f_brain(p + 2 * LANES);
        return;
    }
    scaled s = scaled_at(f, group, row, b);
    if (f == Q8_0 || f == I8_ROW) {
        v[0] = f_of(i_s8(s.codes));
        v[1] = f_of(i_s8(s.codes + LANES));
    } else {
        f_nibbles(s.codes, s.zero, v);
    }
    if (f == I8_ROW) return;
    v[0] = f_mul(v[0], f_set(s.d));
    v[1] = f_mul(v[1], f_set(s.d));
}

INLINE float scale_of(int f, const uint8_t *row) {
    float d = 1;
    if (f == I8_ROW) memcpy(&d, row, 4);
    return d;
}

INLINE const uint8_t *row_at(const struct weight *w, int64_t row) { return w->data + row * w->tile_bytes; }

INLINE void ask_for(const uint8_t *from, const uint8_t *to) {
    for (; from < to; from += LINE) _mm_prefetch((const char *)from, _MM_HINT_T0);
}

/** A row with n rows of floats, n a constant. */
INLINE void float_dots(int f, int n, const struct gather_args *a, const uint8_t *w, int64_t r, float *to) {
    F sum[n][2];
    UNROLL for (int t = 0; t < n; t++) sum[t][0] = sum[t][1] = f_zero();
    const float *x = a->x.floats + r * a->x.padded;
    for (int64_t b = 0; b < a->x.padded / BLOCK; b++) {
        F v[2];
        values_at(f, (int)a->w.group, w, b, v);
        UNROLL for (int t = 0; t < n; t++)
            UNROLL for (int h = 0; h < 2; h++) sum[t][h] = f_fma(v[h], f_load(x + t * a->x.padded + BLOCK * b + h * LANES), sum[t][h]);
    }
    UNROLL for (int t = 0; t < n; t++) to[t] = f_sum(f_add(sum[t][0], sum[t][1])) * scale_of(f, w);
}

/** Unsigned codes of 32 columns in the lower half, of the next 32 in the upper. */
INLINE I codes_at(int f, const uint8_t *first, const uint8_t *second) {
    if (f == Q8_0 || f == I8_ROW) return i_xor(i_two(first, second), i_set((int32_t)0x80808080));
#if defined(__AVX512BW__)
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)first)), _mm_loadu_si128((const __m128i *)second), 1);
    // each of the two twice, its high halves brought down the second time
    __m512i twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3), _mm512_castsi256_si512(both));
    return i_and(_mm512_srlv_epi16(twice, _mm512_setr_epi64(0, 0, NIBBLES, NIBBLES, 0, 0, NIBBLES, NIBBLES)), i_set(0x0f0f0f0f));
#else
    return i_two_of_nibbles(first, second);
#endif
}

/** A row with n rows of packed bytes: sums of integers of four columns a lane, 64 columns at a time. */
INLINE void byte_dots(int f, int n, const struct gather_args *a, const uint8_t *w, int64_t r, float *to) {
    int group = (int)a->w.group;
    int64_t blocks = a->x.padded / BLOCK;
    F sum[n];
    UNROLL for (int t = 0; t < n; t++) sum[t] = f_zero();
    for (int64_t b = 0; b < blocks; b += 2) {
        int both = b + 1 < blocks;
        scaled s = scaled_at(f, group, w, b), u = both ? scaled_at(f, group, w, b + 1) : s;
        I codes = codes_at(f, s.codes, u.codes), zero = i_halves(s.zero, u.zero);
        F d = f_halves(s.d, u.d);
        UNROLL for (int t = 0; t < n; t++) {
            const int8_t *x = a->x.codes + (r + t) * a->x.bytes;
            const float *scale = (const float *)(x + a->x.padded);
            const int32_t *less = (const int32_t *)(scale + 2 * blocks) + 2 * b;
            I at = both ? i_load(x + BLOCK * b) : i_load_half(x + BLOCK * b);
            I start = i_mul(zero, i_fours(less[0], less[1], both ? less[2] : 0, both ? less[3] : 0));
            float next = both ? scale[b + 1] : 0;
            // of one row the scales are multiplied before they are spread
            F factor = n == 1 ? f_halves(s.d * scale[b], u.d * next) : f_mul(d, f_halves(scale[b], next));
            sum[t] = f_fma(f_of(i_dot(start, codes, at)), factor, sum[t]);
        }
    }
    UNROLL for (int t = 0; t < n; t++) to[t] = f_sum(sum[t]) * scale_of(f, w);
}

#define DOTS(f)                                                                                                                                      \
    static void dots_##f(const struct gather_args *a, const uint8_t *w, float *to) {                                                                 \
        int64_t r = 0;                                                                                                                               \
        int bytes = !is_float(f) && a->x.input == IN_I8;                                                                                             \
        for (; r + TOGETHER <= a->rows; r += TOGETHER) {                                                                                             \
            if (bytes) byte_dots(f, TOGETHER, a, w, r, to + r);                                                                                      \
            else float_dots(f, TOGETHER, a, w, r, to + r);                                                                                           \
        }                                                                                                                                            \
        for (; r < a->rows; r++) {                                                                                                                   \
            if (bytes) byte_dots(f, 1, a, w, r, to + r);                                                                                             \
            else float_dots(f, 1, a, w, r, to + r);                                                                                                  \
        }                                                                                                                                            \
    }
EACH_GATHERED(DOTS)

/** Parts are chosen rows. Scratch holds a value for each row of the step. */
int32_t KERNEL(rows)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct gather_args *a = arguments;
    float *v = scratch;
    for (int64_t j = from; j < to; j++) {
        const uint8_t *w = row_at(&a->w, a->active[j]);
        // the rest of a row comes by itself once it has begun
        if (j + 1 < to) {
            const uint8_t *next = row_at(&a->w, a->active[j + 1]);
            ask_for(next, next + (a->w.tile_bytes < 16 * LINE ? a->w.tile_bytes : 16 * LINE));
        }
        switch (a->w.format) {
#define CASE(f) case f: dots_##f(a, w, v); break;
            EACH_GATHERED(CASE)
#undef CASE
        default: return BAD_FORMAT;
        }
        float bias = a->w.bias ? a->w.bias[a->active[j]] : 0;
        for (int64_t r = 0; r < a->rows; r++) a->y.floats[r * a->y.padded + j] = v[r] + bias;
    }
    return OK;
}

/** Adds n rows, a constant, to blocks from .. to of all sums, weighted. */
INLINE void add_rows(int f, int n, const struct gather_args *a, int64_t j, int64_t from, int64_t to) {
    const uint8_t *w[n];
    F x[n];
    int64_t rows = a->rows;
    UNROLL for (int i = 0; i < n; i++) {
        w[i] = row_at(&a->w, a->active[j + i]);
        x[i] = f_set(a->x.floats[j + i] * scale_of(f, w[i]));
    }
    for (int64_t b = from; b < to; b++) {
        F v[n][2];
        UNROLL for (int i = 0; i < n; i++) values_at(f, (int)a->w.group, w[i], b, v[i]);
        for (int64_t r = 0; r < rows; r++) {
            float *y = a->y.floats + r * a->y.padded + BLOCK * b;
            F low = f_load(y), high = f_load(y + LANES);
            UNROLL for (int i = 0; i < n; i++) {
                F factor = rows == 1 ? x[i] : f_set(a->x.floats[r * a->x.padded + j + i] * scale_of(f, w[i]));
                low = f_fma(factor, v[i][0], low);
                high = f_fma(factor, v[i][1], high);
            }
            f_store(y, low);
            f_store(y + LANES, high);
        }
    }
}

/** Where block b of a row begins. */
INLINE int64_t block_at(int f, int group, int64_t b) {
    switch (f) {
    case F32: return 128 * b;
    case F16: case BF16: return 64 * b;
    case Q8_0: return 34 * b;
    case Q4_0: return 18 * b;
    case I4_GROUP: return (b >> shift_of(group)) * (5 + group / 2) + (b & ((1 << shift_of(group)) - 1)) * 16;
    default: return 4 + 32 * b;
    }
}

#define ADD(f)                                                                                                                                       \
    static void add_##f(const struct gather_args *a, int64_t from, int64_t to) {                                                                     \
        int64_t first = block_at(f, (int)a->w.group, from), last = block_at(f, (int)a->w.group, to), j = 0;                                          \
        for (; j + RUNS <= a->count; j += RUNS) {                                                                                                          \
            for (int64_t k = j + RUNS; k < j + 2 * RUNS && k < a->count; k++) {                                                            \
                const uint8_t *w = row_at(&a->w, a->active[k]);                                                                                      \
                ask_for(w + first, w + last);                                                                                                        \
            }                                                                                                                                        \
            add_rows(f, RUNS, a, j, from, to);                                                                                                          \
        }                                                                                                                                            \
        for (; j < a->count; j++) add_rows(f, 1, a, j, from, to);                                                                                            \
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
