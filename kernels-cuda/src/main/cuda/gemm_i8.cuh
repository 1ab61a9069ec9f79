// SPDX-License-Identifier: Apache-2.0
// 8-bit inputs: one k of mma.sync m16n8k32 is one block of 32, so its integer sum is exact and is scaled as it leaves the tensor core. Both operands have
// a scale for each block, so what bounds the kernel is not the tensor core but the instructions around it: a block of four warps computes 128 rows x 64
// outputs, a warp 64 x 32, two fused multiply-adds take the bias off an integer sum, scale and add it, and what minima and zero points add (a product of
// their own, of depth cols / 32) goes to the tensor core too, eight blocks at a time.
#pragma once
#include "gemm.cuh"
#include "split.cuh"

constexpr int I8_ROWS = 128, I8_STEP = 64, I8_STAGES = 3, I8_BLOCKS = I8_STEP / 32, I8_RING = 8;
constexpr int SUM_ZERO = 0x4b400000; // 1.5 * 2^23: an integer added to it is a float without a conversion
constexpr float SUM_BIAS = 12582912.f;

struct __align__(16) I8Stages {
    int8_t x[I8_STAGES][I8_ROWS * I8_STEP];   // [row][piece of 16 ^ (row / 2 & 3)]: neither copies nor ldmatrix meet in a bank
    int8_t w[2][I8_STEP / 16][TILE][16];      // [piece][row]
    float2 xScale[2][2][I8_ROWS + 8];         // of both blocks of two steps
    float2 wScale[2][I8_BLOCKS][TILE];        // scale and -SUM_BIAS * scale, or the scales of both halves
    float xSum[I8_RING][I8_ROWS + 8];         // scale * sum of the codes
    float wMin[I8_RING][TILE + 8];
};

union I8Tile {
    I8Stages stages;
    float out[I8_ROWS][PAIR_LD];
};

/** A number that code is made for. */
template <int N> struct Number {
    __device__ constexpr operator int() const { return N; }
};

template <class F> constexpr bool WIDE = F::BYTES > F::PLACE; // codes of eight bits cannot have their zero point subtracted in a byte
template <class F> constexpr bool OFFSET = F::MIN || (F::ZERO && WIDE<F>);
template <class F> constexpr bool SHORT_MIN = F::MIN && F::SUBS == 1; // 16 bits: a tf32 as it is

