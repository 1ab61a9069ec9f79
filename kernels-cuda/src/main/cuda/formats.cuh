// SPDX-License-Identifier: Apache-2.0
// One struct a format: where a placed weight keeps its bytes (KERNELS.md) and how 32 of its values are unpacked.
//
// A panel is planes of items; item = unit * P + row in panel, so the lanes of a warp read items side by side. UNIT values of a row make an item; SUBS
// parts of SUB values make a unit. Units 2 i and 2 i + 1 are a pair, which two half-warps hold; the pair's columns go to them in turn, RUN at a time, so
// that the inputs of both are neighbours. A Part is what was loaded for one sub, untouched, so that loads can run ahead of unpacking.
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

/** Sizes of a format; BYTES of PLACE values, which are placed together: an item or a pair. */
template <int UNIT_, int SUBS_, int BYTES_, int PLACE_ = UNIT_, int RUN_ = 32> struct Layout {
    static constexpr int UNIT = UNIT_, SUBS = SUBS_, SUB = UNIT_ / SUBS_, BYTES = BYTES_, PLACE = PLACE_, RUN = RUN_;
    static_assert(UNIT == RUN || PLACE == 2 * UNIT, "a row is whole pairs");
    static constexpr bool FLOAT = false, ZERO = false, MIN = false, HALVES = false, ROW_SCALE = false;
    static constexpr bool PADS = false; // whether a row's last unit may reach beyond its input
};

template <class F> __host__ __device__ int units_of(int cols) {
    return ceil_div(cols, F::PLACE) * (F::PLACE / F::UNIT);
}
template <class F> __host__ __device__ i64 item_bytes(int items) { return (i64) (items / (F::PLACE / F::UNIT)) * F::BYTES; }
template <class F, int P> __host__ __device__ i64 panel_bytes(int units) {
    return ((i64) P * (units / (F::PLACE / F::UNIT)) * F::BYTES + (F::ROW_SCALE ? 4 * P : 0) + 127) & ~127ll;
}
template <class F> __device__ __forceinline__ float row_scale(const uint8_t* panel, int items, int row) {
    if constexpr (F::ROW_SCALE) return __uint_as_float(stream4(panel + item_bytes<F>(items) + 4 * row));
    return 1.f;
}

/** Where a column of a row is: its unit's number * UNIT + its number in there. */
template <class F> __host__ __device__ constexpr int place_of(int col) {
    constexpr int U = F::UNIT, R = F::RUN;
    return U == R ? col : (col & ~(2 * U - 1)) | (col & R ? U : 0) | (col & 2 * U - 2 * R) >> 1 | (col & R - 1);
}
/** The column that is there. */
template <class F> __host__ __device__ constexpr int column_of(int place) {
    constexpr int U = F::UNIT, R = F::RUN;
    return U == R ? place : (place & ~(2 * U - 1)) | (place & U ? R : 0) | (place & U - R) << 1 | (place & R - 1);
}
/** The first column of a unit. */
template <class F> __device__ __forceinline__ int first_column(int unit) {
    return F::UNIT == F::RUN ? unit * F::UNIT : (unit >> 1) * (2 * F::UNIT) + (unit & 1) * F::RUN;
}

/** A row's item of a unit in panels of P rows. */
struct Item {
    int at;     // among the panel's
    int header; // of its pair, where a pair has one
    int second; // whether it is the pair's second

    __device__ __forceinline__ Item(int unit, int row, int P) : at(unit * P + row), header((unit >> 1) * P + row), second(unit & 1) {}
    __device__ __forceinline__ operator int() const { return at; }
    /** To the one that is so many items, whole pairs, further. */
    __device__ __forceinline__ void skip(int items) { at += items, header += items / 2; }
};

__device__ __forceinline__ uint32_t raw16(const uint8_t* p) { return p[0] | p[1] << 8; }
__device__ __forceinline__ uint32_t raw32(const uint8_t* p) { return raw16(p) | raw16(p + 2) << 16; }
__device__ __forceinline__ void copy(uint8_t* to, const uint8_t* from, int n) {
    for (int i = 0; i < n; i++) to[i] = from[i];
}

// ---- floats

