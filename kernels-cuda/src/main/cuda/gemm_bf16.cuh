// SPDX-License-Identifier: Apache-2.0
// Inputs of bfloat16: weights of any format are unpacked in shared memory and rounded likewise from the single-precision values that they stand for;
// products are exact, sums in single precision.
#pragma once
#include "gemm.cuh"

constexpr int BF16_STEP = 64, BF16_STAGES = 2;
constexpr int BF16_ROWS = 2 * TILE; // so that a weight is unpacked half as often; a warp computes 64 rows x 32 outputs

union __align__(16) Bf16Tile {
    struct {
        uint16_t x[BF16_STAGES][BF16_ROWS * BF16_STEP]; // [row][piece of 8 values ^ (row & 7)]
        uint16_t w[2][TILE * BF16_STEP];
    } stages;
    float out[BF16_ROWS][PAIR_LD];
};

template <class F>
__device__ __forceinline__ void gemm_bf16(const uint16_t* x, const uint8_t* w, const float* bias, const float* add, float* y, const int* rowOf, int n, int outs,
                                          int cols, float softCap) {
    constexpr int PARTS = 32 / F::SUB, COPIES = BF16_ROWS / 16;
    __shared__ Bf16Tile tile;
    auto& stages = tile.stages;
    int ld = align32(cols), steps = ceil_div(ld, BF16_STEP), tid = threadIdx.x, warp = tid >> 5, lane = tid & 31, row0 = blockIdx.y * BF16_ROWS;
    int own = tid & 63, part = tid >> 6;
    TileWeights<F> weights(w, outs, cols);
    // a thread copies the same piece of every sixteenth row: an activation has less than 2^31 values
    int copied[COPIES], piece = (tid & 7) * 8;
#pragma unroll
    for (int i = 0; i < COPIES; i++) {
        int r = row0 + (tid >> 3) + 16 * i;
        copied[i] = r < n ? (rowOf ? rowOf[r] : r) * ld + piece : -1;
    }
    uint16_t* to = stages.x[0] + (tid >> 3) * BF16_STEP + (piece ^ (tid >> 3 & 7) * 8);
    auto copy_x = [&](int step) {
        int col = step * BF16_STEP;
        const uint16_t* from = x + col;
        bool inside = col + piece < ld;
#pragma unroll
        for (int i = 0; i < COPIES; i++) {
            bool on = inside && copied[i] >= 0;
            copy_async(to + (step & 1) * (BF16_ROWS * BF16_STEP) + 16 * i * BF16_STEP, on ? from + copied[i] : x, on);
        }
        copy_commit();
    };
    typename F::Part loaded[PARTS];
    bool has[PARTS];
    auto fetch = [&](int step) {
#pragma unroll
        for (int i = 0; i < PARTS; i++) has[i] = weights.load(loaded[i], place_of<F>(step * BF16_STEP + part * 32) + i * F::SUB);
    };
    // weights are rounded as what they stand for, a row's scale included
    float rowScale = F::ROW_SCALE && weights.blocks ? row_scale<F>(weights.panel, weights.items, weights.row) : 1.f;
    auto unpack = [&](int step) {
        float v[32];
#pragma unroll
        for (int i = 0; i < PARTS; i++) {
            float w[F::SUB] = {};
            if (has[i]) values_of<F>(loaded[i], place_of<F>(step * BF16_STEP + part * 32) % F::UNIT / F::SUB, w);
#pragma unroll
            for (int c = 0; c < F::SUB; c++) v[column_of<F>(i * F::SUB + c) % 32] = w[c];
        }
        if (F::ROW_SCALE) {
#pragma unroll
            for (int i = 0; i < 32; i++) v[i] = __fmul_rn(v[i], rowScale);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float* p = v + 8 * i;
            *reinterpret_cast<uint4*>(stages.w[step & 1] + own * BF16_STEP + ((part * 4 + i) ^ (own & 7)) * 8) = {
                    two_bfloats(p[0], p[1]), two_bfloats(p[2], p[3]), two_bfloats(p[4], p[5]), two_bfloats(p[6], p[7])};
        }
    };
    float sum[4][4][4] = {};
    int mRow = (warp & 1) * 64, nRow = (warp >> 1) * 32;
    bool idle = row0 + mRow >= n;
    auto compute = [&](int step) {
        if (idle) return;
        const uint16_t *tx = stages.x[step & 1], *tw = stages.w[step & 1];
#pragma unroll
        for (int k = 0; k < BF16_STEP / 8; k += 2) { // pieces
            uint32_t a[4][4], b[2][4];
#pragma unroll
            for (int m = 0; m < 4; m++) {
                int r = mRow + m * 16 + (lane & 15);
                load_matrices(a[m], tx + r * BF16_STEP + ((k + (lane >> 4)) ^ (r & 7)) * 8);
            }
#pragma unroll
            for (int pair = 0; pair < 2; pair++) {
                int r = nRow + pair * 16 + (lane >> 4) * 8 + (lane & 7);
                load_matrices(b[pair], tw + r * BF16_STEP + ((k + (lane >> 3 & 1)) ^ (r & 7)) * 8);
            }
#pragma unroll
            for (int c = 0; c < 4; c++) {
#pragma unroll
                for (int m = 0; m < 4; m++) mma_bfloats(sum[m][c], a[m], b[c >> 1][2 * (c & 1)], b[c >> 1][2 * (c & 1) + 1]);
            }
        }
    };
    copy_x(0);
    fetch(0);
    for (int step = 0; step < steps; step++) {
        unpack(step);
        copy_wait<0>();
        __syncthreads(); // the step before is read by nobody any more
        if (step + 1 < steps) {
            fetch(step + 1);
            copy_x(step + 1);
        }
        compute(step);
    }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int r = mRow + m * 16 + (lane >> 2), col = nRow + c * 8 + 2 * (lane & 3);
            *reinterpret_cast<float2*>(&tile.out[r][col]) = {sum[m][c][0], sum[m][c][1]};
            *reinterpret_cast<float2*>(&tile.out[r + 8][col]) = {sum[m][c][2], sum[m][c][3]};
        }
    }
    write_tile<F, false, BF16_ROWS>(tile.out, w, bias, add, y, n, outs, cols, softCap);
}
