// SPDX-License-Identifier: Apache-2.0
// Attention of few rows over a paged cache. One block serves the query heads that read one key head, so keys and values are read once for all of them;
// long sequences are split at fixed places and merged by their log-sum-exp (Flash-Decoding, FlashInfer).
#include "cache.cuh"

namespace {
constexpr int GROUP = 8, WARPS = 4, HALF = 4; // query heads at a time; warps; heads whose sums meet in shared memory at a time

/** The first and the last position that a row sees. */
__device__ __forceinline__ int first_seen(int last, int window) { return window == 0 ? 0 : max(0, last - window + 1); }

template <class T>
__device__ __forceinline__ void attend(const float* q, const T* kc, const T* vc, const float* ks, const float* vs, const int* pos, const int* seqs,
                                       const int* blockTable, const int* groupStart, const int* groupHead, float* partO, float* partM, int kvBlocks,
                                       int heads, int kvHeads, int headSize, float scale, int window, float softCap, int splits) {
    __shared__ __align__(16) float query[GROUP][256];
    __shared__ __align__(16) float score[GROUP][ATTEND_CHUNK];
    __shared__ __align__(16) float part[WARPS][HALF][256 + 16]; // the second halves lie 16 banks on
    __shared__ float runMax[GROUP], runSum[GROUP], shrink[GROUP];
    int kvHead = blockIdx.x, row = blockIdx.y, split = blockIdx.z, warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    int seq = seqs[row];
    if (seq < 0) return;
    int last = pos[row], first = first_seen(last, window);
    int chunk0 = first / ATTEND_CHUNK;
    int begin = chunk0 + ((split - chunk0) % splits + splits) % splits;
    if (begin > last / ATTEND_CHUNK) return;
    int stride = head_stride(headSize), ld = align32(heads * headSize);
    int lanes = 2;
    while (8 * lanes < stride) lanes *= 2;
    int l = lane & (lanes - 1), group = lane / lanes, perWarp = 32 / lanes, perStep = WARPS * perWarp;

    for (int from = groupStart[kvHead]; from < groupStart[kvHead + 1]; from += GROUP) {
        int count = min(GROUP, groupStart[kvHead + 1] - from);
        __syncthreads(); // of the heads before
        for (int i = threadIdx.x; i < count * 8 * lanes; i += blockDim.x) {
            int g = i / (8 * lanes), d = i % (8 * lanes), place = Rows<T>::place(d >> 2, lanes) + (d & 3);
            query[g][place] = d < headSize ? q[(i64) row * ld + groupHead[from + g] * headSize + d] : 0;
        }
        if (threadIdx.x < GROUP) runMax[threadIdx.x] = -INFINITY, runSum[threadIdx.x] = 0;
        float sum[GROUP][8] = {};

        for (int chunk = begin; chunk <= last / ATTEND_CHUNK; chunk += splits) {
            int base = chunk * ATTEND_CHUNK, lo = max(first - base, 0), hi = min(last - base, ATTEND_CHUNK - 1);
            __syncthreads();
            for (int step = lo / perStep; step <= hi / perStep; step++) {
                int i = step * perStep + warp * perWarp + group;
                bool on = i >= lo && i <= hi;
                float k[8] = {}, factor = scale;
                if (on) {
                    i64 slot = cache_slot(blockTable, kvBlocks, seq, base + i, kvHeads, kvHead);
                    Rows<T>::load(kc + slot * stride, l, lanes, stride, k);
                    if (Rows<T>::SCALED) factor *= ks[slot];
                }
#pragma unroll
                for (int g = 0; g < GROUP; g++) {
                    if (g < count) {
                        float4 a = *reinterpret_cast<float4*>(&query[g][4 * l]), b = *reinterpret_cast<float4*>(&query[g][4 * (lanes + l)]);
                        float dot = a.x * k[0] + a.y * k[1] + a.z * k[2] + a.w * k[3] + b.x * k[4] + b.y * k[5] + b.z * k[6] + b.w * k[7];
                        for (int d = lanes / 2; d > 0; d >>= 1) dot += __shfl_xor_sync(~0u, dot, d);
                        if (on && l == 0) score[g][i] = soft_cap(dot * factor, softCap);
                    }
                }
            }
            __syncthreads();
            for (int g = warp; g < count; g += WARPS) {
                float max = -INFINITY;
                for (int i = lo + lane; i <= hi; i += 32) max = fmaxf(max, score[g][i]);
#pragma unroll
                for (int d = 16; d > 0; d >>= 1) max = fmaxf(max, __shfl_xor_sync(~0u, max, d));
                float before = runMax[g], now = fmaxf(before, max), total = 0;
                for (int i = lo + lane; i <= hi; i += 32) {
                    float e = expf(score[g][i] - now);
                    score[g][i] = e;
                    total += e;
                }
                total = warp_sum(total);
                __syncwarp();
                if (lane == 0) {
                    float less = before == now ? 1.f : expf(before - now);
                    shrink[g] = less;
                    runMax[g] = now;
                    runSum[g] = runSum[g] * less + total;
                }
            }
            __syncthreads();
#pragma unroll
            for (int g = 0; g < GROUP; g++) {
                if (g < count && chunk != begin) {
#pragma unroll
                    for (int j = 0; j < 8; j++) sum[g][j] *= shrink[g];
                }
            }
            for (int step = lo / perStep; step <= hi / perStep; step++) {
                int i = step * perStep + warp * perWarp + group;
                if (i < lo || i > hi) continue;
                float v[8];
                i64 slot = cache_slot(blockTable, kvBlocks, seq, base + i, kvHeads, kvHead);
                Rows<T>::load(vc + slot * stride, l, lanes, stride, v);
                float factor = Rows<T>::SCALED ? vs[slot] : 1.f;
#pragma unroll
                for (int g = 0; g < GROUP; g++) {
                    if (g < count) {
                        float w = score[g][i] * factor;
#pragma unroll
                        for (int j = 0; j < 8; j++) sum[g][j] += w * v[j];
                    }
                }
            }
        }
        // the positions of a warp, then the warps, always in this order
#pragma unroll
        for (int half = 0; half < GROUP; half += HALF) {
            if (half >= count) break;
            __syncthreads();
#pragma unroll
            for (int g = 0; g < HALF; g++) {
                if (half + g < count) {
                    float* s = sum[half + g];
#pragma unroll
                    for (int j = 0; j < 8; j++) {
                        for (int d = lanes; d < 32; d <<= 1) s[j] += __shfl_xor_sync(~0u, s[j], d);
                    }
                    if (lane < lanes) {
                        *reinterpret_cast<float4*>(&part[warp][g][4 * l]) = {s[0], s[1], s[2], s[3]};
                        *reinterpret_cast<float4*>(&part[warp][g][4 * (lanes + l) + 16]) = {s[4], s[5], s[6], s[7]};
                    }
                }
            }
            __syncthreads();
            for (int i = threadIdx.x; i < min(HALF, count - half) * 2 * lanes; i += blockDim.x) {
                int g = i / (2 * lanes), four = i % (2 * lanes), place = Rows<T>::place(four, lanes);
                if (4 * four >= stride) continue;
                float4 v = {0, 0, 0, 0};
#pragma unroll
                for (int w = 0; w < WARPS; w++) {
                    float4 p = *reinterpret_cast<float4*>(&part[w][g][place + (place >= 4 * lanes ? 16 : 0)]);
                    v = {v.x + p.x, v.y + p.y, v.z + p.z, v.w + p.w};
                }
                i64 at = ((i64) row * heads + groupHead[from + half + g]) * splits + split;
                *reinterpret_cast<float4*>(partO + at * stride + 4 * four) = v;
            }
        }
        if (threadIdx.x < count) {
            i64 at = ((i64) row * heads + groupHead[from + threadIdx.x]) * splits + split;
            *reinterpret_cast<float2*>(partM + 2 * at) = {runMax[threadIdx.x], runSum[threadIdx.x]};
        }
    }
}

/** One value of a head out of its splits. */
__device__ __forceinline__ float4 merged(const float* partO, const float* partM, i64 head, int d, int stride, int splits, int chunk0, int chunk1, bool four) {
    float max = -INFINITY;
    for (int z = 0; z < splits; z++) {
        if (chunk0 + ((z - chunk0) % splits + splits) % splits <= chunk1) max = fmaxf(max, partM[2 * (head * splits + z)]);
    }
    float total = 0;
    float4 v = {0, 0, 0, 0};
    for (int z = 0; z < splits; z++) {
        if (chunk0 + ((z - chunk0) % splits + splits) % splits > chunk1) continue;
        i64 at = head * splits + z;
        float2 m = *reinterpret_cast<const float2*>(partM + 2 * at);
        float w = m.x == max ? 1.f : expf(m.x - max);
        total += w * m.y;
        if (four) {
            float4 o = *reinterpret_cast<const float4*>(partO + at * stride + d);
            v = {v.x + w * o.x, v.y + w * o.y, v.z + w * o.z, v.w + w * o.w};
        } else {
            v.x += w * partO[at * stride + d];
        }
    }
    return {v.x / total, v.y / total, v.z / total, v.w / total};
}
} // namespace

