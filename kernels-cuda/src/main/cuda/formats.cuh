// SPDX-License-Identifier: Apache-2.0
// One struct a format: where a placed weight keeps its bytes (KERNELS.md) and how 32 of its values are unpacked.
//
// A panel is planes of items; item = unit * P + row in panel, so the lanes of a warp read items side by side. UNIT values of a row make an item; SUBS
// parts of SUB values make a unit. A Part is what was loaded for one sub, untouched, so that loads can run ahead of unpacking.
#pragma once
#include "common.cuh"

/** 32 values: scale * (code - zero) + min, codes as bytes in order; scale1 is the second half's where a format has scales for 16. */
struct Block {
    uint32_t q[8];
    float scale, scale1, min;
    int zero;
};

constexpr uint32_t LOW = 0x0f0f0f0f;

__device__ __forceinline__ void nibbles(uint4 w, uint32_t* q) {
    q[0] = w.x & LOW, q[1] = w.y & LOW, q[2] = w.z & LOW, q[3] = w.w & LOW;
    q[4] = (w.x >> 4) & LOW, q[5] = (w.y >> 4) & LOW, q[6] = (w.z >> 4) & LOW, q[7] = (w.w >> 4) & LOW;
}
__device__ __forceinline__ void words(uint4 a, uint4 b, uint32_t* q) {
    q[0] = a.x, q[1] = a.y, q[2] = a.z, q[3] = a.w, q[4] = b.x, q[5] = b.y, q[6] = b.z, q[7] = b.w;
}
/** A fifth bit: bit i of byte b of h belongs to value 4 i + b (placed so). */
__device__ __forceinline__ void fifth(uint32_t h, uint32_t* q) {
#pragma unroll
    for (int i = 0; i < 8; i++) q[i] |= ((h >> i) & 0x01010101) << 4;
}

/** Sizes of a format; BYTES of an item, PLACE values that are placed together. */
template <int UNIT_, int SUBS_, int BYTES_, int PLACE_ = UNIT_> struct Layout {
    static constexpr int UNIT = UNIT_, SUBS = SUBS_, SUB = UNIT_ / SUBS_, BYTES = BYTES_, PLACE = PLACE_;
    static constexpr bool FLOAT = false, ZERO = false, MIN = false, HALVES = false, ROW_SCALE = false;
    static constexpr bool PADS = false; // whether a row's last unit may reach beyond its input
};

template <class F> __host__ __device__ int units_of(int cols) {
    constexpr int whole = F::PLACE; // a super-block is two units
    return ceil_div(cols, whole) * (whole / F::UNIT);
}
template <class F, int P> __host__ __device__ i64 panel_bytes(int units) {
    return ((i64) P * units * F::BYTES + (F::ROW_SCALE ? 4 * P : 0) + 127) & ~127ll;
}
template <class F> __device__ __forceinline__ float row_scale(const uint8_t* panel, int items, int row) {
    if constexpr (F::ROW_SCALE) return __uint_as_float(stream4(panel + (i64) items * F::BYTES + 4 * row));
    return 1.f;
}

__device__ __forceinline__ uint32_t raw16(const uint8_t* p) { return p[0] | p[1] << 8; }
__device__ __forceinline__ uint32_t raw32(const uint8_t* p) { return raw16(p) | raw16(p + 2) << 16; }
__device__ __forceinline__ void copy(uint8_t* to, const uint8_t* from, int n) {
    for (int i = 0; i < n; i++) to[i] = from[i];
}

// ---- floats

struct F_F32 : Layout<4, 1, 16> {
    static constexpr bool FLOAT = true;
    struct Part {
        uint4 v;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int, int item) { p->v = stream16(panel + item * 16ll); }
    static __device__ __forceinline__ void values(const Part& p, int, float* w) {
        w[0] = __uint_as_float(p.v.x), w[1] = __uint_as_float(p.v.y), w[2] = __uint_as_float(p.v.z), w[3] = __uint_as_float(p.v.w);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int, int, int item, int, int left) {
        copy(panel + item * 16ll, raw, 4 * min(4, left));
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 16ll * unit; }
};

