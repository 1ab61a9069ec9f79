// SPDX-License-Identifier: Apache-2.0
// The kernels of one format, under the names of KERNELS.md.
#pragma once
#include "embed.cuh"
#include "ffn.cuh"
#include "gather.cuh"
#include "gemm_bf16.cuh"
#include "gemm_f32.cuh"
#include "gemm_i8.cuh"
#include "gemv.cuh"
#include "place.cuh"
#include "qkv.cuh"

#define PRODUCT_ARGUMENTS                                                                                                                              \
    const void *x, const BlockScale *xs, const uint8_t *w, const float *bias, const float *add, float *y, const int *rowOf, int n, int outs, int cols, \
            float softCap
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)

// N rows at most
#define GEMV(F, I, IN, N)                                                               \
    KERNEL(256) gemv_##F##_##I##_##N(PRODUCT_ARGUMENTS) {                               \
        gemv<F_##F, IN, N>(x, xs, w, bias, add, y, rowOf, n, outs, cols, softCap);      \
    }
#define FEW(F, I, IN, N)   \
    GEMV(F, I, IN, N)      \
    KERNEL(256) ffn_##F##_##I##_##N(const void* x, const BlockScale* xs, const uint8_t* wGate, const uint8_t* wUp, const float* bGate,                 \
                                    const float* bUp, float* out, int8_t* outQ, BlockScale* outS, int n, int width, int cols, int activation) {        \
        ffn<F_##F, IN, N>(x, xs, wGate, wUp, bGate, bUp, out, outQ, outS, n, width, cols, activation);                                              \
    }                                                                                                                                                  \
    KERNEL(256) qkv_##F##_##I##_##N(const void* x, const BlockScale* xs, const uint8_t* wq, const uint8_t* wk, const uint8_t* wv, const float* bq,     \
                                    const float* bk, const float* bv, float* q, float* k, float* v, unsigned* counters, int n, int cols,               \
                                    const float* qGain, const float* kGain, float eps, const float* table, int dims, int interleaved, void* kc,        \
                                    void* vc, float* ks, float* vs, const int* pos, const int* seq, const int* blockTable, int kvBlocks, int qHeads,   \
                                    int kvHeads, int headSize, int kvType) {                                                                           \
        RopeArguments a = {qGain, kGain, eps, table, dims, interleaved, kc, vc, ks, vs, pos, seq, blockTable, n, kvBlocks, qHeads, kvHeads, headSize}; \
        qkv<F_##F, IN, N>(x, xs, wq, wk, wv, bq, bk, bv, q, k, v, counters, cols, a, kvType);                                                       \
    }
#define PRODUCTS(F, I, IN) \
    FEW(F, I, IN, 1)       \
    FEW(F, I, IN, 8)

#define CHOSEN_ROWS(F, I, IN, N)                                                                                                                       \
    KERNEL(256) rows_##F##_##I##_##N(const void* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y,             \
                                     const int* rowOf, const int* active, const int* count, int n, int outs, int cols, float softCap) {                \
        gather_rows<F_##F, IN, N>(x, xs, w, bias, add, y, rowOf, active, count, n, outs, cols, softCap);                                            \
    }
#define CHOSEN(F, I, IN)     \
    CHOSEN_ROWS(F, I, IN, 1) \
    CHOSEN_ROWS(F, I, IN, 8)

#define FLOAT_FORMAT(F)                                                                                                                             \
    KERNEL(256) place_##F(const uint8_t* raw, uint8_t* w, int firstRow, int rows, int cols, int P) {                                                \
        place<F_##F>(raw, w, firstRow, rows, cols, P);                                                                                              \
    }                                                                                                                                               \
    KERNEL(256) embed_##F(const int* index, int offset, const uint8_t* w, float scale, const float* add, float* out, int8_t* outQ,                  \
                          BlockScale* outS, int n, int cols) {                                                                                      \
        embed<F_##F>(index, offset, w, scale, add, out, outQ, outS, cols);                                                                          \
    }                                                                                                                                               \
    PRODUCTS(F, F32, IN_F32)                                                                                                                        \
    CHOSEN(F, F32, IN_F32)                                                                                                                          \
    KERNEL(256) columns_##F(const float* compact, const uint8_t* wT, const int* active, const int* count, float* part, int n, int dim,              \
                            int capacity) {                                                                                                         \
        gather_columns<F_##F>(compact, wT, active, count, part, n, dim, capacity);                                                                  \
    }                                                                                                                                               \
    KERNEL(128) gemm_##F##_F32(PRODUCT_ARGUMENTS) {                                                                                                 \
        gemm_f32<F_##F>(static_cast<const float*>(x), w, bias, add, y, rowOf, n, outs, cols, softCap);                                              \
    }                                                                                                                                               \
    GEMV(F, BF16, IN_BF16, 1)                                                                                                                          \
    GEMV(F, BF16, IN_BF16, 8)                                                                                                                          \
    KERNEL(128) gemm_##F##_BF16(PRODUCT_ARGUMENTS) {                                                                                                \
        gemm_bf16<F_##F>(static_cast<const uint16_t*>(x), w, bias, add, y, rowOf, n, outs, cols, softCap);                                          \
    }

// two of each four: many rows of gate and up are two products on sparse tensor cores
#define SPARSE_FORMAT(F)   \
    FLOAT_FORMAT(F)        \
    PRODUCTS(F, I8, IN_I8) \
    CHOSEN(F, I8, IN_I8)   \
    KERNEL(128) gemm_##F##_I8(PRODUCT_ARGUMENTS) { gemm_i8<F_##F>(static_cast<const int8_t*>(x), xs, w, bias, add, y, rowOf, n, outs, cols, softCap); }

#define INTEGER_FORMAT(F)                                                                                                                              \
    SPARSE_FORMAT(F)                                                                                                                                   \
    KERNEL(128) gemm_ffn_##F##_I8(const void* x, const BlockScale* xs, const uint8_t* wGate, const uint8_t* wUp, const float* bGate, const float* bUp, \
                                  float* out, int8_t* outQ, BlockScale* outS, int n, int width, int cols, int activation) {                            \
        gemm_ffn<F_##F>(static_cast<const int8_t*>(x), xs, wGate, wUp, bGate, bUp, out, outQ, outS, n, width, cols, activation);                       \
    }
