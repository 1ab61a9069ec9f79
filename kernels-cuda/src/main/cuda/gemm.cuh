// SPDX-License-Identifier: Apache-2.0
// Products of many rows on tensor cores: a block of four warps computes 64 rows x 64 outputs, a warp 32 x 32. Inputs come by cp.async; weights pass
// through registers, one step ahead, because most formats are unpacked on the way.
#pragma once
#include "formats.cuh"

constexpr int TILE = 64, GEMM_THREADS = 128;

/** What a block's tile of weights is read from. */
template <class F> struct TileWeights {
    const uint8_t* panel; // this thread's
    int items, row, blocks;

    __device__ __forceinline__ TileWeights(const uint8_t* w, int outs, int cols) : TileWeights(w, outs, cols, blockIdx.x * TILE + (threadIdx.x & 63)) {}
    __device__ __forceinline__ TileWeights(const uint8_t* w, int outs, int cols, int out) {
        int units = units_of<F>(cols);
        items = units * 16;
        row = out & 15;
        panel = w + (out >> 4) * panel_bytes<F, 16>(units);
        blocks = (out >> 4) < ceil_div(outs, 16) ? units * F::UNIT : 0; // values of the row: what is beyond is zero
    }
    /** Part of SUB values by their place, if there are any. */
    __device__ __forceinline__ bool load(typename F::Part& p, int place) const {
        if (place >= blocks) return false;
        load_sub<F>(p, panel, items, Item(place / F::UNIT, row, 16), place % F::UNIT / F::SUB);
        return true;
    }
};

constexpr int PAIR_LD = TILE + 8; // pairs of a half-warp, written for rows g .. g + 3, meet in no bank

/** Finishes a tile [row][output] that lies in shared memory: scale, bias, cap, residual; four outputs a lane. */
template <class F, bool SCALE, int ROWS = TILE, int LD>
__device__ __forceinline__ void write_tile(float (*out)[LD], const uint8_t* w, const float* bias, const float* add, float* y, int n, int outs, int cols,
                                           float softCap) {
    __syncthreads();
    int units = units_of<F>(cols), ld = align32(outs), col = (threadIdx.x & 15) * 4, to = blockIdx.x * TILE + col;
    if (to >= outs) return;
    float4 b = bias ? *reinterpret_cast<const float4*>(bias + to) : float4{0, 0, 0, 0}, scale = {1, 1, 1, 1};
    if (SCALE) { // four neighbours share a panel; rows of its padding have scale zero
        const uint8_t* panel = w + (to >> 4) * panel_bytes<F, 16>(units);
        scale = {row_scale<F>(panel, units * 16, to & 15), row_scale<F>(panel, units * 16, (to & 15) + 1), row_scale<F>(panel, units * 16, (to & 15) + 2),
                 row_scale<F>(panel, units * 16, (to & 15) + 3)};
    }
#pragma unroll 1
    for (int r = threadIdx.x >> 4; r < ROWS && blockIdx.y * ROWS + r < n; r += GEMM_THREADS / 16) {
        float4 v = *reinterpret_cast<float4*>(&out[r][col]);
        v = {v.x * scale.x + b.x, v.y * scale.y + b.y, v.z * scale.z + b.z, v.w * scale.w + b.w};
        if (softCap != 0.f) v = {soft_cap(v.x, softCap), soft_cap(v.y, softCap), soft_cap(v.z, softCap), soft_cap(v.w, softCap)};
        i64 at = (i64) (blockIdx.y * ROWS + r) * ld + to;
        if (add) {
            float4 a = *reinterpret_cast<const float4*>(add + at);
            v = {v.x + a.x, v.y + a.y, v.z + a.z, v.w + a.w};
        }
        // padding stays zero, even behind a NaN
        if (to + 1 >= outs) v.y = 0;
        if (to + 2 >= outs) v.z = 0;
        if (to + 3 >= outs) v.w = 0;
        *reinterpret_cast<float4*>(y + at) = v;
    }
}

/** Sums of rows g and g + 8, columns 2 t and 2 t + 1 of each tile go to shared memory and are written from there. */
template <class F, bool SCALE = F::ROW_SCALE>
__device__ __forceinline__ void finish(const float (&sum)[2][4][4], float (*out)[PAIR_LD], const uint8_t* w, const float* bias, const float* add, float* y,
                                       int n, int outs, int cols, float softCap) {
    int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, mRow = (warp & 1) * 32 + (lane >> 2), nRow = (warp >> 1) * 32 + 2 * (lane & 3);
    __syncthreads();
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
            *reinterpret_cast<float2*>(&out[mRow + m * 16][nRow + c * 8]) = {sum[m][c][0], sum[m][c][1]};
            *reinterpret_cast<float2*>(&out[mRow + m * 16 + 8][nRow + c * 8]) = {sum[m][c][2], sum[m][c][3]};
        }
    }
    write_tile<F, SCALE>(out, w, bias, add, y, n, outs, cols, softCap);
}
