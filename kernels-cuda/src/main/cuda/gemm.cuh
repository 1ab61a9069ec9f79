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

    __device__ __forceinline__ TileWeights(const uint8_t* w, int outs, int cols) {
        int units = units_of<F>(cols), out = blockIdx.x * TILE + (threadIdx.x & 63);
        items = units * 16;
        row = out & 15;
        panel = w + (out >> 4) * panel_bytes<F, 16>(units);
        blocks = (out >> 4) < ceil_div(outs, 16) ? units * F::UNIT : 0; // values of the row: what is beyond is zero
    }
    /** Part of the SUB values that begin at col, if there are any. */
    __device__ __forceinline__ bool load(typename F::Part& p, int col) const {
        if (col >= blocks) return false;
        load_sub<F, 16>(p, panel, items, col / F::UNIT * 16 + row, col % F::UNIT / F::SUB);
        return true;
    }
};

/** Writes a pair of neighbouring outputs of one row. */
template <class F>
__device__ __forceinline__ void put_pair(float a, float b, int row, int out, const uint8_t* w, const float* bias, const float* add, float* y, int n, int outs,
                                         int cols, float softCap) {
    if (row >= n || out >= outs) return;
    float v[2] = {a, b};
    int units = units_of<F>(cols);
    i64 at = (i64) row * align32(outs) + out;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        if (out + i >= outs) {
            v[i] = 0;
            continue;
        }
        if (F::ROW_SCALE) v[i] *= row_scale<F>(w + ((out + i) >> 4) * panel_bytes<F, 16>(units), units * 16, (out + i) & 15);
        if (bias) v[i] += bias[out + i];
        v[i] = soft_cap(v[i], softCap);
        if (add) v[i] += add[at + i];
    }
    *reinterpret_cast<float2*>(y + at) = {v[0], v[1]};
}
