// SPDX-License-Identifier: Apache-2.0
// 2:4 products: a holds the kept half of its rows; meta two bits a kept byte, 32 columns a register. Needs PTX 8.5.
#pragma once
#include <stdint.h>

/** 16 x 8 x 32: a: rows g, g + 8, kept bytes 4 t .. 4 t + 3; metadata of rows g, g + 8 from lanes 2 HALF, 2 HALF + 1 of each four. */
template <int HALF> __device__ __forceinline__ void mma_sparse32(int (&d)[4], uint32_t a0, uint32_t a1, uint32_t b0, uint32_t b1, uint32_t meta, int c) {
    asm("mma.sp::ordered_metadata.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6, %7}, {%8, %8, %8, %8}, %9, %10;"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(a0), "r"(a1), "r"(b0), "r"(b1), "r"(c), "r"(meta), "n"(HALF));
}
/** 16 x 8 x 64: both halves at once; metadata of row g from lanes 0 (columns 0 to 31) and 2 of each four, of row g + 8 from 1 and 3. */
__device__ __forceinline__ void mma_sparse64(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[4], uint32_t meta, int c) {
    asm("mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %10, %11}, {%12, %12, %12, %12}, "
        "%13, 0x0;"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(c), "r"(meta));
}