template <bool BF> struct F_Half : Layout<8, 1, 16> {
    static constexpr bool FLOAT = true;
    struct Part {
        uint4 v;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int, int item) { p->v = stream16(panel + item * 16ll); }
    static __device__ __forceinline__ void values(const Part& p, int, float* w) {
        uint32_t v[4] = {p.v.x, p.v.y, p.v.z, p.v.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            w[2 * i] = BF ? bfloat_bits(v[i] & 0xffff) : half_bits(v[i] & 0xffff);
            w[2 * i + 1] = BF ? __uint_as_float(v[i] & 0xffff0000) : half_bits(v[i] >> 16);
        }
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int, int, int item, int, int left) {
        copy(panel + item * 16ll, raw, 2 * min(8, left));
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 16ll * unit; }
};
using F_F16 = F_Half<false>;
using F_BF16 = F_Half<true>;

// ---- GGUF's blocks of 32

struct F_Q8_0 : Layout<32, 1, 34> {
    struct Part {
        uint4 a, b;
        uint32_t d;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        p->a = stream16(panel + item * 16ll);
        p->b = stream16(panel + (items + item) * 16ll);
        p->d = stream2(panel + items * 32ll + item * 2ll);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        words(p.a, p.b, b.q);
        b.scale = half_bits(p.d);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int) {
        copy(panel + item * 16ll, raw + 2, 16);
        copy(panel + (items + item) * 16ll, raw + 18, 16);
        copy(panel + items * 32ll + item * 2ll, raw, 2);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 34ll * unit; }
};

/** Q4_0 and Q4_1: H bytes of scale and minimum, then 16 of nibbles. */
template <int H> struct F_Q4 : Layout<32, 1, 16 + H> {
    static constexpr bool ZERO = H == 2, MIN = H == 4;
    struct Part {
        uint4 v;
        uint32_t d;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        p->v = stream16(panel + item * 16ll);
        const uint8_t* d = panel + items * 16ll + item * (i64) H;
        p->d = H == 2 ? stream2(d) : stream4(d);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        nibbles(p.v, b.q);
        b.scale = half_bits(p.d & 0xffff);
        b.zero = 8;
        if (MIN) b.min = half_bits(p.d >> 16);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int) {
        copy(panel + item * 16ll, raw + H, 16);
        copy(panel + items * 16ll + item * (i64) H, raw, H);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (16ll + H) * unit; }
};
using F_Q4_0 = F_Q4<2>;
using F_Q4_1 = F_Q4<4>;

/** Q5_0 and Q5_1: as Q4 with a word of fifth bits between. */
template <int H> struct F_Q5 : Layout<32, 1, 20 + H> {
    static constexpr bool ZERO = H == 2, MIN = H == 4;
    struct Part {
        uint4 v;
        uint32_t high, d;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        p->v = stream16(panel + item * 16ll);
        p->high = stream4(panel + items * 16ll + item * 4ll);
        const uint8_t* d = panel + items * 20ll + item * (i64) H;
        p->d = H == 2 ? stream2(d) : stream4(d);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        nibbles(p.v, b.q);
        fifth(p.high, b.q);
        b.scale = half_bits(p.d & 0xffff);
        b.zero = 16;
        if (MIN) b.min = half_bits(p.d >> 16);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int) {
        copy(panel + item * 16ll, raw + H + 4, 16);
        uint32_t in = raw32(raw + H), high = 0;
        for (int i = 0; i < 32; i++) high |= ((in >> i) & 1) << (8 * (i & 3) + (i >> 2));
        *reinterpret_cast<uint32_t*>(panel + items * 16ll + item * 4ll) = high;
        copy(panel + items * 20ll + item * (i64) H, raw, H);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (20ll + H) * unit; }
};
using F_Q5_0 = F_Q5<2>;
using F_Q5_1 = F_Q5<4>;

// ---- GGUF's super-blocks of 256: an item is one half, the header of both is read by two lanes of the same request