struct F_F32 : Layout<4, 1, 16, 4, 4> {
    static constexpr bool FLOAT = true;
    struct Part {
        uint4 v;
    };
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int, Item item) { p->v = stream16(panel + item * 16ll); }
    static __device__ __forceinline__ void values(const Part& p, int, float* w) {
        w[0] = __uint_as_float(p.v.x), w[1] = __uint_as_float(p.v.y), w[2] = __uint_as_float(p.v.z), w[3] = __uint_as_float(p.v.w);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int, int, int item, int, int left) {
        copy(panel + item * 16ll, raw, 4 * min(4, left));
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 16ll * unit; }
};

template <bool BF> struct F_Half : Layout<8, 1, 32, 16, 4> {
    static constexpr bool FLOAT = true;
    struct Part {
        uint4 v;
    };
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int, Item item) { p->v = stream16(panel + item * 16ll); }
    static __device__ __forceinline__ void values(const Part& p, int, float* w) {
        uint32_t v[4] = {p.v.x, p.v.y, p.v.z, p.v.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            w[2 * i] = BF ? bfloat_bits(v[i] & 0xffff) : half_bits(v[i] & 0xffff);
            w[2 * i + 1] = BF ? __uint_as_float(v[i] & 0xffff0000) : half_bits(v[i] >> 16);
        }
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int, int P, int item, int, int left) {
        for (int run = 0; run < 4 && left > 4 * run; run++) {
            copy(panel + (item + (run & 1) * P) * 16ll + 8 * (run >> 1), raw + 8 * run, 2 * min(4, left - 4 * run));
        }
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
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
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
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
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
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
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

// ---- GGUF's super-blocks of 256: an item has every second block, the header of both is read by two lanes of the same request

/** Q4_K and Q5_K. Placed: four pieces of nibbles (as in Q4_0), for Q5_K a piece of fifth bits, then the headers of 16 bytes. */
template <bool FIVE> struct F_Q45K : Layout<128, 4, FIVE ? 176 : 144, 256> {
    static constexpr bool MIN = true;
    static constexpr int LOWS = 64, HEADER = FIVE ? 80 : 64;
    struct Part {
        uint4 v, header;
        uint32_t high, second;
    };
    static __device__ __forceinline__ uint4 header(const uint8_t* panel, int items, Item item) {
        return stream16(panel + (i64) items * HEADER + item.header * 16ll);
    }
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
        uint4 head = header(panel, items, item), high = {0, 0, 0, 0};
        if (FIVE) high = stream16(panel + items * (i64) LOWS + item * 16ll);
        uint32_t highs[4] = {high.x, high.y, high.z, high.w};
#pragma unroll
        for (int s = 0; s < 4; s++) {
            p[s].v = stream16(panel + (s * (i64) items + item) * 16);
            p[s].header = head, p[s].high = highs[s], p[s].second = item.second;
        }
    }
    static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, Item item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.header = header(panel, items, item);
        p.high = FIVE ? stream4(panel + items * (i64) LOWS + item * 16ll + 4 * s) : 0;
        p.second = item.second;
    }
    /** Six bits each of scale and minimum, the upper two of sub-blocks 4 to 7 above those of 0 to 3. */
    static __device__ __forceinline__ void unpack(const Part& p, int s, Block& b) {
        nibbles(p.v, b.q);
        if (FIVE) fifth(p.high, b.q);
        int own = 8 * p.second, next = 16 * (s & 1); // sub-block 2 s + second
        uint32_t y = p.header.y >> own >> next, z = p.header.z >> own >> next, w = p.header.w >> own >> next;
        uint32_t scale = s < 2 ? y & 63 : (w & 15) | (y & 0xc0) >> 2;
        uint32_t min = s < 2 ? z & 63 : (w >> 4 & 15) | (z & 0xc0) >> 2;
        b.scale = half_bits(p.header.x & 0xffff) * (float) scale;
        b.min = -(half_bits(p.header.x >> 16) * (float) min);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int unit, int) {
        for (int half = 0; half < 2; half++) {
            i64 at = item + half * P;
            for (int s = 0; s < 4; s++) {
                int j = 2 * s + half;
                const uint8_t* low = raw + (FIVE ? 48 : 16) + 32 * s;
                int shift = 4 * half;
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
        copy(panel + (i64) items * HEADER + (item - unit / 2 * P) * 16ll, raw, 16);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (FIVE ? 176ll : 144ll) * (unit >> 1); }
};
using F_Q4_K = F_Q45K<false>;
using F_Q5_K = F_Q45K<true>;

/** Placed: four pieces of nibbles, two of upper bits (8 bytes a sub), 8 scales, the super-blocks' halves. */
struct F_Q6_K : Layout<128, 4, 210, 256> {
    static constexpr bool HALVES = true;
    struct Part {
        uint4 v;
        uint2 high;
        uint32_t scales, d;
    };
    static __device__ __forceinline__ uint32_t d(const uint8_t* panel, int items, Item item) {
        return stream2(panel + items * 104ll + item.header * 2ll);
    }
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
        uint4 h0 = stream16(panel + items * 64ll + item * 16ll), h1 = stream16(panel + items * 80ll + item * 16ll);
        uint2 highs[4] = {{h0.x, h0.y}, {h0.z, h0.w}, {h1.x, h1.y}, {h1.z, h1.w}};
        uint2 scales = stream8(panel + items * 96ll + item * 8ll);
        uint32_t own = d(panel, items, item);
#pragma unroll
        for (int s = 0; s < 4; s++) {
            p[s].v = stream16(panel + (s * (i64) items + item) * 16);
            p[s].high = highs[s], p[s].d = own, p[s].scales = (s < 2 ? scales.x : scales.y) >> 16 * (s & 1);
        }
    }
    static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, Item item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.high = stream8(panel + items * (s < 2 ? 64ll : 80ll) + item * 16ll + 8 * (s & 1));
        p.scales = stream2(panel + items * 96ll + item * 8ll + 2 * s);
        p.d = d(panel, items, item);
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
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int unit, int) {
        for (int half = 0; half < 2; half++) {
            i64 at = item + half * P;
            for (int s = 0; s < 4; s++) {
                int block = 2 * s + half, within = block & 3, of = block >> 2;
                const uint8_t* low = raw + 64 * of + 32 * (within & 1);
                int shift = 4 * (within >> 1);
                for (int i = 0; i < 16; i++) {
                    panel[(s * (i64) items + at) * 16 + i] = (low[i] >> shift & 15) | (low[i + 16] >> shift & 15) << 4;
                }
                uint32_t high[2] = {0, 0};
                for (int i = 0; i < 32; i++) {
                    high[i >> 4] |= (uint32_t) (raw[128 + 32 * of + i] >> 2 * within & 3) << (8 * (i & 3) + 2 * (i >> 2 & 3));
                }
                uint32_t* to = reinterpret_cast<uint32_t*>(panel + items * (s < 2 ? 64ll : 80ll) + at * 16 + 8 * (s & 1));
                to[0] = high[0], to[1] = high[1];
                copy(panel + items * 96ll + at * 8 + 2 * s, raw + 192 + 2 * block, 2);
            }
        }
        copy(panel + items * 104ll + (item - unit / 2 * P) * 2ll, raw + 208, 2);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 210ll * (unit >> 1); }
};

