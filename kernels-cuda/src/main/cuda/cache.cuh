// SPDX-License-Identifier: Apache-2.0
// Rows of the key/value cache: [block][head][slot][head_stride], eight values a lane.
#pragma once
#include "common.cuh"

/** How a head's row is read by `lanes` lanes (a power of two): lane l holds two fours of values, at place 4 l and at 4 lanes + 4 l of shared memory. */
template <class T> struct Rows;

template <> struct Rows<float> {
    static constexpr bool SCALED = false;
    static __device__ __forceinline__ int dim(int place, int) { return place; }
    /** Where the four values from dimension 4 four on are. */
    static __device__ __forceinline__ int place(int four, int) { return 4 * four; }
    static __device__ __forceinline__ void load(const float* row, int l, int lanes, int stride, float* v) {
        float4 zero = {0, 0, 0, 0};
        float4 a = 4 * l < stride ? *reinterpret_cast<const float4*>(row + 4 * l) : zero;
        float4 b = 4 * (lanes + l) < stride ? *reinterpret_cast<const float4*>(row + 4 * (lanes + l)) : zero;
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
    }
};

/** Packed rows: a lane's eight values are neighbours in memory. */
struct PackedRows {
    static __device__ __forceinline__ int dim(int place, int lanes) {
        return place < 4 * lanes ? 2 * (place & ~3) + (place & 3) : 2 * ((place - 4 * lanes) & ~3) + 4 + (place & 3);
    }
    static __device__ __forceinline__ int place(int four, int lanes) { return four / 2 * 4 + (four & 1) * 4 * lanes; }
};

template <> struct Rows<__half> : PackedRows {
    static constexpr bool SCALED = false;
    static __device__ __forceinline__ void load(const __half* row, int l, int, int stride, float* v) {
        uint4 w = {0, 0, 0, 0};
        if (8 * l < stride) w = *reinterpret_cast<const uint4*>(row + 8 * l);
        uint32_t h[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
        for (int i = 0; i < 4; i++) v[2 * i] = half_bits(h[i] & 0xffff), v[2 * i + 1] = half_bits(h[i] >> 16);
    }
};

template <> struct Rows<int8_t> : PackedRows {
    static constexpr bool SCALED = true;
    static __device__ __forceinline__ void load(const int8_t* row, int l, int, int stride, float* v) {
        uint2 w = {0, 0};
        if (8 * l < stride) w = *reinterpret_cast<const uint2*>(row + 8 * l);
#pragma unroll
        for (int i = 0; i < 8; i++) v[i] = (float) (int8_t) ((i < 4 ? w.x : w.y) >> 8 * (i & 3));
    }
};

/** Number of a (block, head, slot); times head_stride it is the row's place. */
__device__ __forceinline__ i64 cache_slot(const int* blockTable, int kvBlocks, int seq, int position, int heads, int head) {
    int block = seq < 0 ? 0 : blockTable[(i64) seq * kvBlocks + position / KV_BLOCK];
    return ((i64) block * heads + head) * KV_BLOCK + position % KV_BLOCK;
}
