// What is exported: which tiers there are, their tables, sizes, and memory on large pages.
#define _GNU_SOURCE
#include <cpuid.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels.h"

#define EXPORT __attribute__((visibility("default")))

int64_t tile_bytes_of(int64_t format, int64_t group, int64_t cols);
int64_t scratch_bytes_of(int64_t cols, int64_t rows, int64_t queries, int64_t head_size);

/** Version of this interface. */
EXPORT int32_t lacuna_version(void) { return 1; }

/** Whether a tier of the list (0 avx2, 1 avx512) runs here. */
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
    default: return 0;
    }
}

#define TABLE(t)                                                                                                                                     \
    static const struct kernels table_##t = { pack_##t, product_##t, gated_##t,    embed_##t, norm_##t,   rope_##t,                                   \
                                              attend_##t, activate_##t, quantize_##t, best_##t,  unpack_##t, rows_##t,  columns_##t };
TABLE(avx2)
TABLE(avx512)

EXPORT const struct kernels *lacuna_kernels(int32_t tier) { return tier == 0 ? &table_avx2 : &table_avx512; }

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
