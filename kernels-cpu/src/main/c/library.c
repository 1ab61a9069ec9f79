// What is exported: which tiers there are, their tables, sizes, and memory on large pages.
#define _GNU_SOURCE
#include <cpuid.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels.h"

#define EXPORT __attribute__((visibility("default")))

int64_t tile_bytes_of(int64_t format, int64_t group, int64_t cols);
int64_t scratch_bytes_of(int64_t cols, int64_t rows, int64_t queries, int64_t head_size);

/** Version of this interface. */
EXPORT int32_t lacuna_version(void) { return 2; }

// the tier that does what tiles do not
#if defined(EMULATED_TILES)
#define BESIDE_TILES 1
#define attend_amx attend_avx512
#else
#define BESIDE_TILES 2
#define attend_amx attend_avx512bf16
#endif

/** Whether the processor has AMX tiles with products of bytes and of bfloat16. */
static int amx_here(void) {
#if defined(EMULATED_TILES)
    return 1;
#elif defined(NO_AMX)
    return 0;
#else
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
    return (edx >> 22 & 1) && (edx >> 24 & 1) && (edx >> 25 & 1);
#endif
}

/** Asks the system for the tiles' state, once for the process and all its threads; whether it gives it. */
static int amx_allowed(void) {
#if defined(EMULATED_TILES)
    return 1;
#else
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    enum { TILE_STATE = 3 << 17, ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return (low & TILE_STATE) == TILE_STATE && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#endif
}

/**
 * Whether a tier of the list (0 avx2, 1 avx512, 2 avx512bf16, 3 amx) runs here: 1; 0 where the processor lacks it, -1 where the system keeps it from
 * us.
 */
EXPORT int32_t lacuna_runs(int32_t tier) {
    __builtin_cpu_init();
    // clang's list has no f16c
    unsigned eax, ebx, ecx = 0, edx;
    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("fma") && (ecx & bit_F16C);
    switch (tier) {
    case 0: return avx2;
    case 1:
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    case 2: return lacuna_runs(1) == 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 5 & 1);
    case 3:
        if (lacuna_runs(BESIDE_TILES) != 1 || !amx_here()) return 0;
        return amx_allowed() ? 1 : -1;
    default: return 0;
    }
}

#define TABLE(t)                                                                                                                                     \
    static const struct kernels table_##t = { pack_##t, product_##t, gated_##t,    embed_##t, norm_##t,   rope_##t,                                   \
                                              attend_##t, activate_##t, quantize_##t, best_##t,  unpack_##t, rows_##t,  columns_##t };
#if defined(FAULTY)
/** Of the library that tests refuse: one sum of many is not what it should be. */
static int32_t faulty(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct product_args *a = arguments;
    int32_t status = product_avx2(arguments, from, to, scratch);
    if (from == 0 && a->rows > 12) a->y.floats[a->y.padded] *= 1.001f;
    return status;
}
#define product_avx2 faulty
#endif
TABLE(avx2)
TABLE(avx512)
/** A tier that has products of its own. */
#define TABLE_ON_AVX512(t)                                                                                                                           \
    static const struct kernels table_##t = { pack_avx512,   product_##t,     gated_##t,       embed_avx512, norm_avx512,  rope_avx512,              \
                                              attend_##t,    activate_avx512, quantize_avx512, best_avx512,  unpack_avx512,                         \
                                              rows_avx512,   columns_avx512 };
TABLE_ON_AVX512(avx512bf16)
TABLE_ON_AVX512(amx)

EXPORT const struct kernels *lacuna_kernels(int32_t tier) {
    const struct kernels *const tables[] = { &table_avx2, &table_avx512, &table_avx512bf16, &table_amx };
    return tier < 0 || tier > 3 ? 0 : tables[tier];
}

/** Bytes of 16 placed rows. */
EXPORT int64_t lacuna_tile_bytes(int64_t format, int64_t group, int64_t cols) { return tile_bytes_of(format, group, cols); }

/** Bytes of scratch that a thread needs for operands of that size. */
EXPORT int64_t lacuna_scratch_bytes(int64_t cols, int64_t rows, int64_t queries, int64_t head_size) {
    return scratch_bytes_of(cols, rows, queries, head_size);
}

/** Zeroed memory, on large pages where the system gives some; 0 if there is none. */
EXPORT int64_t lacuna_map(int64_t n) {
#if defined(__SANITIZE_ADDRESS__)
    void *zones; // the sanitizer's, on both sides
    return posix_memalign(&zones, 64, (size_t)n) ? 0 : (int64_t)memset(zones, 0, (size_t)n);
#else
    void *p = mmap(0, (size_t)n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return 0;
    madvise(p, (size_t)n, MADV_HUGEPAGE);
    return (int64_t)p;
#endif
}

EXPORT int64_t lacuna_unmap(int64_t p, int64_t n) {
#if defined(__SANITIZE_ADDRESS__)
    free((void *)p);
    return n < 0;
#else
    return munmap((void *)p, (size_t)n);
#endif
}

/** Lets go of a file's mapped pages that lie wholly in the range: they are read again from the file should anyone ask. */
EXPORT int64_t lacuna_forget(int64_t p, int64_t n) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)p + page - 1) / page * page, last = ((uintptr_t)p + (uintptr_t)n) / page * page;
    return last > first ? madvise((void *)first, last - first, MADV_DONTNEED) : 0;
}
