// SPDX-License-Identifier: Apache-2.0
// What all kernels share: strides, vector loads, warp reductions, packing.
#pragma once
#include "ptx.cuh"
#include <cuda_fp16.h>

typedef long long i64;

constexpr int KV_BLOCK = 32;      // positions of a cache block
constexpr int ATTEND_CHUNK = 256; // positions of a split: fixed places, so that results know nothing of the batch

__host__ __device__ constexpr int align32(int n) { return (n + 31) & ~31; }
/** From one row of 8-bit codes to the next: whole pairs of blocks. */
__host__ __device__ constexpr int code_stride(int n) { return (n + 63) & ~63; }
/**
 * Where a row has the code of a column. In each 64 the halves of both blocks take turns, 16 bytes each: the half-warps of a product hold a block each,
 * and what they ask for together is one sector of 32 bytes.
 */
__host__ __device__ constexpr int code_place(int col) { return (col & ~48) | (col & 16) << 1 | (col & 32) >> 1; }
__host__ __device__ constexpr int head_stride(int size) { return (size + 15) & ~15; }
__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

/** Scale and sum of the codes of 32 inputs. */
struct __align__(8) BlockScale {
    float scale;
    int sum;
};

__device__ __forceinline__ float half_bits(uint32_t bits) { return __half2float(__ushort_as_half((unsigned short) bits)); }
__device__ __forceinline__ float bfloat_bits(uint32_t bits) { return __uint_as_float(bits << 16); }

// ---- warps

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v = __fadd_rn(v, __shfl_xor_sync(~0u, v, d));
    return v;
}

/** Sum over the 256 threads of a block, in one order. */
__device__ __forceinline__ float block_sum(float v, float* scratch /* 8 */) {
    v = warp_sum(v);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = v;
    __syncthreads();
    float sum = scratch[0];
#pragma unroll
    for (int w = 1; w < 8; w++) sum = __fadd_rn(sum, scratch[w]);
    return sum;
}

// ---- packing

/** What a block of values whose largest magnitude is max is multiplied with to become codes. */
__device__ __forceinline__ float code_scale(float max, float& inverse) {
    float scale = __fdiv_rn(max, 127.f);
    inverse = scale < 1.17549435e-38f ? 0.f : __fdiv_rn(1.f, scale);
    return scale;
}
__device__ __forceinline__ int code(float x, float inverse) { return __float2int_rn(__fmul_rn(x, inverse)); }
__device__ __forceinline__ uint32_t bytes4(int a, int b, int c, int d) {
    return (a & 0xff) | (b & 0xff) << 8 | (c & 0xff) << 16 | (uint32_t) d << 24;
}

/**
 * Stores four neighbouring values of a row, packed where outQ is given: as codes with scales, or as bfloats where outS is null. Eight neighbouring lanes hold a block of 32; all lanes of a warp call this
 * together, those beyond the row with on = false and zeros.
 */
__device__ __forceinline__ void put4(float4 v, bool on, int row, int ld, int col, float* out, int8_t* outQ, BlockScale* outS) {
    if (out && on) *reinterpret_cast<float4*>(out + ((i64) row * ld + col)) = v;
    if (outQ && !outS) {
        if (on) *reinterpret_cast<uint2*>(outQ + 2 * ((i64) row * ld + col)) = {two_bfloats(v.x, v.y), two_bfloats(v.z, v.w)};
    } else if (outQ) {
        float max = max_nan(max_nan(fabsf(v.x), fabsf(v.y)), max_nan(fabsf(v.z), fabsf(v.w)));
#pragma unroll
        for (int d = 4; d > 0; d >>= 1) max = max_nan(max, __shfl_xor_sync(~0u, max, d));
        float inverse, scale = code_scale(max, inverse);
        int a = code(v.x, inverse), b = code(v.y, inverse), c = code(v.z, inverse), e = code(v.w, inverse);
        int sum = a + b + c + e;
#pragma unroll
        for (int d = 4; d > 0; d >>= 1) sum += __shfl_xor_sync(~0u, sum, d);
        if (on) {
            int first = row * code_stride(ld);
            *reinterpret_cast<uint32_t*>(outQ + first + code_place(col)) = bytes4(a, b, c, e);
            if ((threadIdx.x & 7) == 0) outS[(first + col) >> 5] = BlockScale{scale, sum};
        }
    }
}

__device__ __forceinline__ float soft_cap(float v, float cap) { return cap == 0.f ? v : cap * tanhf(v / cap); }

/** Point-wise functions by their number in Activation. */
__device__ __forceinline__ float activated(int f, float x) {
    switch (f) {
        case 0: return x / (1.f + expf(-x));
        case 1: return 0.5f * x * (1.f + tanhf(0.797884561f * (x + 0.044715f * x * x * x)));
        case 2: return 0.5f * x * erfcf(-0.707106781f * x);
        default: return x != x ? x : fmaxf(x, 0.f);
    }
}
