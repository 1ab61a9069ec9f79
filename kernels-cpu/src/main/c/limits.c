// What the machine gives at most, for the shares that `lacuna bench` prints: reading memory, and 8-bit multiply-adds on registers alone.
#include <immintrin.h>

#include "kernels.h"
#include "tiles.h"

#define EXPORT __attribute__((visibility("default")))
/** Bytes read ahead: of the distances from 1 to 16 KiB none is better than another. */
#define AHEAD 4096

EXPORT int64_t KERNEL(lacuna_read)(int64_t at, int64_t n);
EXPORT int64_t KERNEL(lacuna_multiply)(int64_t turns);
EXPORT int64_t KERNEL(lacuna_multiply_brain)(int64_t turns);

/** Reads n bytes, a multiple of 256, at a multiple of 32: one stream with prefetch, which no order of several streams beats. */
int64_t KERNEL(lacuna_read)(int64_t at, int64_t n) {
    const uint8_t *p = (const uint8_t *)(uintptr_t)at;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (int64_t i = 0; i < n; i += 256) {
        for (int k = 0; k < 256; k += 64) _mm_prefetch((const char *)(uintptr_t)(at + i + AHEAD + k), _MM_HINT_T0);
        for (int k = 0; k < 256; k += 128) {
            a = _mm256_xor_si256(a, _mm256_load_si256((const __m256i *)(p + i + k)));
            b = _mm256_xor_si256(b, _mm256_load_si256((const __m256i *)(p + i + k + 32)));
            c = _mm256_xor_si256(c, _mm256_load_si256((const __m256i *)(p + i + k + 64)));
            d = _mm256_xor_si256(d, _mm256_load_si256((const __m256i *)(p + i + k + 96)));
        }
    }
    return _mm256_extract_epi64(_mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d)), 0);
}

#if defined(__AMX_INT8__)

/** Four independent products of tiles a turn; returns how many operations were done, two for each multiply-add. */
#define TILES_RATE(name, dot, depth)                                                                                                                 \
    int64_t KERNEL(name)(int64_t turns) {                                                                                                            \
        _tile_loadconfig(&WHOLE_TILES);                                                                                                              \
        _tile_zero(0);                                                                                                                               \
        _tile_zero(1);                                                                                                                               \
        _tile_zero(2);                                                                                                                               \
        _tile_zero(3);                                                                                                                               \
        _tile_zero(4);                                                                                                                               \
        _tile_zero(5);                                                                                                                               \
        _tile_zero(6);                                                                                                                               \
        _tile_zero(7);                                                                                                                               \
        for (int64_t i = 0; i < turns; i++) {                                                                                                        \
            dot(0, 4, 6);                                                                                                                            \
            dot(1, 4, 7);                                                                                                                            \
            dot(2, 5, 6);                                                                                                                            \
            dot(3, 5, 7);                                                                                                                            \
        }                                                                                                                                            \
        _tile_release();                                                                                                                             \
        return turns * 4 * 16 * 16 * depth * 2;                                                                                                      \
    }
TILES_RATE(lacuna_multiply, _tile_dpbsud, 64)
TILES_RATE(lacuna_multiply_brain, _tile_dpbf16ps, 32)

#else

// In assembler, since a compiler adds moves; what the registers hold when the loop begins does not matter.
#if defined(__AVX512VNNI__)
#define SUMS 16
#define VECTOR_BYTES 64
#define TURN(i) "vpdpbusd %%zmm17, %%zmm16, %%zmm" #i "\n\t"
#define TURNS                                                                                                                                        \
    TURN(0) TURN(1) TURN(2) TURN(3) TURN(4) TURN(5) TURN(6) TURN(7) TURN(8) TURN(9) TURN(10) TURN(11) TURN(12) TURN(13) TURN(14) TURN(15)
#define CLOBBERED                                                                                                                                    \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",  \
        "xmm17"
#else
#define SUMS 6
#define VECTOR_BYTES 32
#define TURN(i, t)                                                                                                                                   \
    "vpmaddubsw %%ymm15, %%ymm14, %%ymm" #t "\n\tvpmaddwd %%ymm13, %%ymm" #t ", %%ymm" #t "\n\tvpaddd %%ymm" #t ", %%ymm" #i ", %%ymm" #i "\n\t"
