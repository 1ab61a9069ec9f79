// SPDX-License-Identifier: Apache-2.0
// The kernels of one format, under the names of KERNELS.md.
#pragma once
#include "embed.cuh"
#include "gemm_f32.cuh"
#include "gemm_i8.cuh"
#include "gemv.cuh"
#include "place.cuh"

#define PRODUCT_ARGUMENTS                                                                                                                              \
    const void *x, const BlockScale *xs, const uint8_t *w, const float *bias, const float *add, float *y, const int *rowOf, int n, int outs, int cols, \
            float softCap
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)

#define PRODUCTS(F, I, IS_I8)                                                             \
    KERNEL(256) gemv_##F##_##I##_1(PRODUCT_ARGUMENTS) {                                   \
        gemv<F_##F, IS_I8, 1>(x, xs, w, bias, add, y, rowOf, n, outs, cols, softCap);     \
    }                                                                                     \
    KERNEL(256) gemv_##F##_##I##_8(PRODUCT_ARGUMENTS) {                                   \
        gemv<F_##F, IS_I8, 8>(x, xs, w, bias, add, y, rowOf, n, outs, cols, softCap);     \
    }

#define FLOAT_FORMAT(F)                                                                                                                             \
    KERNEL(256) place_##F(const uint8_t* raw, uint8_t* w, int firstRow, int rows, int cols, int P) {                                                \
        place<F_##F>(raw, w, firstRow, rows, cols, P);                                                                                              \
    }                                                                                                                                               \
    KERNEL(256) embed_##F(const int* index, int offset, const uint8_t* w, float scale, const float* add, float* out, int8_t* outQ,                  \
                          BlockScale* outS, int n, int cols) {                                                                                      \
        embed<F_##F>(index, offset, w, scale, add, out, outQ, outS, cols);                                                                          \
    }                                                                                                                                               \
    PRODUCTS(F, F32, false)                                                                                                                         \
    KERNEL(128) gemm_##F##_F32(PRODUCT_ARGUMENTS) {                                                                                                 \
        gemm_f32<F_##F>(static_cast<const float*>(x), w, bias, add, y, rowOf, n, outs, cols, softCap);                                              \
    }

#define INTEGER_FORMAT(F) \
    FLOAT_FORMAT(F)       \
    PRODUCTS(F, I8, true) \
    KERNEL(128) gemm_##F##_I8(PRODUCT_ARGUMENTS) { gemm_i8<F_##F>(static_cast<const int8_t*>(x), xs, w, bias, add, y, rowOf, n, outs, cols, softCap); }
