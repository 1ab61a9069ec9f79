// SPDX-License-Identifier: Apache-2.0
// The three projections of an attention block for few rows. Whichever block completes a head (counted in global memory, no waiting) normalizes, rotates
// and appends it, so every rotation order, head norm and cache type is fused alike and all blocks stream weights.
#pragma once
#include "gemv.cuh"
#include "rope.cuh"

template <class F, int IN, int N>
__device__ __forceinline__ void qkv(const void* x, const BlockScale* xs, const uint8_t* wq, const uint8_t* wk, const uint8_t* wv, const float* bq,
                                    const float* bk, const float* bv, float* q, float* k, float* v, unsigned* counters, int cols, const RopeArguments& a,
                                    int kvType) {
    __shared__ float sums[GEMV_WARPS][N][16];
    __shared__ bool complete;
    int qPanels = a.qHeads * a.headSize / 16, kvPanels = a.kvHeads * a.headSize / 16, panel = blockIdx.x;
    const uint8_t* w = wq;
    const float* bias = bq;
    float* y = q;
    int head = 0, outs = a.qHeads * a.headSize;
    if (panel >= qPanels) {
        panel -= qPanels;
        bool isV = panel >= kvPanels;
        if (isV) panel -= kvPanels;
        w = isV ? wv : wk, bias = isV ? bv : bk, y = isV ? v : k;
        head = a.qHeads + (isV ? a.kvHeads : 0);
        outs = a.kvHeads * a.headSize;
    }
    head += panel * 16 / a.headSize;
    int m = min(N, a.n), warp = threadIdx.x >> 5, lane = threadIdx.x & 31, units = units_of<F>(cols);
    int rows[N];
    input_rows<N>(nullptr, 0, m, input_stride<IN>(cols), rows);
    float sum[N] = {};
    panel_sums<F, IN, N>(w + panel * panel_bytes<F, 16>(units), units, x, xs, rows, m, input_stride<IN>(cols), warp, GEMV_WARPS, sum);
    if (lane < 16) {
#pragma unroll
        for (int i = 0; i < N; i++) sums[warp][i][lane] = sum[i];
    }
    __syncthreads();
    int i = threadIdx.x >> 4, out = panel * 16 + (threadIdx.x & 15);
    if (i < m) {
        float s = sums[0][i][threadIdx.x & 15];
#pragma unroll
        for (int j = 1; j < GEMV_WARPS; j++) s = __fadd_rn(s, sums[j][i][threadIdx.x & 15]);
        if (bias) s = __fadd_rn(s, bias[out]);
        y[(i64) i * align32(outs) + out] = s;
        __threadfence();
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned last = a.headSize / 16 - 1;
        complete = atomicInc(counters + head, last) == last; // the last one finds the counter full and leaves it at zero
    }
    __syncthreads();
    if (!complete) return;
    __threadfence();
    if (warp < m) rope_head(a, kvType, q, k, v, warp, head);
}