// ---- integers with single-precision scales

struct F_I8_ROW : Layout<32, 1, 32> {
    static constexpr bool ROW_SCALE = true;
    struct Part {
        uint4 a, b;
    };
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
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

/** What a group's scale and zero point are read by: its item, or both of a pair, which have every second 32 of a group of 64 or more. */
template <int G> __device__ __forceinline__ int group_of(Item item) { return G > 32 ? item.header : item.at; }
constexpr int group_unit(int g) { return g > 32 ? g / 2 : g; }

/** Groups of G: a scale, a zero point, the codes. */
template <int G> struct F_I8_GROUP : Layout<group_unit(G), group_unit(G) / 32, G + 5, G> {
    static constexpr bool ZERO = true;
    static constexpr int UNIT = group_unit(G), SUBS = UNIT / 32, ITEMS = G / UNIT;
    struct Part {
        uint4 a, b;
        uint32_t d;
        int zero;
    };
    static __device__ __forceinline__ uint32_t scale(const uint8_t* panel, int items, Item item) {
        return stream4(panel + (i64) items * UNIT + group_of<G>(item) * 4ll);
    }
    static __device__ __forceinline__ int zero_point(const uint8_t* panel, int items, Item item) {
        return stream1(panel + (i64) items * (UNIT + 4 / ITEMS) + group_of<G>(item));
    }
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
        uint32_t d = scale(panel, items, item);
        int zero = zero_point(panel, items, item);
#pragma unroll
        for (int s = 0; s < SUBS; s++) {
            p[s].a = stream16(panel + (2 * s * (i64) items + item) * 16);
            p[s].b = stream16(panel + ((2 * s + 1) * (i64) items + item) * 16);
            p[s].d = d, p[s].zero = zero;
        }
    }
    static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, Item item, int s) {
        p.a = stream16(panel + (2 * s * (i64) items + item) * 16);
        p.b = stream16(panel + ((2 * s + 1) * (i64) items + item) * 16);
        p.d = scale(panel, items, item);
        p.zero = zero_point(panel, items, item);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        words(p.a, p.b, b.q);
        b.scale = __uint_as_float(p.d);
        b.zero = p.zero;
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int unit, int) {
        for (int block = 0; block < G / 32; block++) {
            i64 at = item + block % ITEMS * P;
            int plane = 2 * (block / ITEMS);
            copy(panel + (plane * (i64) items + at) * 16, raw + 5 + 32 * block, 16);
            copy(panel + ((plane + 1) * (i64) items + at) * 16, raw + 21 + 32 * block, 16);
        }
        int group = G > 32 ? item - unit / 2 * P : item;
        copy(panel + (i64) items * UNIT + group * 4ll, raw, 4);
        panel[(i64) items * (UNIT + 4 / ITEMS) + group] = raw[4];
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (G + 5ll) * (unit / ITEMS); }
};

