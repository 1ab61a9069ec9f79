// SPDX-License-Identifier: Apache-2.0
// Which rows of a feed-forward block run, decided where they run; and the sum of what parts of them gave.
#include "common.cuh"

/** The union over n rows that belong to a sequence of the columns whose score is above the threshold, ascending; a block scans 1,024 columns at a time. */
extern "C" __global__ void __launch_bounds__(1024) select_above(const float* scores, const int* seq, float threshold, int* active, int* count, int n, int width,
                                                                int capacity) {
    __shared__ int before[32];
    __shared__ int total;
    int ld = align32(width), lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int kept = 0;
    for (int base = 0; base < width; base += 1024) {
        int c = base + threadIdx.x;
        bool on = false;
        if (c < width) {
            for (int r = 0; r < n; r++) on |= seq[r] >= 0 && scores[(i64) r * ld + c] > threshold;
        }
        uint32_t votes = __ballot_sync(~0u, on);
        if (lane == 0) before[warp] = __popc(votes);
        __syncthreads();
        if (warp == 0) {
            int own = before[lane], sum = own;
#pragma unroll
            for (int d = 1; d < 32; d <<= 1) {
                int up = __shfl_up_sync(~0u, sum, d);
                if (lane >= d) sum += up;
            }
            before[lane] = sum - own;
            if (lane == 31) total = sum;
        }
        __syncthreads();
        int at = kept + before[warp] + __popc(votes & ((1u << lane) - 1));
        if (on && at < capacity) active[at] = c;
        kept += total;
        __syncthreads();
    }
    if (threadIdx.x == 0) *count = min(kept, capacity);
}

/** y = bias + the parts, first to last. */
extern "C" __global__ void __launch_bounds__(256) sum_parts(const float* part, const float* bias, float* y, int splits, int n, int cols) {
    int ld = align32(cols), col = blockIdx.x * 1024 + threadIdx.x * 4;
    if (col >= ld) return;
    i64 at = (i64) blockIdx.y * ld + col;
    float4 v = bias ? *reinterpret_cast<const float4*>(bias + col) : float4{0, 0, 0, 0};
    for (int z = 0; z < splits; z++) {
        float4 p = *reinterpret_cast<const float4*>(part + (i64) z * n * ld + at);
        v = {v.x + p.x, v.y + p.y, v.z + p.z, v.w + p.w};
    }
    *reinterpret_cast<float4*>(y + at) = v;
}
