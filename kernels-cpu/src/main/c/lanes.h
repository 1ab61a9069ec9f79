// Sixteen lanes of 32 bits, whatever the registers are: one of 512 bits, or two of 256. Kernels are written once against these.
#ifndef LACUNA_LANES_H
#define LACUNA_LANES_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

#if defined(__AVX512F__)

#define MASK(n) ((__mmask16)((n) >= LANES ? 0xffff : (1 << (n)) - 1))
typedef __m512 F;
typedef __m512i I;

INLINE F f_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void f_store(float *p, F x) { _mm512_storeu_ps(p, x); }
/** The first n values, zeros after them. */
INLINE F f_load_some(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(MASK(n), p); }
INLINE void f_store_some(float *p, F x, int64_t n) { _mm512_mask_storeu_ps(p, MASK(n), x); }
INLINE F f_set(float x) { return _mm512_set1_ps(x); }
INLINE F f_add(F a, F b) { return _mm512_add_ps(a, b); }
INLINE F f_sub(F a, F b) { return _mm512_sub_ps(a, b); }
INLINE F f_mul(F a, F b) { return _mm512_mul_ps(a, b); }
INLINE F f_div(F a, F b) { return _mm512_div_ps(a, b); }
INLINE F f_max(F a, F b) { return _mm512_max_ps(a, b); }
INLINE F f_min(F a, F b) { return _mm512_min_ps(a, b); }
INLINE F f_fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
INLINE F f_abs(F a) { return _mm512_abs_ps(a); }
INLINE __m256 f_lower(F a) { return _mm512_castps512_ps256(a); }
INLINE __m256 f_upper(F a) { return _mm512_extractf32x8_ps(a, 1); }
INLINE F f_of(I a) { return _mm512_cvtepi32_ps(a); }
INLINE I f_round(F a) { return _mm512_cvtps_epi32(a); }
INLINE I f_bits(F a) { return _mm512_castps_si512(a); }
INLINE F f_from(I a) { return _mm512_castsi512_ps(a); }
INLINE F f_half(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }
INLINE void f_store_half(void *p, F x) { _mm256_storeu_si256(p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }
INLINE F f_brain(const void *p) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16)); }
/** The even lanes of a, then those of b. */
INLINE F f_evens(F a, F b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
INLINE F f_odds(F a, F b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
}
/** Turns pairs of neighbours by angles whose cosine and sine lie as pairs in t. */
INLINE F f_turn(F x, F t) { return _mm512_fmaddsub_ps(x, _mm512_moveldup_ps(t), _mm512_mul_ps(_mm512_permute_ps(x, 0xb1), _mm512_movehdup_ps(t))); }
/** Where a > b, c, elsewhere d. */
INLINE F f_above(F a, F b, F c, F d) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), d, c); }
/** Whether a lane of a is larger than that of b, or one of both not a number. */
INLINE int f_any_above(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ) != 0; }
/** The first n lanes, zeros after them. */
INLINE F f_keep(F x, int64_t n) { return _mm512_maskz_mov_ps(MASK(n), x); }
INLINE I i_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void i_store(void *p, I x) { _mm512_storeu_si512(p, x); }
INLINE I i_set(int32_t x) { return _mm512_set1_epi32(x); }
INLINE int32_t i_sum(I x) { return _mm512_reduce_add_epi32(x); }
INLINE int32_t i_most(I x) { return _mm512_reduce_max_epi32(x); }
INLINE I i_add(I a, I b) { return _mm512_add_epi32(a, b); }
INLINE I i_sub(I a, I b) { return _mm512_sub_epi32(a, b); }
INLINE I i_and(I a, I b) { return _mm512_and_si512(a, b); }
INLINE I i_or(I a, I b) { return _mm512_or_si512(a, b); }
INLINE I i_right(I a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
INLINE I i_left(I a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
INLINE I i_max(I a, I b) { return _mm512_max_epi32(a, b); }
INLINE I i_mul(I a, I b) { return _mm512_mullo_epi32(a, b); }
/** All bits where a > b, signed. */
INLINE I i_above(I a, I b) { return _mm512_movm_epi32(_mm512_cmpgt_epi32_mask(a, b)); }
INLINE I i_u8(const void *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(p)); }
INLINE I i_s8(const void *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(p)); }
/** The low bytes of the lanes, signed. */
INLINE void i_store_s8(void *p, I x) { _mm_storeu_si128(p, _mm512_cvtepi32_epi8(x)); }
/** The low halves of the lanes. */
INLINE void i_store_16(void *p, I x) { _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(x)); }
/** To each lane the sum of four products of unsigned bytes of w and signed bytes of a. */
INLINE I i_dot(I sum, I w, I a) {
#if defined(__AVX512VNNI__)
    return _mm512_dpbusd_epi32(sum, w, a);
#else
#error "the AVX-512 tier needs VNNI"
#endif
}

