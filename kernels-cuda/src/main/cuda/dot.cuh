// SPDX-License-Identifier: Apache-2.0
// Products of a loaded part with inputs, in one order whatever the number of rows: explicit roundings, so that no compiler fuses one variant and not
// the other.
#pragma once
#include "formats.cuh"

template <class F> __device__ __forceinline__ float dot_floats(const float* w, const float* x, float sum) {
#pragma unroll
    for (int c = 0; c < F::SUB; c += 4) {
        float4 v = *reinterpret_cast<const float4*>(x + column_of<F>(c));
        sum = __fmaf_rn(w[c], v.x, sum);
        sum = __fmaf_rn(w[c + 1], v.y, sum);
        sum = __fmaf_rn(w[c + 2], v.z, sum);
        sum = __fmaf_rn(w[c + 3], v.w, sum);
    }
    return sum;
}

/** The same with inputs of bfloat16. */
template <class F> __device__ __forceinline__ float dot_bfloats(const float* w, const uint16_t* x, float sum) {
#pragma unroll
    for (int c = 0; c < F::SUB; c += 4) {
        uint2 v = *reinterpret_cast<const uint2*>(x + column_of<F>(c));
        sum = __fmaf_rn(w[c], bfloat_bits(v.x), sum);
        sum = __fmaf_rn(w[c + 1], __uint_as_float(v.x & 0xffff0000), sum);
        sum = __fmaf_rn(w[c + 2], bfloat_bits(v.y), sum);
        sum = __fmaf_rn(w[c + 3], __uint_as_float(v.y & 0xffff0000), sum);
    }
    return sum;
}

/** Integer sums of 32 products are exact; zero points and minima need the sum of the inputs' codes only. */
template <class F> __device__ __forceinline__ float dot_codes(const Block& b, const int8_t* x, const BlockScale* s, float sum) {
    uint4 lo = *reinterpret_cast<const uint4*>(x), hi = *reinterpret_cast<const uint4*>(x + code_place(16));
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

/** Two of each four: the inputs are chosen that the 16 kept codes meet, which metadata makes a byte permutation; nothing is spread to its place. */
struct Kept {
    uint4 q;
    uint32_t choice[2]; // of words 0 and 2, 1 and 3, each 16 bits
    float scale;

    template <class P> __device__ __forceinline__ explicit Kept(const P& p) : q(kept(p)), scale(scale_of(p)) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t m = p.meta >> 8 * i & 0x00ff00ff; // eight columns: four places of two bits
            m = (m | m << 4) & 0x0f0f0f0f;
            choice[i] = (m | m << 2) & 0x33333333 | 0x44004400;
        }
    }
    __device__ __forceinline__ float dot(const int8_t* x, const BlockScale* s, float sum) const {
        uint4 lo = *reinterpret_cast<const uint4*>(x), hi = *reinterpret_cast<const uint4*>(x + code_place(16));
        int d = __dp4a((int) q.x, (int) __byte_perm(lo.x, lo.y, choice[0]), 0);
        d = __dp4a((int) q.y, (int) __byte_perm(lo.z, lo.w, choice[1]), d);
        d = __dp4a((int) q.z, (int) __byte_perm(hi.x, hi.y, choice[0] >> 16), d);
        d = __dp4a((int) q.w, (int) __byte_perm(hi.z, hi.w, choice[1] >> 16), d);
        return __fmaf_rn(__fmul_rn(scale, s->scale), (float) d, sum);
    }
};

/** What inputs come as. */
enum Inputs { IN_F32, IN_I8, IN_BF16 };

/** From one row of inputs to the next, in values. */
template <int IN> __device__ __forceinline__ int input_stride(int cols) { return IN == IN_I8 ? code_stride(cols) : align32(cols); }

template <int IN> struct InputValue {
    typedef float type;
};
template <> struct InputValue<IN_I8> {
    typedef int8_t type;
};
template <> struct InputValue<IN_BF16> {
    typedef uint16_t type;
};

/** What up to N rows have for the columns of an item, given by where the rows begin; it walks along with the item. */
template <class F, int IN, int N> struct RowInputs {
    typedef typename InputValue<IN>::type T;
    const T* x;           // of the first row
    const BlockScale* xs; // likewise, of 8-bit inputs
    int row[N], col;      // from the first row on

    __device__ __forceinline__ RowInputs(const void* from, const BlockScale* scales, const int* rows, int unit) : col(first_column<F>(unit)) {
        x = static_cast<const T*>(from) + (rows[0] + (IN == IN_I8 ? code_place(col) : col));
        xs = scales + ((rows[0] + col) >> 5);
#pragma unroll
        for (int i = 0; i < N; i++) row[i] = i ? rows[i] - rows[0] : 0;
    }
    __device__ __forceinline__ void skip(int units) { x += units * F::UNIT, xs += units * F::UNIT / 32, col += units * F::UNIT; }
};

/** Adds an item's products with those of m rows. With bfloat16 inputs weights are rounded likewise, as what they stand for: a row's scale included.
 * ld: the inputs of a row. */
template <class F, int IN, int N>
__device__ __forceinline__ void dot_item(const typename F::Part* p, const RowInputs<F, IN, N>& in, int m, int ld, float rowScale, float* sum) {
#pragma unroll
    for (int s = 0; s < F::SUBS; s++) {
        constexpr int STEP = F::SUBS == 1 ? 0 : 2 * F::SUB; // to the item's next run
        int at = s * STEP;
        if (F::PADS && (IN != IN_I8 || F::PLACE > 64) && in.col + at >= ld) break; // the next row's input
        if constexpr (IN == IN_I8 && F::PADS) {
            Kept w(p[s]);
            if (N > 1) {
                once(w.choice[0]), once(w.choice[1]);
                once(w.q.x), once(w.q.y), once(w.q.z), once(w.q.w);
            }
#pragma unroll
            for (int i = 0; i < N; i++) {
                if (N == 1 || i < m) sum[i] = w.dot(in.x + in.row[i] + at, in.xs + (in.row[i] >> 5) + s * STEP / 32, sum[i]);
            }
        } else if constexpr (IN == IN_I8) {
            Block b;
            F::unpack(p[s], s, b);
            if (N > 1) {
#pragma unroll
                for (int i = 0; i < 8; i++) once(b.q[i]);
            }
#pragma unroll
            for (int i = 0; i < N; i++) {
                if (N == 1 || i < m) sum[i] = dot_codes<F>(b, in.x + in.row[i] + at, in.xs + (in.row[i] >> 5) + s * STEP / 32, sum[i]);
            }
        } else {
            float w[F::SUB];
            values_of<F>(p[s], s, w);
            if constexpr (IN == IN_BF16) {
#pragma unroll
                for (int i = 0; i < F::SUB; i += 2) {
                    uint32_t two = F::ROW_SCALE ? two_bfloats(__fmul_rn(w[i], rowScale), __fmul_rn(w[i + 1], rowScale)) : two_bfloats(w[i], w[i + 1]);
                    w[i] = bfloat_bits(two), w[i + 1] = __uint_as_float(two & 0xffff0000);
                }
#pragma unroll
                for (int i = 0; i < N; i++) {
                    if (N == 1 || i < m) sum[i] = dot_bfloats<F>(w, in.x + in.row[i] + at, sum[i]);
                }
            } else {
#pragma unroll
                for (int i = 0; i < N; i++) {
                    if (N == 1 || i < m) sum[i] = dot_floats<F>(w, in.x + in.row[i] + at, sum[i]);
                }
            }
        }
    }
}
