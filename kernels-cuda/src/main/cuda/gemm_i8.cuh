// SPDX-License-Identifier: Apache-2.0
// 8-bit inputs: one k of mma.sync m16n8k32 is one block of 32, so its integer sum is exact and is scaled as it leaves the tensor core.
#pragma once
#include "gemm.cuh"

constexpr int I8_STEP = 64, I8_STAGES = 3, I8_BLOCKS = I8_STEP / 32;
constexpr int SUM_ZERO = 0x4b400000; // 1.5 * 2^23: an integer added to it is a float without a conversion
constexpr float SUM_BIAS = 12582912.f;

struct __align__(16) I8Stages {
    int8_t x[I8_STAGES][TILE * I8_STEP];          // [row][piece of 16 ^ (row / 2 & 3)]: neither copies nor ldmatrix meet in a bank
    int8_t w[2][I8_STEP / 16][TILE][16];          // [piece][row]
    float2 xScale[2][I8_BLOCKS][TILE];            // scale, scale * sum
    float2 wScale[2][I8_BLOCKS][TILE];            // scale, minimum (or the scale of the second half)
};

union I8Tile {
    I8Stages stages;
    float out[TILE][PAIR_LD];
};

template <class F> constexpr bool WIDE = F::BYTES > F::UNIT; // codes of eight bits cannot have their zero point subtracted in a byte
template <class F> constexpr bool OFFSET = F::MIN || (F::ZERO && WIDE<F>);

