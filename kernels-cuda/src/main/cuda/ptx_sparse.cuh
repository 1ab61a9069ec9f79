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
