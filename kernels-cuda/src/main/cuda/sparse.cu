// SPDX-License-Identifier: Apache-2.0
// 2:4 weights on sparse tensor cores. Weights are operand A, so outputs lie on M and rows on N, and what is pruned is neither stored nor multiplied. Inputs
// have a scale for 32, so the instruction is that of k 32; a lane's metadata register serves two of them.
#include "gemm.cuh"
#include "ptx_sparse.cuh"

namespace {
constexpr int STEP = 64, STAGES = 3;
constexpr int META_LD = TILE + 16; // 16 rows of both halves are read at once: 32 banks
constexpr int SUM_ZERO = 0x4b400000; // an integer added to 1.5 * 2^23 is a float without a conversion
constexpr float SUM_BIAS = 12582912.f;

struct __align__(16) Stages {
    int8_t x[STAGES][TILE * STEP];  // [row][piece of 16 ^ (row / 2 & 3)]
    int8_t w[2][2][TILE][16];       // kept bytes of 32 columns: [half][output]
    uint32_t meta[2][2][META_LD];
    float wScale[2][TILE];
    float xScale[2][2][TILE];
};
constexpr int OUT_LD = TILE + 4; // lanes write along outputs, every second row
union Tile {
    Stages stages;
    float out[TILE][OUT_LD];
};

template <class F>
__device__ __forceinline__ void gemm_sparse(const int8_t* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y,
                                            const int* rowOf, int n, int outs, int cols, float softCap) {
    __shared__ Tile tile;
    Stages& stages = tile.stages;
    int ld = code_stride(cols), steps = ld / STEP, blocks = ld / 32, row0 = blockIdx.y * TILE;
    int tid = threadIdx.x, warp = tid >> 5, lane = tid & 31;
    auto source = [&](int r) { return row0 + r < n ? (rowOf ? rowOf[row0 + r] : row0 + r) : -1; };
    int copied[2] = {source(tid >> 2), source((tid >> 2) + 32)}, scaled = source(tid >> 1), half = tid >> 6;
    TileWeights<F> weights(w, outs, cols);

    auto copy_x = [&](int step) {
        if (step < steps) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int r = (tid >> 2) + 32 * i, piece = tid & 3, col = step * STEP + piece * 16;
                bool on = copied[i] >= 0;
                copy_async(stages.x[step % STAGES] + r * STEP + (code_place(piece * 16) / 16 ^ (r >> 1 & 3)) * 16, x + (on ? (i64) copied[i] * ld + col : 0), on);
            }
        }
        copy_commit();
    };
    typename F::Part loaded;
    bool has;
    constexpr int SCALES = STEP / 32;
    float scale[SCALES]; // read every second step, two lanes a row
    auto fetch = [&](int step) {
        has = weights.load(loaded, place_of<F>(step * STEP + half * 32));
        if (step & 1) return;
        int b = (step + (tid & 1)) * SCALES;
        const BlockScale* from = xs + (i64) scaled * blocks + b;
        scale[0] = scale[1] = 0;
        if (scaled < 0 || b >= blocks) return;
        float4 both = *reinterpret_cast<const float4*>(from);
        scale[0] = both.x, scale[1] = both.z;
    };
    auto unpack = [&](int step) {
        int to = step & 1, r = tid & 63;
        *reinterpret_cast<uint4*>(stages.w[to][half][r]) = has ? kept(loaded) : uint4{0, 0, 0, 0};
        // rows that pad the matrix have no metadata: any that is legal will do
        stages.meta[to][half][r] = has && loaded.meta ? loaded.meta : 0x44444444;
        if (half == 0) stages.wScale[to][r] = has ? scale_of(loaded) : 0.f;
        if ((tid & 1) == to) {
#pragma unroll
            for (int i = 0; i < SCALES; i++) stages.xScale[to][i][tid >> 1] = scale[i];
        }
    };

    float sum[2][4][4] = {};
    int mRow = (warp & 1) * 32, nRow = (warp >> 1) * 32, g = lane >> 2, t = lane & 3;
    auto compute = [&](int step) {
        const int8_t* tx = stages.x[step % STAGES];
        int from = step & 1;
        uint32_t b[4][4]; // [tile of 8 rows][piece of 16 columns]
#pragma unroll
        for (int c = 0; c < 4; c++) {
            int r = nRow + c * 8 + (lane & 7);
            load_matrices(b[c], tx + r * STEP + (lane >> 3 ^ (r >> 1 & 3)) * 16);
        }
#pragma unroll
        for (int m = 0; m < 2; m++) {
            uint32_t a[4], meta = stages.meta[from][t >> 1][mRow + m * 16 + g + 8 * (t & 1)];
            load_matrices(a, stages.w[from][lane >> 4][mRow + m * 16 + (lane & 15)]);
            float low = F::ROW_SCALE ? 1.f : stages.wScale[from][mRow + m * 16 + g], high = F::ROW_SCALE ? 1.f : stages.wScale[from][mRow + m * 16 + g + 8];
#pragma unroll
            for (int c = 0; c < 4; c++) {
                int d[2][4];
                mma_sparse32<0>(d[0], a[0], a[1], b[c][0], b[c][1], meta, SUM_ZERO);
                mma_sparse32<1>(d[1], a[2], a[3], b[c][2], b[c][3], meta, SUM_ZERO);
#pragma unroll
                for (int k = 0; k < SCALES; k++) {
                    float2 s = *reinterpret_cast<const float2*>(&stages.xScale[from][k][nRow + c * 8 + 2 * t]);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        float in = i & 1 ? s.y : s.x;
                        if (!F::ROW_SCALE) in *= i < 2 ? low : high;
                        sum[m][c][i] += in * (__int_as_float(d[k][i]) - SUM_BIAS);
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
    __syncthreads();
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int c = 0; c < 4; c++) {
#pragma unroll
            for (int i = 0; i < 4; i++) tile.out[nRow + c * 8 + 2 * t + (i & 1)][mRow + m * 16 + g + 8 * (i >> 1)] = sum[m][c][i];
        }
    }
    write_tile<F, F::ROW_SCALE>(tile.out, w, bias, add, y, n, outs, cols, softCap);
}
} // namespace

#define SPARSE(F)                                                                                                                                       \
    extern "C" __global__ void __launch_bounds__(GEMM_THREADS, 1)                                                                                       \
            gemm_sparse_##F##_I8(const int8_t* x, const BlockScale* xs, const uint8_t* w, const float* bias, const float* add, float* y,            \
                                     const int* rowOf, int n, int outs, int cols, float softCap) {                                                      \
        gemm_sparse<F_##F>(x, xs, w, bias, add, y, rowOf, n, outs, cols, softCap);                                                               \
    }

SPARSE(I8_24)
SPARSE(I4_24_64)
SPARSE(I4_24_128)
