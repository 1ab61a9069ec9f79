// SPDX-License-Identifier: Apache-2.0
// Products of a loaded part with inputs, in one order whatever the number of rows: explicit roundings, so that no compiler fuses one variant and not
// the other.
#pragma once
#include "formats.cuh"

template <class F> __device__ __forceinline__ float dot_floats(const float* w, const float* x, float sum) {
#pragma unroll
    for (int c = 0; c < F::SUB; c += 4) {
        float4 v = *reinterpret_cast<const float4*>(x + c);
        sum = __fmaf_rn(w[c], v.x, sum);
        sum = __fmaf_rn(w[c + 1], v.y, sum);
        sum = __fmaf_rn(w[c + 2], v.z, sum);
        sum = __fmaf_rn(w[c + 3], v.w, sum);
    }
    return sum;
}

/** Integer sums of 32 products are exact; zero points and minima need the sum of the inputs' codes only. */
template <class F> __device__ __forceinline__ float dot_codes(const Block& b, const int8_t* x, const BlockScale* s, float sum) {
    uint4 lo = *reinterpret_cast<const uint4*>(x), hi = *reinterpret_cast<const uint4*>(x + 16);
    BlockScale in = *s;
    int first = 0;
    first = __dp4a((int) b.q[0], (int) lo.x, first);
    first = __dp4a((int) b.q[1], (int) lo.y, first);
    first = __dp4a((int) b.q[2], (int) lo.z, first);
    first = __dp4a((int) b.q[3], (int) lo.w, first);
    int second = F::HALVES ? 0 : first;
    second = __dp4a((int) b.q[4], (int) hi.x, second);
    second = __dp4a((int) b.q[5], (int) hi.y, second);
    second = __dp4a((int) b.q[6], (int) hi.z, second);
    second = __dp4a((int) b.q[7], (int) hi.w, second);
    if constexpr (F::HALVES) {
        float both = __fmaf_rn(b.scale1, (float) second, __fmul_rn(b.scale, (float) first));
        return __fmaf_rn(in.scale, both, sum);
    }
    if constexpr (F::ZERO) second -= b.zero * in.sum;
    if constexpr (F::MIN) return __fmaf_rn(in.scale, __fmaf_rn(b.scale, (float) second, __fmul_rn(b.min, (float) in.sum)), sum);
    return __fmaf_rn(__fmul_rn(b.scale, in.scale), (float) second, sum);
}

/** Adds an item's products with the columns from col on of up to N rows, given by where they begin. */
template <class F, bool I8, int N>
__device__ __forceinline__ void dot_item(const typename F::Part* p, const void* x, const BlockScale* xs, const int* rows, int m, int col, float* sum) {
#pragma unroll
    for (int s = 0; s < F::SUBS; s++) {
        int at = col + s * F::SUB;
        if constexpr (I8) {
            Block b;
            F::unpack(p[s], s, b);
#pragma unroll
            for (int i = 0; i < N; i++) {
                if (N == 1 || i < m)
                    sum[i] = dot_codes<F>(b, static_cast<const int8_t*>(x) + (rows[i] + at), xs + ((rows[i] + at) >> 5), sum[i]);
            }
        } else {
            float w[F::SUB];
            values_of<F>(p[s], s, w);
#pragma unroll
            for (int i = 0; i < N; i++) {
                if (N == 1 || i < m) sum[i] = dot_floats<F>(w, static_cast<const float*>(x) + (rows[i] + at), sum[i]);
            }
        }
    }
}
