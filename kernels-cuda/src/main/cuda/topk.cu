// SPDX-License-Identifier: Apache-2.0
// The best tokens of each row. A logit and its token make one 64-bit rank, so that no two are equal: order by value, ties to the smaller id.
#include "common.cuh"

namespace {
typedef unsigned long long u64;
constexpr int THREADS = 1024;

/** Larger is better; NaN above all, as Float.compare has it, and both zeros alike. */
__device__ __forceinline__ u64 rank_of(float logit, int id) {
    uint32_t bits = logit != logit ? 0x7fc00000u : __float_as_uint(logit + 0.f);
    bits ^= bits >> 31 ? ~0u : 0x80000000u;
    return (u64) bits << 32 | (uint32_t) ~id;
}
__device__ __forceinline__ int id_of(u64 rank) { return (int) ~(uint32_t) rank; }
} // namespace

extern "C" __global__ void __launch_bounds__(THREADS) argmax(const float* logits, int* best, int n, int vocabulary) {
    __shared__ u64 tops[32];
    const float* row = logits + (i64) blockIdx.x * align32(vocabulary);
    u64 top = 0;
    for (int i = threadIdx.x; i < vocabulary; i += THREADS) top = max(top, rank_of(row[i], i));
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) top = max(top, __shfl_xor_sync(~0u, top, d));
    if ((threadIdx.x & 31) == 0) tops[threadIdx.x >> 5] = top;
    __syncthreads();
    if (threadIdx.x < 32) {
        top = tops[threadIdx.x];
#pragma unroll
        for (int d = 16; d > 0; d >>= 1) top = max(top, __shfl_xor_sync(~0u, top, d));
        if (threadIdx.x == 0) best[blockIdx.x] = id_of(top);
    }
}

/** Radix selection of the k-th rank, eight bits at a time, then the k above it are put in order by counting who is before whom. */
extern "C" __global__ void __launch_bounds__(THREADS) top_k(const float* logits, int* best, u64* scratch, int n, int vocabulary, int k) {
    __shared__ int histogram[256];
    __shared__ u64 prefix;
    __shared__ int wanted, found;
    const float* row = logits + (i64) blockIdx.x * align32(vocabulary);
    u64* kept = scratch + (i64) blockIdx.x * k;
    if (threadIdx.x == 0) prefix = 0, wanted = k, found = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        if (threadIdx.x < 256) histogram[threadIdx.x] = 0;
        __syncthreads();
        u64 above = prefix;
        for (int i = threadIdx.x; i < vocabulary; i += THREADS) {
            u64 r = rank_of(row[i], i);
            if (shift == 56 || r >> (shift + 8) == above >> (shift + 8)) atomicAdd(&histogram[(int) (r >> shift) & 255], 1);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int digit = 255, left = wanted;
            while (histogram[digit] < left) left -= histogram[digit--];
            wanted = left;
            prefix = above | (u64) digit << shift;
            // all that share this prefix are wanted: the digits below do not matter
            found = histogram[digit] == left ? -1 : 0;
        }
        __syncthreads();
        if (found < 0) break;
    }
    __syncthreads();
    u64 least = prefix;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < vocabulary; i += THREADS) {
        u64 r = rank_of(row[i], i);
        if (r >= least) kept[atomicAdd(&found, 1)] = r;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < k; i += THREADS) {
        u64 own = kept[i];
        int before = 0;
        for (int j = 0; j < k; j++) before += kept[j] > own;
        best[(i64) blockIdx.x * k + before] = id_of(own);
    }
}