INLINE I i_xor(I a, I b) { return _mm512_xor_si512(a, b); }
/** 32 bytes, and zeros after them. */
INLINE I i_load_half(const void *p) { return _mm512_zextsi256_si512(_mm256_loadu_si256(p)); }
/** 32 bytes of each, one after the other. */
INLINE I i_join(__m256i a, __m256i b) { return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1); }
/** The 64 nibbles of 32 bytes as bytes, the low half of a byte first. */
INLINE I i_nibbles(const void *p) {
    __m512i v = _mm512_cvtepu8_epi16(_mm256_loadu_si256(p));
    return _mm512_and_si512(_mm512_or_si512(v, _mm512_slli_epi16(v, 4)), _mm512_set1_epi8(15));
}
/** Whether the processor expands bytes by one instruction: not all that have VNNI do. */
INLINE int can_expand(void) { return __builtin_cpu_supports("avx512vbmi2"); }
/** The next byte of v wherever the mask has a bit, else zero; only where can_expand. */
INLINE I i_expand_by_one(uint64_t mask, I v) {
    I x;
    __asm__("vpexpandb %1, %0%{%2%}%{z%}" : "=v"(x) : "v"(v), "Yk"((__mmask64)mask));
    return x;
}

#else

typedef struct { __m256 a, b; } F;
typedef struct { __m256i a, b; } I;