template <int G> struct F_I4_GROUP : Layout<group_unit(G), group_unit(G) / 32, G / 2 + 5, G> {
    static constexpr bool ZERO = true;
    static constexpr int UNIT = group_unit(G), SUBS = UNIT / 32, ITEMS = G / UNIT;
    struct Part {
        uint4 v;
        uint32_t d;
        int zero;
    };
    static __device__ __forceinline__ uint32_t scale(const uint8_t* panel, int items, Item item) {
        return stream4(panel + (i64) items * (UNIT / 2) + group_of<G>(item) * 4ll);
    }
    static __device__ __forceinline__ int zero_point(const uint8_t* panel, int items, Item item) {
        return stream1(panel + (i64) items * (UNIT / 2 + 4 / ITEMS) + group_of<G>(item));
    }
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
        uint32_t d = scale(panel, items, item);
        int zero = zero_point(panel, items, item);
#pragma unroll
        for (int s = 0; s < SUBS; s++) {
            p[s].v = stream16(panel + (s * (i64) items + item) * 16);
            p[s].d = d, p[s].zero = zero;
        }
    }
    static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, Item item, int s) {
        p.v = stream16(panel + (s * (i64) items + item) * 16);
        p.d = scale(panel, items, item);
        p.zero = zero_point(panel, items, item);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        nibbles(p.v, b.q);
        b.scale = __uint_as_float(p.d);
        b.zero = p.zero;
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int unit, int) {
        for (int block = 0; block < G / 32; block++) {
            copy(panel + (block / ITEMS * (i64) items + item + block % ITEMS * P) * 16, raw + 5 + 16 * block, 16);
        }
        int group = G > 32 ? item - unit / 2 * P : item;
        copy(panel + (i64) items * (UNIT / 2) + group * 4ll, raw, 4);
        panel[(i64) items * (UNIT / 2 + 4 / ITEMS) + group] = raw[4];
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (G / 2 + 5ll) * (unit / ITEMS); }
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

