// SPDX-License-Identifier: Apache-2.0
// out = f(gate) * up, or f(gate), packed for the product that follows.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256) activate(const float* gate, const float* up, float* out, int8_t* outQ, BlockScale* outS, int n,
                                                           int cols, int activation) {
    int ld = align32(cols), row = blockIdx.y, col = blockIdx.x * 1024 + threadIdx.x * 4;
    bool on = col < ld;
    float4 v = {0, 0, 0, 0};
    if (on) {
        i64 at = (i64) row * ld + col;
        float4 g = *reinterpret_cast<const float4*>(gate + at);
        v = {activated(activation, g.x), activated(activation, g.y), activated(activation, g.z), activated(activation, g.w)};
        if (up) {
            float4 u = *reinterpret_cast<const float4*>(up + at);
            v = {v.x * u.x, v.y * u.y, v.z * u.z, v.w * u.w};
        }
    }
    put4(v, on, row, ld, col, out, outQ, outS);
}
