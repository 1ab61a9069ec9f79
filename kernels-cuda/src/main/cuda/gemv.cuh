// SPDX-License-Identifier: Apache-2.0
// Products of few rows: bound by the bytes of the weights, each of which is read once, 16 at a time. A block computes one panel of 16 outputs; a
// half-warp holds them, one lane a row, and the 16 half-warps take turns along the columns.
#pragma once
#include "dot.cuh"

constexpr int GEMV_WARPS = 8;

/** This warp's sums of a panel; warps of a block stride over its items. */
template <class F, int IN, int N>
__device__ __forceinline__ void panel_sums(const uint8_t* panel, int units, const void* x, const BlockScale* xs, const int* rows, int m, int ld, int warp,
                                           int warps, float* sum) {
    constexpr int UNROLL = F::FLOAT ? (N == 1 ? 4 : 2) : F::SUBS == 1 && N == 1 ? 2 : 1;
    int items = units * 16, lane = threadIdx.x & 31, unit = 2 * warp + (lane >> 4);
    Item item(unit, lane & 15, 16);
    RowInputs<F, IN, N> in(x, xs, rows, unit);
    float before = IN == IN_BF16 ? row_scale<F>(panel, items, lane & 15) : 1.f;
#pragma unroll UNROLL
    for (; item < items; item.skip(warps * 32), in.skip(warps * 2)) {
        typename F::Part p[F::SUBS];
        F::load(p, panel, items, item);
        dot_item<F, IN, N>(p, in, m, ld, before, sum);
    }
    float scale = IN == IN_BF16 ? 1.f : row_scale<F>(panel, items, lane & 15);
#pragma unroll
    for (int i = 0; i < N; i++) {
        sum[i] = __fadd_rn(sum[i], __shfl_xor_sync(~0u, sum[i], 16));
        if (F::ROW_SCALE && IN != IN_BF16) sum[i] = __fmul_rn(sum[i], scale);
    }
}

/** Where the rows of the input begin, in values: an activation has less than 2^31. */
template <int N> __device__ __forceinline__ void input_rows(const int* rowOf, int first, int m, int ld, int* rows) {
#pragma unroll
    for (int i = 0; i < N; i++) rows[i] = i < m ? (rowOf ? rowOf[first + i] : first + i) * ld : 0;
}

template <class F, int IN, int N>
__device__ __forceinline__ void gemv(const void* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y, const int* rowOf,
                                     int n, int outs, int cols, float softCap) {
    __shared__ float sums[GEMV_WARPS][N][16];
    int first = blockIdx.y * N, m = min(N, n - first), warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    int rows[N];
    input_rows<N>(rowOf, first, m, input_stride<IN>(cols), rows);
    int units = units_of<F>(cols);
    const uint8_t* panel = w + blockIdx.x * panel_bytes<F, 16>(units);
    float sum[N] = {};
    panel_sums<F, IN, N>(panel, units, x, xs, rows, m, input_stride<IN>(cols), warp, GEMV_WARPS, sum);
    if (lane < 16) {
#pragma unroll
        for (int i = 0; i < N; i++) sums[warp][i][lane] = sum[i];
    }
    __syncthreads();
    int i = threadIdx.x >> 4, out = blockIdx.x * 16 + (threadIdx.x & 15);
    if (i < m && out < outs) {
        float v = sums[0][i][threadIdx.x & 15];
#pragma unroll
        for (int k = 1; k < GEMV_WARPS; k++) v = __fadd_rn(v, sums[k][i][threadIdx.x & 15]);
        if (bias) v = __fadd_rn(v, bias[out]);
        v = soft_cap(v, softCap);
        i64 at = (i64) (first + i) * align32(outs) + out;
        y[at] = add ? v + add[at] : v;
    }
}