#define ATTEND(NAME, T)                                                                                                                                \
    extern "C" __global__ void __launch_bounds__(128)                                                                                                  \
            attend_##NAME(const float* q, const T* kc, const T* vc, const float* ks, const float* vs, const int* pos, const int* seq,                  \
                          const int* blockTable, const int* groupStart, const int* groupHead, float* partO, float* partM, int n, int kvBlocks,         \
                          int heads, int kvHeads, int headSize, float scale, int window, float softCap, int splits) {                                  \
        attend<T>(q, kc, vc, ks, vs, pos, seq, blockTable, groupStart, groupHead, partO, partM, kvBlocks, heads, kvHeads, headSize, scale, window,     \
                  softCap, splits);                                                                                                                    \
    }

ATTEND(F32, float)
ATTEND(F16, __half)
ATTEND(I8, int8_t)

extern "C" __global__ void __launch_bounds__(256) attend_merge(const float* partO, const float* partM, const int* pos, const int* seq, const int* listed,
                                                               float* out, int8_t* outQ, BlockScale* outS, int n, int heads, int headSize, int window,
                                                               int splits) {
    int cols = heads * headSize, ld = align32(cols), row = blockIdx.y, col = blockIdx.x * 1024 + threadIdx.x * 4, stride = head_stride(headSize);
    bool on = col < ld;
    float4 v = {0, 0, 0, 0};
    if (col < cols && seq[row] >= 0) {
        int last = pos[row], chunk0 = first_seen(last, window) / ATTEND_CHUNK, chunk1 = last / ATTEND_CHUNK;
        if (headSize % 4 == 0) {
            int head = col / headSize;
            if (!listed || listed[head]) v = merged(partO, partM, (i64) row * heads + head, col % headSize, stride, splits, chunk0, chunk1, true);
        } else {
            float one[4] = {0, 0, 0, 0};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int c = col + i, head = c / headSize;
                if (c < cols && (!listed || listed[head]))
                    one[i] = merged(partO, partM, (i64) row * heads + head, c % headSize, stride, splits, chunk0, chunk1, false).x;
            }
            v = {one[0], one[1], one[2], one[3]};
        }
    }
    put4(v, on, row, ld, col, out, outQ, outS);
}