#define PAIR(T, f) ((T){ f(x.a), f(x.b) })
INLINE F f_load(const float *p) { return (F){ _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) }; }
INLINE void f_store(float *p, F x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
INLINE F f_load_some(const float *p, int64_t n) {
    if (n >= LANES) return f_load(p);
    float v[LANES] = { 0 };
    memcpy(v, p, (size_t)n * sizeof(float));
    return f_load(v);
}
INLINE void f_store_some(float *p, F x, int64_t n) {
    float v[LANES];
    f_store(n < LANES ? v : p, x);
    if (n < LANES) memcpy(p, v, (size_t)n * sizeof(float));
}
INLINE F f_set(float x) { __m256 v = _mm256_set1_ps(x); return (F){ v, v }; }
INLINE __m256 f_lower(F x) { return x.a; }
INLINE __m256 f_upper(F x) { return x.b; }
INLINE F f_add(F x, F y) { return (F){ _mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b) }; }
INLINE F f_sub(F x, F y) { return (F){ _mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b) }; }
INLINE F f_mul(F x, F y) { return (F){ _mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b) }; }
INLINE F f_div(F x, F y) { return (F){ _mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b) }; }
INLINE F f_max(F x, F y) { return (F){ _mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b) }; }
INLINE F f_min(F x, F y) { return (F){ _mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b) }; }
INLINE F f_fma(F x, F y, F z) { return (F){ _mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b) }; }
INLINE F f_of(I x) { return PAIR(F, _mm256_cvtepi32_ps); }
INLINE I f_round(F x) { return PAIR(I, _mm256_cvtps_epi32); }
INLINE I f_bits(F x) { return PAIR(I, _mm256_castps_si256); }
INLINE F f_from(I x) { return PAIR(F, _mm256_castsi256_ps); }
INLINE F f_half(const void *p) {
    return (F){ _mm256_cvtph_ps(_mm_loadu_si128(p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p + 1)) };
}
INLINE void f_store_half(void *p, F x) {
    _mm_storeu_si128(p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)p + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
INLINE __m256 in_order(__m256 x) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8)); }
INLINE F f_evens(F x, F y) { return (F){ in_order(_mm256_shuffle_ps(x.a, x.b, 0x88)), in_order(_mm256_shuffle_ps(y.a, y.b, 0x88)) }; }
INLINE F f_odds(F x, F y) { return (F){ in_order(_mm256_shuffle_ps(x.a, x.b, 0xdd)), in_order(_mm256_shuffle_ps(y.a, y.b, 0xdd)) }; }
INLINE __m256 turn256(__m256 x, __m256 t) {
    return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(t), _mm256_mul_ps(_mm256_permute_ps(x, 0xb1), _mm256_movehdup_ps(t)));
}
INLINE F f_turn(F x, F t) { return (F){ turn256(x.a, t.a), turn256(x.b, t.b) }; }
INLINE F f_above(F x, F y, F c, F d) {
    return (F){ _mm256_blendv_ps(d.a, c.a, _mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ)),
                _mm256_blendv_ps(d.b, c.b, _mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)) };
}
INLINE int f_any_above(F x, F y) {
    return _mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_NLE_UQ)) | _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_NLE_UQ));
}
INLINE F f_keep(F x, int64_t n) {
    float v[LANES];
    f_store(v, x);
    if (n < LANES) memset(v + n, 0, (size_t)(LANES - n) * sizeof(float));
    return f_load(v);
}
INLINE I i_load(const void *p) { return (I){ _mm256_loadu_si256(p), _mm256_loadu_si256((const __m256i *)p + 1) }; }
INLINE void i_store(void *p, I x) { _mm256_storeu_si256(p, x.a); _mm256_storeu_si256((__m256i *)p + 1, x.b); }
INLINE int32_t i_sum(I x) {
    int32_t v[LANES], sum = 0;
    i_store(v, x);
    for (int i = 0; i < LANES; i++) sum += v[i];
    return sum;
}
INLINE int32_t i_most(I x) {
    int32_t v[LANES];
    i_store(v, x);
    for (int i = 1; i < LANES; i++) v[0] = v[0] > v[i] ? v[0] : v[i];
    return v[0];
}
INLINE I i_set(int32_t x) { __m256i v = _mm256_set1_epi32(x); return (I){ v, v }; }
INLINE I i_add(I x, I y) { return (I){ _mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b) }; }
INLINE I i_sub(I x, I y) { return (I){ _mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b) }; }
INLINE I i_and(I x, I y) { return (I){ _mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b) }; }
INLINE I i_or(I x, I y) { return (I){ _mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b) }; }
INLINE I i_right(I x, int n) { return (I){ _mm256_srli_epi32(x.a, n), _mm256_srli_epi32(x.b, n) }; }
INLINE I i_left(I x, int n) { return (I){ _mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n) }; }
INLINE I i_max(I x, I y) { return (I){ _mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b) }; }
INLINE I i_mul(I x, I y) { return (I){ _mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b) }; }
INLINE I i_above(I x, I y) { return (I){ _mm256_cmpgt_epi32(x.a, y.a), _mm256_cmpgt_epi32(x.b, y.b) }; }
INLINE F f_abs(F x) { return f_from(i_and(f_bits(x), i_set(0x7fffffff))); }
INLINE I i_u8(const void *p) {
    __m128i v = _mm_loadu_si128(p);
    return (I){ _mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8)) };
}
INLINE I i_s8(const void *p) {
    __m128i v = _mm_loadu_si128(p);
    return (I){ _mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)) };
}
INLINE F f_brain(const void *p) {
    __m256i v = _mm256_loadu_si256(p);
    I x = { _mm256_cvtepu16_epi32(_mm256_castsi256_si128(v)), _mm256_cvtepu16_epi32(_mm256_extracti128_si256(v, 1)) };
    return f_from(i_left(x, 16));
}
INLINE void i_store_s8(void *p, I x) {
    int32_t v[LANES];
    i_store(v, x);
    for (int i = 0; i < LANES; i++) ((int8_t *)p)[i] = (int8_t)v[i];
}
INLINE void i_store_16(void *p, I x) {
    __m256i low = _mm256_set1_epi32(0xffff);
    __m256i v = _mm256_packus_epi32(_mm256_and_si256(x.a, low), _mm256_and_si256(x.b, low));
    _mm256_storeu_si256(p, _mm256_permute4x64_epi64(v, 0xd8));
}
/** vpmaddubsw would saturate at large bytes, so even and odd bytes go through 16 bits. */
INLINE __m256i dot256(__m256i sum, __m256i w, __m256i a) {
    __m256i low = _mm256_set1_epi16(0xff);
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, low), _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(a, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
INLINE I i_xor(I x, I y) { return (I){ _mm256_xor_si256(x.a, y.a), _mm256_xor_si256(x.b, y.b) }; }
INLINE I i_load_half(const void *p) { return (I){ _mm256_loadu_si256(p), _mm256_setzero_si256() }; }
INLINE I i_join(__m256i a, __m256i b) { return (I){ a, b }; }
INLINE I i_nibbles(const void *p) {
    __m256i f = _mm256_set1_epi16(0x0f0f);
    __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(p)), b = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p + 1));
    return (I){ _mm256_and_si256(_mm256_or_si256(a, _mm256_slli_epi16(a, 4)), f), _mm256_and_si256(_mm256_or_si256(b, _mm256_slli_epi16(b, 4)), f) };
}
INLINE int can_expand(void) { return 0; }
INLINE I i_expand_by_one(uint64_t mask, I v) {
    (void)mask;
    return v;
}
INLINE I i_dot(I s, I w, I a) { return (I){ dot256(s.a, w.a, a.a), dot256(s.b, w.b, a.b) }; }
#undef PAIR