/** Sums of a tile, in shared memory at the end: [row][output]. */
template <class F>
__device__ __forceinline__ void sum_tile(I8Tile& tile, const int8_t* x, const BlockScale* xs, const TileWeights<F>& weights, const int* rowOf, int n,
                                         int cols) {
    I8Stages& stages = tile.stages;
    int ld = code_stride(cols), blocks = ld / 32, steps = ld / I8_STEP, tid = threadIdx.x, warp = tid >> 5, lane = tid & 31;
    int row0 = blockIdx.y * I8_ROWS;
    bool second = row0 + I8_ROWS / 2 < n; // else half of the rows need no work

    // rows whose pieces this thread copies, and the rows whose scales it reads
    auto source = [&](int r) { return row0 + r < n ? (rowOf ? rowOf[row0 + r] : row0 + r) : -1; };
    const int8_t* copied[4];
    const BlockScale* scaled[2];
    bool live[4];
    int piece = tid & 3;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        int r = source((tid >> 2) + 32 * i);
        live[i] = r >= 0;
        copied[i] = x + (live[i] ? (i64) r * ld + piece * 16 : 0);
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        int r = source((tid >> 1) + 64 * i);
        scaled[i] = r < 0 ? nullptr : xs + (i64) r * blocks;
    }
    int8_t* to = stages.x[0] + (tid >> 2) * I8_STEP + (code_place(piece * 16) / 16 ^ (tid >> 3 & 3)) * 16;
    int part = tid >> 6; // which block of a step

    auto copy_x = [&](int step, int stage) {
        if (step < steps) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (i < 2 || second) copy_async(to + stage * (I8_ROWS * I8_STEP) + i * 32 * I8_STEP, copied[i] + step * I8_STEP, live[i]);
            }
        }
        copy_commit();
    };
    typename F::Part loaded;
    // scales of four blocks, 32 bytes of a row, are read at once by two lanes, every second step
    int4 scales[2];
    auto fetch = [&](int step, auto parity) {
        int block = step * I8_BLOCKS + part;
        if (!weights.load(loaded, place_of<F>(block * 32))) loaded = {}; // its scale is zero, or its codes
        if constexpr (!parity) {
            int b = (step + (tid & 1)) * I8_BLOCKS;
#pragma unroll
            for (int i = 0; i < 2; i++) {
                scales[i] = {0, 0, 0, 0};
                if (!scaled[i] || b >= blocks) continue;
                scales[i] = *reinterpret_cast<const int4*>(scaled[i] + b);
            }
        }
    };
    auto unpack = [&](int step, auto buffer) {
        int r = tid & 63;
        Block b;
        F::unpack(loaded, place_of<F>((step * I8_BLOCKS + part) * 32) % F::UNIT / F::SUB, b);
        if (F::ZERO && !WIDE<F>) {
            uint32_t zero = b.zero * 0x01010101u;
#pragma unroll
            for (int i = 0; i < 8; i++) b.q[i] = ((b.q[i] | 0x80808080) - zero) ^ 0x80808080;
        }
        // -SUM_BIAS * scale is exact while a scale has 22 bits: halves, also times a whole number, do; others lose their last two
        if (!F::ROW_SCALE) b.scale = __uint_as_float(__float_as_uint(b.scale) & ~3u);
        if (F::ZERO && WIDE<F>) b.min = -b.scale * (float) b.zero;
        *reinterpret_cast<uint4*>(stages.w[buffer][2 * part][r]) = {b.q[0], b.q[1], b.q[2], b.q[3]};
        *reinterpret_cast<uint4*>(stages.w[buffer][2 * part + 1][r]) = {b.q[4], b.q[5], b.q[6], b.q[7]};
        if (!F::ROW_SCALE) stages.wScale[buffer][part][r] = {b.scale, F::HALVES ? b.scale1 : -SUM_BIAS * b.scale};
        if (OFFSET<F>) stages.wMin[step * I8_BLOCKS % I8_RING + part][r] = b.min;
        if constexpr (!buffer) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int row = (tid >> 1) + 64 * i, slot = (step + (tid & 1)) * I8_BLOCKS % I8_RING;
                float first = __int_as_float(scales[i].x), next = __int_as_float(scales[i].z);
                stages.xScale[step >> 1 & 1][tid & 1][row] = {first, next};
                if (OFFSET<F>) {
                    stages.xSum[slot][row] = first * (float) scales[i].y;
                    stages.xSum[slot + 1][row] = next * (float) scales[i].w;
                }
            }
        }
    };

    // tile m of a warp begins at row 32 m + mRow
    float sum[4][4][4] = {};
    int mRow = (warp & 1) * 16, nRow = (warp >> 1) * 32, g = lane >> 2, t = lane & 3;
    const int8_t* aFrom = stages.x[0] + (mRow + (lane & 15)) * I8_STEP;
    int swizzle = (lane & 15) >> 1 & 3;
    // numbers that the compiler knows, or knows to be the same, would be set again before each mma
    const int zero[4] = {SUM_ZERO | n >> 31, SUM_ZERO | cols >> 31, SUM_ZERO | (n & cols) >> 31, SUM_ZERO | (n | cols) >> 31};
    auto compute = [&](int step, int stage, auto buffer) {
        const float2(*xScale)[I8_ROWS + 8] = &stages.xScale[step >> 1 & 1][buffer];
#pragma unroll
        for (int block = 0; block < I8_BLOCKS; block++) {
            uint32_t b[4][2];
            float scale[4][4];
#pragma unroll
            for (int pair = 0; pair < 2; pair++) {
                uint32_t v[4];
                load_matrices(v, stages.w[buffer][2 * block + (lane >> 3 & 1)][nRow + pair * 16 + (lane >> 4) * 8 + (lane & 7)]);
                b[2 * pair][0] = v[0], b[2 * pair][1] = v[1], b[2 * pair + 1][0] = v[2], b[2 * pair + 1][1] = v[3];
            }
            if (!F::ROW_SCALE) {
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    float4 two = *reinterpret_cast<const float4*>(&stages.wScale[buffer][block][nRow + c * 8 + 2 * t]);
                    scale[c][0] = two.x, scale[c][1] = two.y, scale[c][2] = two.z, scale[c][3] = two.w;
                }
            }
#pragma unroll
            for (int half = 0; half < 2; half++) {
                if (half && !second) break;
#pragma unroll
                for (int m = 2 * half; m < 2 * half + 2; m++) {
                    uint32_t a[4];
                    load_matrices(a, aFrom + stage * (I8_ROWS * I8_STEP) + m * 32 * I8_STEP + ((2 * block + (lane >> 4)) ^ swizzle) * 16);
                    float2 low = (*xScale)[m * 32 + mRow + g], high = (*xScale)[m * 32 + mRow + g + 8];
                    float in[2] = {block ? low.y : low.x, block ? high.y : high.x};
#pragma unroll
                    for (int c = 0; c < 4; c++) {
                        int d[4], e[4];
                        if (F::HALVES) {
                            mma_bytes16(d, a[0], a[1], b[c][0], zero);
                            mma_bytes16(e, a[2], a[3], b[c][1], zero);
                        } else {
                            mma_bytes(d, a, b[c][0], b[c][1], zero);
                        }
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            float own = scale[c][2 * (i & 1)], other = scale[c][2 * (i & 1) + 1], v = __int_as_float(d[i]);
                            if (F::ROW_SCALE) {
                                v -= SUM_BIAS;
                            } else if (F::HALVES) {
                                v = (v - SUM_BIAS) * own;
                                v = fmaf(__int_as_float(e[i]) - SUM_BIAS, other, v);
                            } else {
                                v = fmaf(v, own, other);
                            }
                            sum[m][c][i] = fmaf(in[i >> 1], v, sum[m][c][i]);
                        }
                    }
                }
            }
        }
    };
    // sums of scale * sum * minimum, in numbers split in two
    auto offsets = [&](int filled) {
        uint32_t high[4][2], low[4][2];
#pragma unroll
        for (int c = 0; c < 4; c++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                Split s = split(t + 4 * i < filled ? stages.wMin[t + 4 * i][nRow + c * 8 + g] : 0.f);
                high[c][i] = s.high, low[c][i] = s.low;
            }
        }
