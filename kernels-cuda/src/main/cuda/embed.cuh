// SPDX-License-Identifier: Apache-2.0
// Rows of a placed table, looked up by token or position.
#pragma once
#include "formats.cuh"

/** Four values of a row, col being a multiple of four. */
template <class F> __device__ __forceinline__ float4 four_of(const uint8_t* panel, int units, int row, int col) {
    int place = place_of<F>(col), items = units * 16, within = place % F::SUB;
    typename F::Part p;
    int s = place % F::UNIT / F::SUB;
    load_sub<F>(p, panel, items, Item(place / F::UNIT, row, 16), s);
    float w[F::SUB];
    values_of<F>(p, s, w);
    float scale = row_scale<F>(panel, items, row);
    float4 v = {0, 0, 0, 0};
#pragma unroll
    for (int c = 0; c < F::SUB; c += 4) {
        if (c == within) v = {scale * w[c], scale * w[c + 1], scale * w[c + 2], scale * w[c + 3]};
    }
    return v;
}

template <class F>
__device__ __forceinline__ void embed(const int* index, int offset, const uint8_t* w, float scale, const float* add, float* out, int8_t* outQ,
                                      BlockScale* outS, int cols) {
    int ld = align32(cols), row = blockIdx.y, col = blockIdx.x * 1024 + threadIdx.x * 4, units = units_of<F>(cols);
    bool on = col < ld;
    float4 v = {0, 0, 0, 0};
    if (col < cols) {
        int from = index[row] + offset;
        v = four_of<F>(w + (from >> 4) * panel_bytes<F, 16>(units), units, from & 15, col);
        v = {scale * v.x, scale * v.y, scale * v.z, scale * v.w};
        if (add) {
            float4 a = *reinterpret_cast<const float4*>(add + (i64) row * ld + col);
            v = {v.x + a.x, v.y + a.y, v.z + a.z, v.w + a.w};
        }
    }
    put4(v, on, row, ld, col, out, outQ, outS);
}
