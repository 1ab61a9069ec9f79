// SPDX-License-Identifier: Apache-2.0
// Single-precision inputs: each number is split into two of tf32's 11 bits, and the three products that matter are added (Ootomo and Yokota, 2022), so
// that sums are as good as in single precision. Weights of 16 bits are tf32 numbers already and need two products.
#pragma once
#include "gemm.cuh"
#include "split.cuh"

constexpr int F32_STEP = TILE, F32_LD = TILE + 4; // four banks on from row to row: fragments are read without conflicts

template <class F>
__device__ __forceinline__ void gemm_f32(const float* x, const uint8_t* w, const float* bias, const float* add, float* y, const int* rowOf, int n, int outs,
                                         int cols, float softCap) {
    constexpr bool SHORT = F::FLOAT && F::UNIT == 8; // F16, BF16
    constexpr int PARTS = 32 / F::SUB;
    __shared__ union __align__(16) {
        struct {
            float x[TILE][F32_LD], w[TILE][F32_LD];
        } in;
        float out[TILE][PAIR_LD];
    } tile;
    float(*tx)[F32_LD] = tile.in.x, (*tw)[F32_LD] = tile.in.w;
    int ld = align32(cols), tid = threadIdx.x, warp = tid >> 5, lane = tid & 31, row0 = blockIdx.y * TILE;
    TileWeights<F> weights(w, outs, cols);
    typename F::Part loaded[PARTS];
    bool has[PARTS];
    auto fetch = [&](int col) {
#pragma unroll
        for (int i = 0; i < PARTS; i++) has[i] = weights.load(loaded[i], place_of<F>(col + (tid >> 6) * 32) + i * F::SUB);
    };
    float sum[2][4][4] = {};
    int mRow = (warp & 1) * 32, nRow = (warp >> 1) * 32, g = lane >> 2, t = lane & 3;
    fetch(0);
    for (int col = 0; col < ld; col += F32_STEP) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TILE * F32_STEP / 4 / GEMM_THREADS; i++) {
            int r = (tid >> 4) + 8 * i, c = (tid & 15) * 4;
            bool on = row0 + r < n && col + c < ld;
            i64 from = on ? (i64) (rowOf ? rowOf[row0 + r] : row0 + r) * ld + col + c : 0;
            copy_async(&tx[r][c], x + from, on);
        }
        copy_commit();
#pragma unroll
        for (int i = 0; i < PARTS; i++) {
            float v[F::SUB] = {};
            int at = (tid >> 6) * 32;
            if (has[i]) values_of<F>(loaded[i], place_of<F>(col + at) % F::UNIT / F::SUB, v);
#pragma unroll
            for (int c = 0; c < F::SUB; c += 4) {
                *reinterpret_cast<float4*>(&tw[tid & 63][at + column_of<F>(i * F::SUB + c) % 32]) = {v[c], v[c + 1], v[c + 2], v[c + 3]};
            }
        }
        copy_wait<0>();
        __syncthreads();
        if (col + F32_STEP < ld) fetch(col + F32_STEP);
#pragma unroll 1
        for (int k = 0; k < F32_STEP; k += 8) {
            uint32_t aHigh[2][4], aLow[2][4];
#pragma unroll
            for (int m = 0; m < 2; m++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    Split s = split(tx[mRow + m * 16 + g + (i & 1) * 8][k + t + (i >> 1) * 4]);
                    aHigh[m][i] = s.high, aLow[m][i] = s.low;
                }
            }
#pragma unroll
            for (int c = 0; c < 4; c++) {
                Split b0 = split(tw[nRow + c * 8 + g][k + t]), b1 = split(tw[nRow + c * 8 + g][k + t + 4]);
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    mma_tf32(sum[m][c], aLow[m], b0.high, b1.high);
                    if (!SHORT) mma_tf32(sum[m][c], aHigh[m], b0.low, b1.low);
                    mma_tf32(sum[m][c], aHigh[m], b0.high, b1.high);
                }
            }
        }
    }
    finish<F>(sum, tile.out, w, bias, add, y, n, outs, cols, softCap);
}