#pragma unroll
        for (int m = 0; m < 4; m++) {
            if (m >= 2 && !second) break;
            uint32_t aHigh[4], aLow[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                Split s = split(t + (i >> 1) * 4 < filled ? stages.xSum[t + (i >> 1) * 4][m * 32 + mRow + g + (i & 1) * 8] : 0.f);
                aHigh[i] = s.high, aLow[i] = s.low;
            }
#pragma unroll
            for (int c = 0; c < 4; c++) {
                mma_tf32(sum[m][c], aLow, high[c][0], high[c][1]);
                if (!SHORT_MIN<F>) mma_tf32(sum[m][c], aHigh, low[c][0], low[c][1]);
                mma_tf32(sum[m][c], aHigh, high[c][0], high[c][1]);
            }
        }
    };

    int stage = 0;
    constexpr int ROUND = I8_RING / I8_BLOCKS;
    auto advance = [&](int step, auto parity) {
        if (OFFSET<F> && step && step % ROUND == 0) __syncthreads(); // the ring is read
        unpack(step, parity);
        copy_wait<1>();
        __syncthreads();
        if (step + 1 < steps) fetch(step + 1, Number<1 - parity>());
        copy_x(step + 2, stage == 0 ? 2 : stage - 1);
        compute(step, stage, parity);
        if (OFFSET<F> && (parity && step % ROUND == ROUND - 1 || step == steps - 1)) offsets((step % ROUND + 1) * I8_BLOCKS);
        stage = stage == I8_STAGES - 1 ? 0 : stage + 1;
    };
    copy_x(0, 0);
    copy_x(1, 1);
    fetch(0, Number<0>());