struct F_I8_24 : Layout<32, 1, 40, 64> {
    static constexpr bool ROW_SCALE = true, PADS = true;
    struct Part {
        uint4 v;
        uint32_t meta;
    };
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
        p->v = stream16(panel + item * 16ll);
        p->meta = stream4(panel + items * 16ll + item * 4ll);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
        uint32_t v[4] = {p.v.x, p.v.y, p.v.z, p.v.w};
#pragma unroll
        for (int i = 0; i < 8; i++) b.q[i] = spread(v[i >> 1] >> 16 * (i & 1), v[i >> 1] >> (16 * (i & 1) + 8), p.meta >> 4 * i);
        b.scale = 1.f;
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int, int left) {
        const uint8_t* block = raw + 4;
        for (int i = 0; i < 2; i++) {
            i64 at = item + i * P;
            uint32_t mask = raw32(block + 4 * i);
            *reinterpret_cast<uint32_t*>(panel + items * 16ll + at * 4) = metadata(mask);
            copy(panel + at * 16, block + 8 + 16 * i, kept_before(mask, left - 32 * i)); // the rest is zero
        }
    }
    static __host__ __device__ i64 raw_offset(int unit) { return 40ll * (unit / 2); }
};

/** An item has every second 32 of a group; the group's scale is read by both of the pair. */
template <int G> struct F_I4_24 : Layout<G / 2, G / 64, 4 + G / 8 + G / 4, G> {
    static constexpr bool PADS = true;
    static constexpr int SUBS = G / 64;
    static constexpr int KEPT = 8 * SUBS, MASKS = 4 * SUBS; // bytes of an item
    struct Part {
        uint2 v;
        uint32_t meta, d;
    };
    static __device__ __forceinline__ uint32_t scale(const uint8_t* panel, int items, Item item) {
        return stream4(panel + (i64) items * (KEPT + MASKS) + item.header * 4ll);
    }
    static __device__ __forceinline__ void load(Part* p, const uint8_t* panel, int items, Item item) {
        if constexpr (SUBS == 1) {
            p->v = stream8(panel + item * 8ll);
            p->meta = stream4(panel + items * 8ll + item * 4ll);
            p->d = scale(panel, items, item);
        } else {
            uint4 v = stream16(panel + item * 16ll);
            uint2 meta = stream8(panel + items * 16ll + item * 8ll);
            uint32_t d = scale(panel, items, item);
            p[0].v = {v.x, v.y}, p[0].meta = meta.x, p[0].d = d;
            p[1].v = {v.z, v.w}, p[1].meta = meta.y, p[1].d = d;
        }
    }
    static __device__ __forceinline__ void load32(Part& p, const uint8_t* panel, int items, Item item, int s) {
        p.v = stream8(panel + item * (i64) KEPT + 8 * s);
        p.meta = stream4(panel + (i64) items * KEPT + item * (i64) MASKS + 4 * s);
        p.d = scale(panel, items, item);
    }
    static __device__ __forceinline__ void unpack(const Part& p, int, Block& b) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            uint32_t pair = (i < 4 ? p.v.x : p.v.y) >> 8 * (i & 3);
            b.q[i] = spread((pair & 15) - 8, (pair >> 4 & 15) - 8, p.meta >> 4 * i);
        }
        b.scale = __uint_as_float(p.d);
    }
    static __device__ void place(const uint8_t* raw, uint8_t* panel, int items, int P, int item, int unit, int left) {
        for (int block = 0; block < G / 32; block++) {
            i64 at = item + (block & 1) * P;
            int s = block >> 1;
            uint32_t mask = raw32(raw + 4 + 4 * block);
            *reinterpret_cast<uint32_t*>(panel + (i64) items * KEPT + at * MASKS + 4 * s) = metadata(mask);
            uint8_t* to = panel + at * KEPT + 8 * s;
            int n = kept_before(mask, left - 32 * block);
            for (int i = 0; i < 8; i++) {
                uint8_t pair = raw[4 + G / 8 + 8 * block + i];
                to[i] = 2 * i + 1 < n ? pair : 2 * i < n ? (pair & 15) | 0x80 : 0x88; // 8 stands for zero
            }
        }
        copy(panel + (i64) items * (KEPT + MASKS) + (item - unit / 2 * P) * 4ll, raw, 4);
    }
    static __host__ __device__ i64 raw_offset(int unit) { return (4ll + G / 8 + G / 4) * (unit / 2); }
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
template <class F> __device__ __forceinline__ void load_sub(typename F::Part& p, const uint8_t* panel, int items, Item item, int s) {
    if constexpr (F::SUBS == 1) F::load(&p, panel, items, item);
    else F::load32(p, panel, items, item, s);
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