#endif

/** The next of the bytes at p wherever the mask has a bit, else zero: each byte's index is the number of bits before its own. */
INLINE __m256i expand256(uint32_t mask, const uint8_t *p) {
    __m256i byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int32_t)mask), byte), bit), bit);
    __m256i n = _mm256_and_si256(set, _mm256_set1_epi8(1));
    n = _mm256_add_epi8(n, _mm256_slli_epi64(n, 8));
    n = _mm256_add_epi8(n, _mm256_slli_epi64(n, 16));
    n = _mm256_add_epi8(n, _mm256_slli_epi64(n, 32));
    // the upper eight of each sixteen come after the lower
    __m256i lower = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, 7, 7, 7, 7, 7, 7, 7, 7, -1, -1, -1, -1, -1, -1, -1, -1, 7, 7, 7, 7, 7, 7, 7, 7);
    n = _mm256_add_epi8(n, _mm256_shuffle_epi8(n, lower));
    // a negative index gives zero
    __m256i index = _mm256_or_si256(_mm256_sub_epi8(n, _mm256_set1_epi8(1)), _mm256_andnot_si256(set, _mm256_set1_epi8(-128)));
    __m128i upper = _mm_loadu_si128((const __m128i *)(p + _mm_popcnt_u32(mask & 0xffff)));
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)), upper, 1), index);
}

/** The same for 64; up to 64 bytes are read whatever the mask says. */
INLINE I i_expand(int by_one, uint64_t mask, const uint8_t *p) {
    if (by_one) return i_expand_by_one(mask, i_load(p));
    return i_join(expand256((uint32_t)mask, p), expand256((uint32_t)(mask >> 32), p + _mm_popcnt_u32((uint32_t)mask)));
}
INLINE I i_expand_of(int by_one, uint64_t mask, I v) {
    if (by_one) return i_expand_by_one(mask, v);
    uint8_t bytes[64 + 16];
    i_store(bytes, v);
    return i_expand(0, mask, bytes);
}

/** a in the lower half, b in the upper. */
INLINE I i_halves(int32_t a, int32_t b) { return i_join(_mm256_set1_epi32(a), _mm256_set1_epi32(b)); }
INLINE F f_halves(float a, float b) { return f_from(i_join(_mm256_castps_si256(_mm256_set1_ps(a)), _mm256_castps_si256(_mm256_set1_ps(b)))); }
/** The first lane of each four, zeros between. */
INLINE I i_fours(int32_t a, int32_t b, int32_t c, int32_t d) { return i_join(_mm256_setr_epi32(a, 0, 0, 0, b, 0, 0, 0), _mm256_setr_epi32(c, 0, 0, 0, d, 0, 0, 0)); }
INLINE I i_two(const void *p, const void *q) { return i_join(_mm256_loadu_si256(p), _mm256_loadu_si256(q)); }
/** 16 bytes of each: their low halves, then their high halves. */
INLINE I i_two_of_nibbles(const void *p, const void *q) {
    __m128i v = _mm_loadu_si128(p), w = _mm_loadu_si128(q), f = _mm_set1_epi8(15);
    return i_join(_mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(v, 4), f), _mm_and_si128(v, f)),
                  _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(w, 4), f), _mm_and_si128(w, f)));
}

INLINE F f_zero(void) { return f_set(0); }
/** Four bytes for every lane. */
INLINE I i_four(const int8_t *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return i_set(v);
}

/** Sums by halves: one order, whatever the registers. */
INLINE float f_sum(F x) {
    __m256 v = _mm256_add_ps(f_lower(x), f_upper(x));
    __m128 w = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    w = _mm_add_ps(w, _mm_movehl_ps(w, w));
    return _mm_cvtss_f32(_mm_add_ss(w, _mm_movehdup_ps(w)));
}
/** The largest lane; none is to be not a number. */
INLINE float f_most(F x) {
    __m256 v = _mm256_max_ps(f_lower(x), f_upper(x));
    __m128 w = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    w = _mm_max_ps(w, _mm_movehl_ps(w, w));
    return _mm_cvtss_f32(_mm_max_ss(w, _mm_movehdup_ps(w)));
}

#endif