#pragma unroll 1
    for (int step = 0; step < steps; step += 2) {
        advance(step, Number<0>());
        if (step + 1 < steps) advance(step + 1, Number<1>());
    }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int row = m * 32 + mRow + g, col = nRow + c * 8 + 2 * t;
            *reinterpret_cast<float2*>(&tile.out[row][col]) = {sum[m][c][0], sum[m][c][1]};
            *reinterpret_cast<float2*>(&tile.out[row + 8][col]) = {sum[m][c][2], sum[m][c][3]};
        }
    }
    __syncthreads();
}

template <class F>
__device__ __forceinline__ void gemm_i8(const int8_t* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y,
                                        const int* rowOf, int n, int outs, int cols, float softCap) {
    __shared__ I8Tile tile;
    sum_tile<F>(tile, x, xs, TileWeights<F>(w, outs, cols), rowOf, n, cols);
    write_tile<F, F::ROW_SCALE, I8_ROWS>(tile.out, w, bias, add, y, n, outs, cols, softCap);
}

/** Gate and up projections of many rows, 32 outputs each, their product and its packing: what lies between them never leaves the chip. */
template <class F>
__device__ __forceinline__ void gemm_ffn(const int8_t* x, const BlockScale* xs, const uint8_t* wGate, const uint8_t* wUp, const float* bGate,
                                         const float* bUp, float* out, int8_t* outQ, BlockScale* outS, int n, int width, int cols, int activation) {
    constexpr int HALF = TILE / 2;
    __shared__ I8Tile tile;
    bool isUp = threadIdx.x & HALF;
    sum_tile<F>(tile, x, xs, TileWeights<F>(isUp ? wUp : wGate, width, cols, blockIdx.x * HALF + threadIdx.x % HALF), nullptr, n, cols);
    int units = units_of<F>(cols), ld = align32(width), col = (threadIdx.x & 7) * 4, to = blockIdx.x * HALF + col;
    float scale[2][4], bias[2][4];
#pragma unroll
    for (int matrix = 0; matrix < 2; matrix++) {
        const uint8_t* panel = (matrix ? wUp : wGate) + (to >> 4) * panel_bytes<F, 16>(units);
        const float* b = matrix ? bUp : bGate;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            scale[matrix][i] = F::ROW_SCALE && to + i < width ? row_scale<F>(panel, units * 16, (to & 15) + i) : 1.f;
            bias[matrix][i] = b && to + i < width ? b[to + i] : 0.f;
        }
    }
#pragma unroll 1
    for (int r = threadIdx.x >> 3; r < I8_ROWS; r += GEMM_THREADS / 8) {
        int row = blockIdx.y * I8_ROWS + r;
        if (blockIdx.y * I8_ROWS + (r & ~3) >= n) break; // a warp's four rows
        float4 g = *reinterpret_cast<float4*>(&tile.out[r][col]), u = *reinterpret_cast<float4*>(&tile.out[r][HALF + col]);
        float gate[4] = {g.x, g.y, g.z, g.w}, up[4] = {u.x, u.y, u.z, u.w}, v[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float a = activated(activation, gate[i] * scale[0][i] + bias[0][i]);
            v[i] = to + i < width && row < n ? a * (up[i] * scale[1][i] + bias[1][i]) : 0.f;
        }
        put4({v[0], v[1], v[2], v[3]}, row < n, row, ld, to, out, outQ, outS);
    }
}