/** Q4_K and Q5_K. Placed: four pieces of nibbles (as in Q4_0), for Q5_K a piece of fifth bits, then the headers of 16 bytes. */
template <bool FIVE> struct F_Q45K : Layout<128, 4, FIVE ? 88 : 72, 256> {
    static constexpr bool MIN = true;
    static constexpr int LOWS = 64, HEADER = FIVE ? 80 : 64;
    struct Part {
        uint4 v, header;
        uint32_t high, second;
    };
    template <int P> static __device__ __forceinline__ uint4 header(const uint8_t* panel, int items, int item) {
        return stream16(panel + (i64) items * HEADER + ((item / P >> 1) * P + item % P) * 16ll);
    }
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        uint4 head = header<P>(panel, items, item), high = {0, 0, 0, 0};
        if (FIVE) high = stream16(panel + items * (i64) LOWS + item * 16ll);
        uint32_t highs[4] = {high.x, high.y, high.z, high.w};
#pragma unroll
        for (int s = 0; s < 4; s++) {
            p[s].v = stream16(panel + (s * (i64) items + item) * 16);
            p[s].header = head, p[s].high = highs[s], p[s].second = item / P & 1;
        }
    }
    template <int P> static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, int item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.header = header<P>(panel, items, item);
        p.high = FIVE ? stream4(panel + items * (i64) LOWS + item * 16ll + 4 * s) : 0;
        p.second = item / P & 1;
    }
    /** Six bits each of scale and minimum, the upper two of sub-blocks 4 to 7 above those of 0 to 3. */
    static __device__ __forceinline__ void unpack(const Part& p, int s, Block& b) {
        nibbles(p.v, b.q);
        if (FIVE) fifth(p.high, b.q);
        uint32_t y = p.header.y >> 8 * s, z = p.header.z >> 8 * s, w = p.header.w >> 8 * s;
        uint32_t scale = p.second ? (w & 15) | (y & 0xc0) >> 2 : y & 63;
        uint32_t min = p.second ? (w >> 4 & 15) | (z & 0xc0) >> 2 : z & 63;
        b.scale = half_bits(p.header.x & 0xffff) * (float) scale;
        b.min = -(half_bits(p.header.x >> 16) * (float) min);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int, int) {
        for (int half = 0; half < 2; half++) {
            i64 at = item + half * P;
            for (int s = 0; s < 4; s++) {
                int j = 4 * half + s;
                const uint8_t* low = raw + (FIVE ? 48 : 16) + 32 * (j >> 1);
                int shift = 4 * (j & 1);
                for (int i = 0; i < 16; i++) {
                    panel[(s * (i64) items + at) * 16 + i] = (low[i] >> shift & 15) | (low[i + 16] >> shift & 15) << 4;
                }
                if (FIVE) {
                    uint32_t high = 0;
                    for (int i = 0; i < 32; i++) high |= (uint32_t) (raw[16 + i] >> j & 1) << (8 * (i & 3) + (i >> 2));
                    *reinterpret_cast<uint32_t*>(panel + items * (i64) LOWS + at * 16 + 4 * s) = high;
                }
            }
        }
        copy(panel + (i64) items * HEADER + ((item / P >> 1) * P + item % P) * 16ll, raw, 16);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (FIVE ? 176ll : 144ll) * (unit >> 1); }
};
using F_Q4_K = F_Q45K<false>;
using F_Q5_K = F_Q45K<true>;

/** Placed: four pieces of nibbles, two of upper bits (8 bytes a sub), 8 scales, the super-blocks' halves. */
struct F_Q6_K : Layout<128, 4, 105, 256> {
    static constexpr bool HALVES = true;
    struct Part {
        uint4 v;
        uint2 high;
        uint32_t scales, d;
    };
    template <int P> static __device__ __forceinline__ uint32_t d(const uint8_t* panel, int items, int item) {
        return stream2(panel + items * 104ll + ((item / P >> 1) * P + item % P) * 2ll);
    }
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        uint4 h0 = stream16(panel + items * 64ll + item * 16ll), h1 = stream16(panel + items * 80ll + item * 16ll);
        uint2 highs[4] = {{h0.x, h0.y}, {h0.z, h0.w}, {h1.x, h1.y}, {h1.z, h1.w}};
        uint2 scales = stream8(panel + items * 96ll + item * 8ll);
        uint32_t own = d<P>(panel, items, item);
#pragma unroll
        for (int s = 0; s < 4; s++) {
            p[s].v = stream16(panel + (s * (i64) items + item) * 16);
            p[s].high = highs[s], p[s].d = own, p[s].scales = (s < 2 ? scales.x : scales.y) >> 16 * (s & 1);
        }
    }
    template <int P> static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, int item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.high = stream8(panel + items * (s < 2 ? 64ll : 80ll) + item * 16ll + 8 * (s & 1));
        p.scales = stream2(panel + items * 96ll + item * 8ll + 2 * s);
        p.d = d<P>(panel, items, item);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        nibbles(p.v, b.q);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t q = b.q[i] | ((i < 4 ? p.high.x : p.high.y) >> 2 * (i & 3) & 0x03030303) << 4;
            b.q[i] = ((q | 0x80808080) - 0x20202020) ^ 0x80808080; // each byte less 32: the halves' scales differ, so no zero point behind the sum
        }
        float d = half_bits(p.d);
        b.scale = d * (float) (int8_t) p.scales;
        b.scale1 = d * (float) (int8_t) (p.scales >> 8);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int, int) {
        for (int half = 0; half < 2; half++) {
            i64 at = item + half * P;
            for (int s = 0; s < 4; s++) {
                const uint8_t* low = raw + 64 * half + 32 * (s & 1);
                int shift = 4 * (s >> 1);
                for (int i = 0; i < 16; i++) {
                    panel[(s * (i64) items + at) * 16 + i] = (low[i] >> shift & 15) | (low[i + 16] >> shift & 15) << 4;
                }
                uint32_t high[2] = {0, 0};
                for (int i = 0; i < 32; i++) {
                    high[i >> 4] |= (uint32_t) (raw[128 + 32 * half + i] >> 2 * s & 3) << (8 * (i & 3) + 2 * (i >> 2 & 3));
                }
                uint32_t* to = reinterpret_cast<uint32_t*>(panel + items * (s < 2 ? 64ll : 80ll) + at * 16 + 8 * (s & 1));
                to[0] = high[0], to[1] = high[1];
            }
            copy(panel + items * 96ll + at * 8, raw + 192 + 8 * half, 8);
        }
        copy(panel + items * 104ll + ((item / P >> 1) * P + item % P) * 2ll, raw + 208, 2);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 210ll * (unit >> 1); }
};

