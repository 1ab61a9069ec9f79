// SPDX-License-Identifier: Apache-2.0
// Head norm, rotation (Su et al., 2021) and cache append of one head by one warp: a lane holds pairs, so both halves of a rotation are in its registers.
#pragma once
#include "cache.cuh"

struct RopeArguments {
    const float *qGain, *kGain;
    float eps;
    const float* table;
    int dims, interleaved;
    void *kc, *vc;
    float *ks, *vs;
    const int *pos, *seq, *blockTable;
    int n, kvBlocks, qHeads, kvHeads, headSize;
};

constexpr int PAIRS = 4; // of a lane: heads of at most 256

/** Two values of a cache's row; neighbours that lie on an even place go as one. */
__device__ __forceinline__ void put(void* cache, int kvType, i64 row, int first, int second, float x, float y, float inverse, bool pair, bool both) {
    if (kvType == 0) {
        float* to = static_cast<float*>(cache) + row;
        if (pair) {
            *reinterpret_cast<float2*>(to + first) = {x, y};
        } else {
            to[first] = x;
            if (both) to[second] = y;
        }
    } else if (kvType == 1) {
        __half* to = static_cast<__half*>(cache) + row;
        if (pair) {
            *reinterpret_cast<__half2*>(to + first) = __floats2half2_rn(x, y);
        } else {
            to[first] = __float2half_rn(x);
            if (both) to[second] = __float2half_rn(y);
        }
    } else {
        int8_t* to = static_cast<int8_t*>(cache) + row;
        int a = code(x, inverse), b = code(y, inverse);
        if (pair) {
            *reinterpret_cast<uint16_t*>(to + first) = (uint16_t) ((a & 0xff) | b << 8);
        } else {
            to[first] = (int8_t) a;
            if (both) to[second] = (int8_t) b;
        }
    }
}

/** head: query heads first, then key heads, then value heads; kvType: KvType's number. */
__device__ __forceinline__ void rope_head(const RopeArguments& a, int kvType, float* q, float* k, const float* v, int row, int head) {
    int lane = threadIdx.x & 31, size = a.headSize, pos = a.pos[row];
    bool isQ = head < a.qHeads, isV = head >= a.qHeads + a.kvHeads;
    int own = isQ ? head : isV ? head - a.qHeads - a.kvHeads : head - a.qHeads;
    i64 at = (i64) row * align32((isQ ? a.qHeads : a.kvHeads) * size) + own * size;
    const float* from = (isQ ? q : isV ? v : k) + at;
    const float* gain = isQ ? a.qGain : a.kGain;
    int rotating = isV ? 0 : a.dims / 2;
    bool pairs = size % 2 == 0 && (a.interleaved || rotating == 0); // all of them neighbours
    float x[PAIRS], y[PAIRS];
    int first[PAIRS], second[PAIRS];
    float square = 0;
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        int p = lane + 32 * i;
        bool split = p < rotating && !a.interleaved;
        first[i] = split ? p : 2 * p;
        second[i] = split ? p + rotating : 2 * p + 1;
        // past the first-level cache: in the fused kernel other multiprocessors wrote it
        if (pairs) {
            float2 both = first[i] < size ? __ldcg(reinterpret_cast<const float2*>(from + first[i])) : float2{0, 0};
            x[i] = both.x, y[i] = both.y;
        } else {
            x[i] = first[i] < size ? __ldcg(from + first[i]) : 0;
            y[i] = second[i] < size ? __ldcg(from + second[i]) : 0;
        }
        square += x[i] * x[i] + y[i] * y[i];
    }
    if (!isV && gain) {
        float scale = rsqrtf(__fdividef(warp_sum(square), (float) size) + a.eps);
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            if (first[i] < size) x[i] *= scale * gain[first[i]];
            if (second[i] < size) y[i] *= scale * gain[second[i]];
        }
    }
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        int p = lane + 32 * i;
        if (p < rotating) {
            float2 turn = *reinterpret_cast<const float2*>(a.table + (i64) pos * a.dims + 2 * p);
            float c = x[i] * turn.x - y[i] * turn.y;
            y[i] = x[i] * turn.y + y[i] * turn.x;
            x[i] = c;
        }
    }
    if (!isV) {
        float* to = (isQ ? q : k) + at;
#pragma unroll
        for (int i = 0; i < PAIRS; i++) {
            if (pairs) {
                if (first[i] < size) *reinterpret_cast<float2*>(to + first[i]) = {x[i], y[i]};
            } else {
                if (first[i] < size) to[first[i]] = x[i];
                if (second[i] < size) to[second[i]] = y[i];
            }
        }
    }
    // padding rows would all write to the same place of the scrap block, which nobody reads
    if (isQ || a.seq[row] < 0) return;
    i64 slot = cache_slot(a.blockTable, a.kvBlocks, a.seq[row], pos, a.kvHeads, own);
    i64 to = slot * head_stride(size);
    void* cache = isV ? a.vc : a.kc;
    float inverse = 0;
    if (kvType == 2) {
        float max = 0;
#pragma unroll
        for (int i = 0; i < PAIRS; i++) max = max_nan(max, max_nan(fabsf(x[i]), fabsf(y[i])));
#pragma unroll
        for (int d = 16; d > 0; d >>= 1) max = max_nan(max, __shfl_xor_sync(~0u, max, d));
        float scale = code_scale(max, inverse);
        if (lane == 0) (isV ? a.vs : a.ks)[slot] = scale;
    }
#pragma unroll
    for (int i = 0; i < PAIRS; i++) {
        if (first[i] >= size) continue;
        put(cache, kvType, to, first[i], second[i], x[i], y[i], inverse, pairs, second[i] < size);
    }
}
