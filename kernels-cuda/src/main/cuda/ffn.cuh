// SPDX-License-Identifier: Apache-2.0
// Gate and up projections of few rows, their product and its packing: a block makes 32 hidden values of each row, which is one packed block.
#pragma once
#include "gemv.cuh"

template <class F, int IN, int N>
__device__ __forceinline__ void ffn(const void* x, const BlockScale* xs, const uint8_t* wGate, const uint8_t* wUp, const float* bGate, const float* bUp,
                                    float* out, int8_t* outQ, BlockScale* outS, int n, int width, int cols, int activation) {
    constexpr int SPLITS = 4;
    __shared__ float sums[2][SPLITS][N][32];
    int m = min(N, n), warp = threadIdx.x >> 5, lane = threadIdx.x & 31, units = units_of<F>(cols);
    int half = warp & 1, part = warp >> 1, panel = blockIdx.x * 2 + half;
    int rows[N];
    input_rows<N>(nullptr, 0, m, input_stride<IN>(cols), rows);
#pragma unroll 1
    for (int matrix = 0; matrix < 2; matrix++) {
        float sum[N] = {};
        if (panel * 16 < width) {
            panel_sums<F, IN, N>((matrix ? wUp : wGate) + panel * panel_bytes<F, 16>(units), units, x, xs, rows, m, input_stride<IN>(cols), part, SPLITS, sum);
        }
        if (lane < 16) {
#pragma unroll
            for (int i = 0; i < N; i++) sums[matrix][part][i][half * 16 + lane] = sum[i];
        }
    }
    __syncthreads();
    int i = warp, at = blockIdx.x * 32 + lane;
    if (i >= m) return;
    float both[2];
#pragma unroll
    for (int matrix = 0; matrix < 2; matrix++) {
        float s = sums[matrix][0][i][lane];
#pragma unroll
        for (int j = 1; j < SPLITS; j++) s = __fadd_rn(s, sums[matrix][j][i][lane]);
        const float* bias = matrix ? bUp : bGate;
        both[matrix] = bias && at < width ? __fadd_rn(s, bias[at]) : s;
    }
    float v = at < width ? __fmul_rn(activated(activation, both[0]), both[1]) : 0.f;
    i64 to = (i64) i * align32(width) + at;
    if (out) out[to] = v;
    if (outQ && !outS) {
        reinterpret_cast<uint16_t*>(outQ)[to] = (uint16_t) two_bfloats(v, 0.f);
    } else if (outQ) {
        float max = fabsf(v);
#pragma unroll
        for (int d = 16; d > 0; d >>= 1) max = max_nan(max, __shfl_xor_sync(~0u, max, d));
        float inverse, scale = code_scale(max, inverse);
        int c = code(v, inverse), sum = c;
#pragma unroll
        for (int d = 16; d > 0; d >>= 1) sum += __shfl_xor_sync(~0u, sum, d);
        int first = i * code_stride(width);
        outQ[first + code_place(at)] = (int8_t) c;
        if (lane == 0) outS[(first + at) >> 5] = BlockScale{scale, sum};
    }
}