// ---- integers with single-precision scales

struct F_I8_ROW : Layout<32, 1, 32> {
    static constexpr bool ROW_SCALE = true;
    struct Part {
        uint4 a, b;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        p->a = stream16(panel + item * 16ll);
        p->b = stream16(panel + (items + item) * 16ll);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        words(p.a, p.b, b.q);
        b.scale = 1.f; // the row's follows behind the sum
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int left) {
        copy(panel + item * 16ll, raw + 4, min(16, left));
        copy(panel + (items + item) * 16ll, raw + 20, max(0, min(16, left - 16)));
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 32ll * unit; }
};

/** Groups of G: a scale, a zero point, the codes. */
template <int G> struct F_I8_GROUP : Layout<G, G / 32, G + 5> {
    static constexpr bool ZERO = true;
    static constexpr int SUBS = G / 32;
    struct Part {
        uint4 a, b;
        uint32_t d;
        int zero;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        uint32_t d = stream4(panel + (i64) items * G + item * 4ll);
        int zero = stream1(panel + (i64) items * (G + 4) + item);
#pragma unroll
        for (int s = 0; s < SUBS; s++) {
            p[s].a = stream16(panel + (2 * s * (i64) items + item) * 16);
            p[s].b = stream16(panel + ((2 * s + 1) * (i64) items + item) * 16);
            p[s].d = d, p[s].zero = zero;
        }
    }
    template <int P> static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, int item, int s) {
        p.a = stream16(panel + (2 * s * (i64) items + item) * 16);
        p.b = stream16(panel + ((2 * s + 1) * (i64) items + item) * 16);
        p.d = stream4(panel + (i64) items * G + item * 4ll);
        p.zero = stream1(panel + (i64) items * (G + 4) + item);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        words(p.a, p.b, b.q);
        b.scale = __uint_as_float(p.d);
        b.zero = p.zero;
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int) {
        for (int s = 0; s < 2 * SUBS; s++) copy(panel + (s * (i64) items + item) * 16, raw + 5 + 16 * s, 16);
        copy(panel + (i64) items * G + item * 4ll, raw, 4);
        panel[(i64) items * (G + 4) + item] = raw[4];
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (G + 5ll) * unit; }
};

