// SPDX-License-Identifier: Apache-2.0
// Rows of floats become 8-bit codes with a scale for each 32, or bfloats where there is no room for scales.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256) quantize(const float* x, int8_t* q, BlockScale* s, int n, int cols) {
    int ld = align32(cols), row = blockIdx.y, col = blockIdx.x * 1024 + threadIdx.x * 4;
    bool on = col < ld;
    float4 v = on ? *reinterpret_cast<const float4*>(x + (i64) row * ld + col) : float4{0, 0, 0, 0};
    put4(v, on, row, ld, col, nullptr, q, s);
}
