// SPDX-License-Identifier: Apache-2.0
// Rows of floats become 8-bit codes with a scale for each 32, halves or bfloats.
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(256) quantize(const float* x, int8_t* q, BlockScale* s, int n, int cols) {
    int ld = align32(cols), row = blockIdx.y, col = blockIdx.x * 1024 + threadIdx.x * 4;
    bool on = col < ld;
    float4 v = on ? *reinterpret_cast<const float4*>(x + (i64) row * ld + col) : float4{0, 0, 0, 0};
    put4(v, on, row, ld, col, nullptr, q, s);
}

namespace {
template <bool BF> __device__ __forceinline__ void narrow(const float* x, uint16_t* y, int cols) {
    int ld = align32(cols), col = blockIdx.x * 1024 + threadIdx.x * 4;
    if (col >= ld) return;
    i64 at = (i64) blockIdx.y * ld + col;
    float4 v = *reinterpret_cast<const float4*>(x + at);
    *reinterpret_cast<uint2*>(y + at) = {two_halves<BF>(v.x, v.y), two_halves<BF>(v.z, v.w)};
}
} // namespace

extern "C" __global__ void __launch_bounds__(256) pack_F16(const float* x, uint16_t* y, int n, int cols) { narrow<false>(x, y, cols); }
extern "C" __global__ void __launch_bounds__(256) pack_BF16(const float* x, uint16_t* y, int n, int cols) { narrow<true>(x, y, cols); }