template <int G> struct F_I4_GROUP : Layout<G, G / 32, G / 2 + 5> {
    static constexpr bool ZERO = true;
    static constexpr int SUBS = G / 32;
    struct Part {
        uint4 v;
        uint32_t d;
        int zero;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        uint32_t d = stream4(panel + (i64) items * (G / 2) + item * 4ll);
        int zero = stream1(panel + (i64) items * (G / 2 + 4) + item);
#pragma unroll
        for (int s = 0; s < SUBS; s++) {
            p[s].v = stream16(panel + (s * (i64) items + item) * 16);
            p[s].d = d, p[s].zero = zero;
        }
    }
    template <int P> static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, int item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.d = stream4(panel + (i64) items * (G / 2) + item * 4ll);
        p.zero = stream1(panel + (i64) items * (G / 2 + 4) + item);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        nibbles(p.v, b.q);
        b.scale = __uint_as_float(p.d);
        b.zero = p.zero;
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int) {
        for (int s = 0; s < SUBS; s++) copy(panel + (s * (i64) items + item) * 16, raw + 5 + 16 * s, 16);
        copy(panel + (i64) items * (G / 2) + item * 4ll, raw, 4);
        panel[(i64) items * (G / 2 + 4) + item] = raw[4];
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (G / 2 + 5ll) * unit; }
};
using F_I8_GROUP_32 = F_I8_GROUP<32>;
using F_I8_GROUP_64 = F_I8_GROUP<64>;
using F_I8_GROUP_128 = F_I8_GROUP<128>;
using F_I4_GROUP_32 = F_I4_GROUP<32>;
using F_I4_GROUP_64 = F_I4_GROUP<64>;
using F_I4_GROUP_128 = F_I4_GROUP<128>;

// ---- 2:4: the bit mask becomes mma.sp's metadata when placed: a nibble for each four weights, first kept place | second << 2

/** Metadata of 32 weights from their mask; what is not two of four is taken as the file's reader took it: legal. */
__device__ __forceinline__ uint32_t metadata(uint32_t mask) {
    uint32_t meta = 0;
    for (int g = 0; g < 8; g++) {
        uint32_t m = mask >> 4 * g & 15;
        meta |= (uint32_t) ((__ffs(m) - 1) & 3 | (31 - __clz(m)) << 2 & 12) << 4 * g;
    }
    return meta;
}
/** How many of the values that are kept of 32 lie before column `left`: what the file keeps beyond the row's end is nobody's. */
__device__ __forceinline__ int kept_before(uint32_t mask, int left) {
    return left >= 32 ? 16 : left <= 0 ? 0 : min(16, __popc(mask & ((1u << left) - 1)));
}
/** Two kept bytes at their places among four. */
__device__ __forceinline__ uint32_t spread(uint32_t first, uint32_t second, uint32_t nibble) {
    return (first & 0xff) << 8 * (nibble & 3) | (second & 0xff) << 8 * (nibble >> 2 & 3);
}

struct F_I8_24 : Layout<64, 2, 40> {
    static constexpr bool ROW_SCALE = true, PADS = true;
    struct Part {
        uint4 v;
        uint32_t meta;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        uint2 meta = stream8(panel + items * 32ll + item * 8ll);
        p[0].v = stream16(panel + item * 16ll), p[0].meta = meta.x;
        p[1].v = stream16(panel + (items + item) * 16ll), p[1].meta = meta.y;
    }
    template <int P> static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, int item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.meta = stream4(panel + items * 32ll + item * 8ll + 4 * s);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        uint32_t v[4] = {p.v.x, p.v.y, p.v.z, p.v.w};
#pragma unroll
        for (int i = 0; i < 8; i++) b.q[i] = spread(v[i >> 1] >> 16 * (i & 1), v[i >> 1] >> (16 * (i & 1) + 8), p.meta >> 4 * i);
        b.scale = 1.f;
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int left) {
        const uint8_t* block = raw + 4;
        uint32_t* meta = reinterpret_cast<uint32_t*>(panel + items * 32ll + item * 8ll);
        for (int s = 0; s < 2; s++) {
            uint32_t mask = raw32(block + 4 * s);
            meta[s] = metadata(mask);
            copy(panel + (s * (i64) items + item) * 16, block + 8 + 16 * s, kept_before(mask, left - 32 * s)); // the rest is zero
        }
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 40ll * unit; }
};