template <class F>
__device__ __forceinline__ void gemm_i8(const int8_t* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y,
                                        const int* rowOf, int n, int outs, int cols, float softCap) {
    __shared__ I8Tile tile;
    I8Stages& stages = tile.stages;
    int ld = align32(cols), blocks = ld / 32, steps = ceil_div(ld, I8_STEP), tid = threadIdx.x, warp = tid >> 5, lane = tid & 31;
    int row0 = blockIdx.y * TILE;

    // rows whose pieces this thread copies, and the row whose scales it reads
    auto source = [&](int r) { return row0 + r < n ? (rowOf ? rowOf[row0 + r] : row0 + r) : -1; };
    int copied[2] = {source(tid >> 2), source((tid >> 2) + 32)}, scaled = source(tid >> 1);
    int part = tid >> 6; // which block of a step
    TileWeights<F> weights(w, outs, cols);

    auto copy_x = [&](int step) {
        if (step < steps) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int r = (tid >> 2) + 32 * i, piece = tid & 3, col = step * I8_STEP + piece * 16;
                bool on = copied[i] >= 0 && col < ld;
                copy_async(stages.x[step % I8_STAGES] + r * I8_STEP + (piece ^ (r >> 1 & 3)) * 16, x + (on ? (i64) copied[i] * ld + col : 0), on);
            }
        }
        copy_commit();
    };
    typename F::Part loaded;
    bool has;
    // scales of four blocks, 32 bytes of a row, are read at once by two lanes; each holds those of one step
    BlockScale scale[2];
    auto fetch = [&](int step) {
        int block = step * I8_BLOCKS + part;
        has = block < blocks && weights.load(loaded, block * 32);
        if (step & 1) return;
        int b = (step + (tid & 1)) * I8_BLOCKS;
        const BlockScale* from = xs + (i64) scaled * blocks + b;
        scale[0] = scale[1] = {0, 0};
        if (scaled < 0 || b >= blocks) return;
        if (blocks & 1) {
            scale[0] = from[0];
            if (b + 1 < blocks) scale[1] = from[1];
        } else {
            int4 both = *reinterpret_cast<const int4*>(from);
            scale[0] = {__int_as_float(both.x), both.y}, scale[1] = {__int_as_float(both.z), both.w};
        }
    };
    auto unpack = [&](int step) {
        int to = step & 1, r = tid & 63;
        Block b = {};
        if (has) F::unpack(loaded, (step * I8_BLOCKS + part) % F::SUBS, b);
        if (F::ZERO && !WIDE<F>) {
            uint32_t zero = b.zero * 0x01010101u;
#pragma unroll
            for (int i = 0; i < 8; i++) b.q[i] = ((b.q[i] | 0x80808080) - zero) ^ 0x80808080;
        }
        if (F::ZERO && WIDE<F>) b.min = -b.scale * (float) b.zero;
        *reinterpret_cast<uint4*>(stages.w[to][2 * part][r]) = {b.q[0], b.q[1], b.q[2], b.q[3]};
        *reinterpret_cast<uint4*>(stages.w[to][2 * part + 1][r]) = {b.q[4], b.q[5], b.q[6], b.q[7]};
        stages.wScale[to][part][r] = {b.scale, F::HALVES ? b.scale1 : b.min};
        if ((tid & 1) == to) {
#pragma unroll
            for (int i = 0; i < 2; i++) stages.xScale[to][i][tid >> 1] = {scale[i].scale, scale[i].scale * (float) scale[i].sum};
        }
    };

    float sum[2][4][4] = {};
    int mRow = (warp & 1) * 32, nRow = (warp >> 1) * 32, g = lane >> 2, t = lane & 3;
    auto compute = [&](int step) {
        const int8_t* tx = stages.x[step % I8_STAGES];
        int from = step & 1;
#pragma unroll
        for (int block = 0; block < I8_BLOCKS; block++) {
            uint32_t a[2][4], b[4][2];
#pragma unroll
            for (int m = 0; m < 2; m++) {
                int r = mRow + m * 16 + (lane & 15), piece = 2 * block + (lane >> 4);
                load_matrices(a[m], tx + r * I8_STEP + (piece ^ (r >> 1 & 3)) * 16);
            }
#pragma unroll
            for (int pair = 0; pair < 2; pair++) {
                uint32_t v[4];
                load_matrices(v, stages.w[from][2 * block + (lane >> 3 & 1)][nRow + pair * 16 + (lane >> 4) * 8 + (lane & 7)]);
                b[2 * pair][0] = v[0], b[2 * pair][1] = v[1], b[2 * pair + 1][0] = v[2], b[2 * pair + 1][1] = v[3];
            }
            float2 xScale[2][2];
#pragma unroll
            for (int m = 0; m < 2; m++) {
                xScale[m][0] = stages.xScale[from][block][mRow + m * 16 + g];
                xScale[m][1] = stages.xScale[from][block][mRow + m * 16 + g + 8];
            }
#pragma unroll
            for (int c = 0; c < 4; c++) {
                float4 two = *reinterpret_cast<const float4*>(&stages.wScale[from][block][nRow + c * 8 + 2 * t]);
                float wScale[2] = {two.x, two.z}, other[2] = {two.y, two.w};
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    int d[4], e[4];
                    if (F::HALVES) {
                        mma_bytes16(d, a[m][0], a[m][1], b[c][0], SUM_ZERO);
                        mma_bytes16(e, a[m][2], a[m][3], b[c][1], SUM_ZERO);
                    } else {
                        mma_bytes(d, a[m], b[c][0], b[c][1], SUM_ZERO);
                    }
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        float v = __int_as_float(d[i]) - SUM_BIAS, xs = xScale[m][i >> 1].x;
                        if (F::HALVES) {
                            v = v * wScale[i & 1] + (__int_as_float(e[i]) - SUM_BIAS) * other[i & 1];
                            sum[m][c][i] += xs * v;
                        } else {
                            sum[m][c][i] += (F::ROW_SCALE ? xs : xs * wScale[i & 1]) * v;
                            if (OFFSET<F>) sum[m][c][i] += xScale[m][i >> 1].y * other[i & 1];
                        }
                    }
                }
            }
        }
    };

    copy_x(0);
    copy_x(1);
    fetch(0);
    for (int step = 0; step < steps; step++) {
        unpack(step);
        copy_wait<1>();
        __syncthreads();
        if (step + 1 < steps) fetch(step + 1);
        copy_x(step + 2);
        compute(step);
    }
    finish<F>(sum, tile.out, w, bias, add, y, n, outs, cols, softCap);
}