#define TURNS TURN(0, 6) TURN(1, 7) TURN(2, 8) TURN(3, 9) TURN(4, 10) TURN(5, 11)
#define CLOBBERED                                                                                                                                    \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#endif

/** Independent sums, enough to hide an instruction's latency; returns how many operations were done, two for each multiply-add. */
int64_t KERNEL(lacuna_multiply)(int64_t turns) {
    int64_t left = turns;
    if (turns < 1) return 0;
    __asm__ volatile("1:\n\t" TURNS "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(left) : : "cc", CLOBBERED);
    return turns * SUMS * VECTOR_BYTES * 2;
}

#undef TURN
#undef TURNS
#if defined(__AVX512BF16__)
#define PER_LANE 2
#define TURN(i) "vdpbf16ps %%zmm17, %%zmm16, %%zmm" #i "\n\t"
#elif defined(__AVX512F__)
#define PER_LANE 1
#define TURN(i) "vfmadd231ps %%zmm17, %%zmm16, %%zmm" #i "\n\t"
#else
#define PER_LANE 1
#define TURN(i) "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #i "\n\t"
#endif
#if defined(__AVX512F__)
#define BRAIN_SUMS 16
#define TURNS                                                                                                                                        \
    TURN(0) TURN(1) TURN(2) TURN(3) TURN(4) TURN(5) TURN(6) TURN(7) TURN(8) TURN(9) TURN(10) TURN(11) TURN(12) TURN(13) TURN(14) TURN(15)
// registers of zeros: what is subnormal or not a number may be slow
#define CLEAR "vpxor %%xmm14, %%xmm14, %%xmm14\n\tvpxorq %%xmm16, %%xmm16, %%xmm16\n\tvpxorq %%xmm17, %%xmm17, %%xmm17\n\t"
#else
#define BRAIN_SUMS 12
#define TURNS TURN(0) TURN(1) TURN(2) TURN(3) TURN(4) TURN(5) TURN(6) TURN(7) TURN(8) TURN(9) TURN(10) TURN(11)
#define CLEAR "vpxor %%xmm14, %%xmm14, %%xmm14\n\tvpxor %%xmm15, %%xmm15, %%xmm15\n\t"
#endif
#define CLEAR_SUMS                                                                                                                                   \
    "vpxor %%xmm0, %%xmm0, %%xmm0\n\tvpxor %%xmm1, %%xmm1, %%xmm1\n\tvpxor %%xmm2, %%xmm2, %%xmm2\n\tvpxor %%xmm3, %%xmm3, %%xmm3\n\t"                 \
    "vpxor %%xmm4, %%xmm4, %%xmm4\n\tvpxor %%xmm5, %%xmm5, %%xmm5\n\tvpxor %%xmm6, %%xmm6, %%xmm6\n\tvpxor %%xmm7, %%xmm7, %%xmm7\n\t"                 \
    "vpxor %%xmm8, %%xmm8, %%xmm8\n\tvpxor %%xmm9, %%xmm9, %%xmm9\n\tvpxor %%xmm10, %%xmm10, %%xmm10\n\tvpxor %%xmm11, %%xmm11, %%xmm11\n\t"           \
    "vpxor %%xmm12, %%xmm12, %%xmm12\n\tvpxor %%xmm13, %%xmm13, %%xmm13\n\tvpxor %%xmm15, %%xmm15, %%xmm15\n\t"

/** The same for bfloat16; where no instruction knows it, for floats. */
int64_t KERNEL(lacuna_multiply_brain)(int64_t turns) {
    int64_t left = turns;
    if (turns < 1) return 0;
    __asm__ volatile(CLEAR_SUMS CLEAR "1:\n\t" TURNS "dec %0\n\tjnz 1b\n\tvzeroupper" : "+r"(left) : : "cc", CLOBBERED);
    return turns * BRAIN_SUMS * (VECTOR_BYTES / 4) * PER_LANE * 2;
}

#endif