template <int G> struct F_I4_24 : Layout<G, G / 32, 4 + G / 8 + G / 4> {
    static constexpr bool PADS = true;
    static constexpr int SUBS = G / 32;
    struct Part {
        uint2 v;
        uint32_t meta, d;
    };
    template <int P> static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, int item) {
        uint4 v[SUBS / 2];
        uint32_t meta[SUBS];
#pragma unroll
        for (int i = 0; i < SUBS / 2; i++) v[i] = stream16(panel + (i * (i64) items + item) * 16);
        const uint8_t* m = panel + (i64) items * (G / 4) + (i64) item * (G / 8);
        if (G == 128) {
            uint4 w = stream16(m);
            meta[0] = w.x, meta[1] = w.y, meta[SUBS - 2] = w.z, meta[SUBS - 1] = w.w;
        } else {
            uint2 w = stream8(m);
            meta[0] = w.x, meta[1] = w.y;
        }
        uint32_t d = stream4(panel + (i64) items * (G / 4 + G / 8) + item * 4ll);
#pragma unroll
        for (int s = 0; s < SUBS; s++) {
            p[s].v = s & 1 ? uint2{v[s / 2].z, v[s / 2].w} : uint2{v[s / 2].x, v[s / 2].y};
            p[s].meta = meta[s], p[s].d = d;
        }
    }
    template <int P> static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, int item, int s) {
        p.v = stream8(panel + ((s >> 1) * (i64) items + item) * 16 + 8 * (s & 1));
        p.meta = stream4(panel + (i64) items * (G / 4) + (i64) item * (G / 8) + 4 * s);
        p.d = stream4(panel + (i64) items * (G / 4 + G / 8) + item * 4ll);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t pair = (i < 4 ? p.v.x : p.v.y) >> 8 * (i & 3);
            b.q[i] = spread((pair & 15) - 8, (pair >> 4 & 15) - 8, p.meta >> 4 * i);
        }
        b.scale = __uint_as_float(p.d);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int, int item, int, int left) {
        for (int s = 0; s < SUBS; s++) {
            uint32_t mask = raw32(raw + 4 + 4 * s);
            *reinterpret_cast<uint32_t*>(panel + (i64) items * (G / 4) + (i64) item * (G / 8) + 4 * s) = metadata(mask);
            uint8_t* to = panel + ((s >> 1) * (i64) items + item) * 16 + 8 * (s & 1);
            int n = kept_before(mask, left - 32 * s);
            for (int i = 0; i < 8; i++) {
                uint8_t pair = raw[4 + G / 8 + 8 * s + i];
                to[i] = 2 * i + 1 < n ? pair : 2 * i < n ? (pair & 15) | 0x80 : 0x88; // 8 stands for zero
            }
        }
        copy(panel + (i64) items * (G / 4 + G / 8) + item * 4ll, raw, 4);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (4ll + G / 8 + G / 4) * unit; }
};
using F_I4_24_64 = F_I4_24<64>;
using F_I4_24_128 = F_I4_24<128>;

/** Sixteen kept bytes of 32 columns. */
__device__ __forceinline__ uint4 kept(const F_I8_24::Part& p) { return p.v; }
template <class P> __device__ __forceinline__ uint4 kept(const P& p) {
    uint32_t q[4];
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint32_t v = i ? p.v.y : p.v.x, even = v & LOW, odd = v >> 4 & LOW;
        q[2 * i] = __byte_perm(even, odd, 0x5140), q[2 * i + 1] = __byte_perm(even, odd, 0x7362);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) q[i] = ((q[i] | 0x80808080) - 0x08080808) ^ 0x80808080;
    return {q[0], q[1], q[2], q[3]};
}
__device__ __forceinline__ float scale_of(const F_I8_24::Part&) { return 1.f; }
template <class P> __device__ __forceinline__ float scale_of(const P& p) { return __uint_as_float(p.d); }

// ---- what follows from them

/** One sub of an item, for kernels that do not want the whole unit. */
template <class F, int P> __device__ __forceinline__ void load_sub(typename F::Part& p, const uint8_t* panel, int items, int item, int s) {
    if constexpr (F::SUBS == 1) F::template load<P>(&p, panel, items, item);
    else F::template load32<P>(p, panel, items, item, s);
}

/** The SUB values of a part, as the reference codec gives them (without a row's scale). */
template <class F> __device__ __forceinline__ void values_of(const typename F::Part& p, int s, float* w) {
    if constexpr (F::FLOAT) {
        F::values(p, s, w);
    } else {
        Block b;
        F::unpack(p, s, b);
        // a byte in the low bits of 2^23 is a float without a conversion
        float bias = 8388736.f + (F::ZERO ? (float) b.zero : 0.f);
#pragma unroll
        for (int i = 0; i < 32; i++) {
            float q = __uint_as_float(__byte_perm(b.q[i >> 2] ^ 0x80808080, 0x4b000000, 0x7440 | (i & 3))) - bias;
            float scale = F::HALVES && i >= 16 ? b.scale1 : b.scale;
            w[i] = F::MIN ? __fmaf_rn(scale, q, b.min) : __fmul_rn(scale, q);
        }
    }
}
