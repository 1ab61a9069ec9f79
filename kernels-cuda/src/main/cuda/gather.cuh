// SPDX-License-Identifier: Apache-2.0
// Feed-forward blocks on chosen neurons (Deja Vu, PowerInfer): rows of up and gate, and of the transposed down, by a list that stays on the device.
// Weights are placed with one row a panel, so that a neuron is one run of memory.
#pragma once
#include "dot.cuh"

/** y[i][j] = w[active[j]] . x[i] + bias: a warp computes one chosen row, its lanes along the columns. */
template <class F, int IN, int N>
__device__ __forceinline__ void gather_rows(const void* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y,
                                            const int* rowOf, const int* active, const int* count, int n, int outs, int cols, float softCap) {
    int j = blockIdx.x * 8 + (threadIdx.x >> 5), lane = threadIdx.x & 31, first = blockIdx.y * N, m = min(N, n - first);
    if (j >= outs) return;
    float sum[N] = {};
    int chosen = -1;
    if (j < *count) {
        chosen = active[j];
        int rows[N];
        int ld = input_stride<IN>(cols);
#pragma unroll
        for (int i = 0; i < N; i++) rows[i] = i < m ? (rowOf ? rowOf[first + i] : first + i) * ld : 0;
        int items = units_of<F>(cols);
        const uint8_t* panel = w + chosen * panel_bytes<F, 1>(items);
        RowInputs<F, IN, N> in(x, xs, rows, lane);
        for (Item item(lane, 0, 1); item < items; item.skip(32), in.skip(32)) {
            typename F::Part p[F::SUBS];
            F::load(p, panel, items, item);
            dot_item<F, IN, N>(p, in, m, ld, 1.f, sum);
        }
        float scale = row_scale<F>(panel, items, 0);
#pragma unroll
        for (int i = 0; i < N; i++) {
            sum[i] = warp_sum(sum[i]);
            if (F::ROW_SCALE) sum[i] = __fmul_rn(sum[i], scale);
        }
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (lane == i && i < m) {
            i64 at = (i64) (first + i) * align32(outs) + j;
            float v = sum[i];
            if (chosen >= 0) {
                if (bias) v = __fadd_rn(v, bias[chosen]);
                v = soft_cap(v, softCap);
                if (add) v += add[at];
            }
            y[at] = v; // zero beyond the count
        }
    }
}

/** part[split][r] = sum over this split's chosen rows of compact[r][j] * wT[active[j]]; the eight warps of a block take every eighth row. */
template <class F>
__device__ __forceinline__ void gather_columns(const float* compact, const uint8_t* wT, const int* active, const int* count, float* part, int n, int dim,
                                               int capacity) {
    constexpr int SUBS = 32 / F::SUB; // parts of a lane: 32 values
    __shared__ float sums[8][32 * 33];
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, row = blockIdx.y, col0 = blockIdx.x * 1024, ld = align32(dim);
    int items = units_of<F>(dim);
    i64 panelBytes = panel_bytes<F, 1>(items);
    float sum[32] = {};
    for (int j = blockIdx.z * 8 + warp; j < *count; j += 8 * gridDim.z) {
        const uint8_t* panel = wT + active[j] * panelBytes;
        float c = compact[(i64) row * align32(capacity) + j];
        if (F::ROW_SCALE) c *= row_scale<F>(panel, items, 0);
#pragma unroll
        for (int s = 0; s < SUBS; s++) {
            int place = col0 + (s * 32 + lane) * F::SUB;
            if (place < items * F::UNIT) {
                typename F::Part p;
                float w[F::SUB];
                load_sub<F>(p, panel, items, Item(place / F::UNIT, 0, 1), place % F::UNIT / F::SUB);
                values_of<F>(p, place % F::UNIT / F::SUB, w);
#pragma unroll
                for (int i = 0; i < F::SUB; i++) sum[s * F::SUB + i] += c * w[i];
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 32; i++) sums[warp][i * 33 + lane] = sum[i];
    __syncthreads();
    for (int c = threadIdx.x; c < 1024 && col0 + c < ld; c += 256) {
        int place = place_of<F>(c), from = place / F::SUB, at = (from / 32 * F::SUB + place % F::SUB) * 33 + from % 32;
        float v = 0;
#pragma unroll
        for (int k = 0; k < 8; k++) v += sums[k][at];
        part[((i64) blockIdx.z * n + row) * ld + col0 + c] = col0 + c < dim ? v : 0.f;
    }
}
