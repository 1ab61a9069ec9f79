// SPDX-License-Identifier: Apache-2.0
// Residual add, norm of what is added, norm of the sum and packing in one pass over memory: two reads, two writes. A block holds a row in shared memory,
// so that means and deviations are taken in two passes without reading again.
#include "common.cuh"

namespace {
constexpr int NONE = -1, LAYER = 1;

struct Stats {
    float mean, scale;
};

/** Mean (0 for RMS) and reciprocal deviation of a row in shared memory; each thread reads what it wrote. */
__device__ Stats stats(const float* row, int cols, int kind, float eps, float* scratch) {
    Stats s = {0, 0};
    if (kind == LAYER) {
        float sum = 0;
        for (int c = threadIdx.x * 4; c < cols; c += 1024) {
            float4 v = *reinterpret_cast<const float4*>(row + c); // zero beyond the row
            sum += (v.x + v.y) + (v.z + v.w);
        }
        s.mean = __fdividef(block_sum(sum, scratch), (float) cols);
    }
    float square = 0;
    for (int c = threadIdx.x * 4; c < cols; c += 1024) {
        float4 v = *reinterpret_cast<const float4*>(row + c);
        float a = v.x - s.mean, b = v.y - s.mean, d = v.z - s.mean, e = v.w - s.mean;
        if (c + 1 >= cols) b = 0;
        if (c + 2 >= cols) d = 0;
        if (c + 3 >= cols) e = 0;
        square += (a * a + b * b) + (d * d + e * e);
    }
    s.scale = rsqrtf(__fdividef(block_sum(square, scratch), (float) cols) + eps); // within 2 ulp
    return s;
}

__device__ float4 normed(float4 v, Stats s, const float* gain, const float* bias, int c, int cols) {
    float4 g = *reinterpret_cast<const float4*>(gain + c);
    float4 b = bias ? *reinterpret_cast<const float4*>(bias + c) : float4{0, 0, 0, 0};
    float4 y = {(v.x - s.mean) * s.scale * g.x + b.x, (v.y - s.mean) * s.scale * g.y + b.y, (v.z - s.mean) * s.scale * g.z + b.z,
                (v.w - s.mean) * s.scale * g.w + b.w};
    if (c >= cols) y.x = 0;
    if (c + 1 >= cols) y.y = 0;
    if (c + 2 >= cols) y.z = 0;
    if (c + 3 >= cols) y.w = 0;
    return y;
}
} // namespace

extern "C" __global__ void __launch_bounds__(256) add_norm(float* residual, const float* delta, const float* postGain, const float* postBias,
                                                           int postKind, float postEps, const float* gain, const float* bias, int kind, float eps,
                                                           int keepNormed, float* out, int8_t* outQ, BlockScale* outS, int n, int cols) {
    extern __shared__ float4 shared4[];
    __shared__ float scratch[8];
    float* row = reinterpret_cast<float*>(shared4);
    int ld = align32(cols);
    float* res = residual + (i64) blockIdx.x * ld;
    if (delta && postKind != NONE) {
        const float* del = delta + (i64) blockIdx.x * ld;
        for (int c = threadIdx.x * 4; c < ld; c += 1024) *reinterpret_cast<float4*>(row + c) = *reinterpret_cast<const float4*>(del + c);
        Stats post = stats(row, cols, postKind, postEps, scratch);
        for (int c = threadIdx.x * 4; c < ld; c += 1024) {
            float4 d = normed(*reinterpret_cast<float4*>(row + c), post, postGain, postBias, c, cols);
            float4 r = *reinterpret_cast<float4*>(res + c);
            *reinterpret_cast<float4*>(row + c) = {r.x + d.x, r.y + d.y, r.z + d.z, r.w + d.w};
        }
    } else {
        for (int c = threadIdx.x * 4; c < ld; c += 1024) {
            float4 r = *reinterpret_cast<float4*>(res + c);
            if (delta) {
                float4 d = *reinterpret_cast<const float4*>(delta + (i64) blockIdx.x * ld + c);
                r = {r.x + d.x, r.y + d.y, r.z + d.z, r.w + d.w};
            }
            *reinterpret_cast<float4*>(row + c) = r;
        }
    }
    Stats s = {0, 1};
    if (kind != NONE) s = stats(row, cols, kind, eps, scratch);
    bool changed = delta || keepNormed;
    for (int from = 0; from < ld; from += 1024) {
        int c = from + threadIdx.x * 4;
        bool on = c < ld;
        float4 r = {0, 0, 0, 0}, y = {0, 0, 0, 0};
        if (on) {
            r = *reinterpret_cast<float4*>(row + c);
            y = kind == NONE ? r : normed(r, s, gain, bias, c, cols);
            if (changed) *reinterpret_cast<float4*>(res + c) = keepNormed ? y : r;
        }
        if (out || outQ) put4(y, on, blockIdx.x, ld, c, out, outQ, outS);
    }
}
