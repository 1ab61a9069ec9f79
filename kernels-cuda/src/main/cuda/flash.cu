// SPDX-License-Identifier: Apache-2.0
// Attention of many rows: online softmax over cache blocks of 32 positions (FlashAttention), scores never written. A warp holds 16 rows of one head;
// products run on tf32 tensor cores with numbers split in two, which costs no precision (see gemm_f32.cuh). Codes of 8 bits and halves are tf32 already.
//
// launch: flash_F32_64 shared=34816
// launch: flash_F16_64 shared=34816
// launch: flash_I8_64 shared=34816
// launch: flash_F32_128 shared=67584
// launch: flash_F16_128 shared=67584
// launch: flash_I8_128 shared=67584
// launch: flash_F32_256 shared=99840
// launch: flash_F16_256 shared=99840
// launch: flash_I8_256 shared=99840
#include "cache.cuh"
#include "split.cuh"

namespace {
__device__ __forceinline__ bool finite4(float4 v) {
    return fabsf(v.x) < INFINITY && fabsf(v.y) < INFINITY && fabsf(v.z) < INFINITY && fabsf(v.w) < INFINITY;
}

/** Registers by a number known only when the loop runs: shorter code than four copies of the loop. */
__device__ __forceinline__ float pick(const float (&s)[4][4], int c, int i) { return c < 2 ? c == 0 ? s[0][i] : s[1][i] : c == 2 ? s[2][i] : s[3][i]; }

template <class T, int SIZE, int WARPS>
__device__ __forceinline__ void flash(const float* q, const T* kc, const T* vc, const float* ks, const float* vs, const int* pos, const int* seqs,
                                      const int* blockTable, const int* groupStart, const int* groupHead, float* out, int8_t* outQ, BlockScale* outS, int n,
                                      int kvBlocks, int heads, int kvHeads, int headSize, float scale, int window, float softCap) {
    constexpr int ROWS = 16 * WARPS, LD = SIZE + 4, LANES = SIZE / 8, TILES = SIZE / 8;
    constexpr bool EXACT = sizeof(T) < 4; // keys and values need no second half
    extern __shared__ float4 dynamic[];
    float* query = reinterpret_cast<float*>(dynamic);
    float* key = query + ROWS * LD;
    float* value = key + KV_BLOCK * LD;
    __shared__ int rowSeq[ROWS], rowFirst[ROWS], rowLast[ROWS];
    __shared__ float keyScale[KV_BLOCK], valueScale[KV_BLOCK];
    int tid = threadIdx.x, warp = tid >> 5, lane = tid & 31, g = lane >> 2, t = lane & 3, row0 = blockIdx.y * ROWS;
    int head = groupHead[blockIdx.x], kvHead = 0;
    while (groupStart[kvHead + 1] <= (int) blockIdx.x) kvHead++;
    int stride = head_stride(headSize), ld = align32(heads * headSize);

    for (int r = tid; r < ROWS; r += WARPS * 32) {
        bool on = row0 + r < n;
        rowSeq[r] = on ? seqs[row0 + r] : -1;
        rowLast[r] = on ? pos[row0 + r] : 0;
        rowFirst[r] = on && window > 0 ? max(0, pos[row0 + r] - window + 1) : 0;
    }
    if (headSize % 4 == 0) {
        for (int i = tid; i < ROWS * SIZE / 4; i += WARPS * 32) {
            int r = i / (SIZE / 4), four = i % (SIZE / 4);
            // eight lanes, which store together, take even or odd fours, whose places are neighbours; two eights read whole sectors
            if (sizeof(T) < 4) four = (four & ~15) | (four & 7) << 1 | (four >> 3 & 1);
            float4 v = {0, 0, 0, 0};
            if (row0 + r < n && 4 * four < headSize) v = *reinterpret_cast<const float4*>(q + (i64) (row0 + r) * ld + head * headSize + 4 * four);
            *reinterpret_cast<float4*>(query + r * LD + Rows<T>::place(four, LANES)) = v;
        }
    } else {
        for (int i = tid; i < ROWS * SIZE; i += WARPS * 32) {
            int r = i / SIZE, place = i % SIZE, d = Rows<T>::dim(place, LANES);
            query[r * LD + place] = row0 + r < n && d < headSize ? q[(i64) (row0 + r) * ld + head * headSize + d] : 0.f;
        }
    }
    __syncthreads();

    float o[TILES][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    int own[2] = {warp * 16 + g, warp * 16 + g + 8};
    const float* mine = query + warp * 16 * LD;
    for (int begin = 0, end; begin < ROWS; begin = end) {
        // the rows of one sequence lie side by side
        int seq = rowSeq[begin], first = rowFirst[begin], last = rowLast[begin];
        for (end = begin + 1; end < ROWS && rowSeq[end] == seq; end++) first = min(first, rowFirst[end]), last = max(last, rowLast[end]);
        if (seq < 0) continue;
        bool ours = begin < warp * 16 + 16 && end > warp * 16;
        int from[2], to[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            bool in = own[h] >= begin && own[h] < end;
            from[h] = rowFirst[own[h]], to[h] = in ? rowLast[own[h]] : -1;
        }
        for (int block = first / KV_BLOCK; block <= last / KV_BLOCK; block++) {
            i64 slot0 = cache_slot(blockTable, kvBlocks, seq, block * KV_BLOCK, kvHeads, kvHead);
            bool finite = true;
            __syncthreads();
            for (int i = tid; i < KV_BLOCK * LANES; i += WARPS * 32) {
                int j = i / LANES, l = i % LANES, p = block * KV_BLOCK + j;
                float k[8] = {}, v[8] = {};
                if (p >= first && p <= last) {
                    Rows<T>::load(kc + (slot0 + j) * stride, l, LANES, stride, k);
                    Rows<T>::load(vc + (slot0 + j) * stride, l, LANES, stride, v);
                }
                float4 low = {v[0], v[1], v[2], v[3]}, high = {v[4], v[5], v[6], v[7]};
                *reinterpret_cast<float4*>(key + j * LD + 4 * l) = {k[0], k[1], k[2], k[3]};
                *reinterpret_cast<float4*>(key + j * LD + 4 * (LANES + l)) = {k[4], k[5], k[6], k[7]};
                *reinterpret_cast<float4*>(value + j * LD + 4 * l) = low;
                *reinterpret_cast<float4*>(value + j * LD + 4 * (LANES + l)) = high;
                finite = finite && finite4(low) && finite4(high);
            }
            if (Rows<T>::SCALED && tid < KV_BLOCK) {
                bool seen = block * KV_BLOCK + tid >= first && block * KV_BLOCK + tid <= last;
                keyScale[tid] = seen ? ks[slot0 + tid] : 0.f;
                valueScale[tid] = seen ? vs[slot0 + tid] : 0.f;
                finite = finite && fabsf(valueScale[tid]) < INFINITY;
            }
            bool clean = !__syncthreads_or(!finite);
            if (!ours) continue;

            float s[4][4] = {};
#pragma unroll 2
            for (int k = 0; k < SIZE; k += 8) {
                uint32_t high[4], low[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    Split a = split(mine[(g + (i & 1) * 8) * LD + k + t + (i >> 1) * 4]);
                    high[i] = a.high, low[i] = a.low;
                }
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const float* b = key + (c * 8 + g) * LD + k + t;
                    if (EXACT) {
                        uint32_t b0 = __float_as_uint(b[0]), b1 = __float_as_uint(b[4]);
                        mma_tf32(s[c], low, b0, b1);
                        mma_tf32(s[c], high, b0, b1);
                    } else {
                        Split b0 = split(b[0]), b1 = split(b[4]);
                        mma_tf32(s[c], low, b0.high, b1.high);
                        mma_tf32(s[c], high, b0.low, b1.low);
                        mma_tf32(s[c], high, b0.high, b1.high);
                    }
                }
            }
            float now[2] = {most[0], most[1]};
#pragma unroll
            for (int c = 0; c < 4; c++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int j = c * 8 + 2 * t + (i & 1), p = block * KV_BLOCK + j, h = i >> 1;
                    float v = soft_cap(s[c][i] * (Rows<T>::SCALED ? scale * keyScale[j] : scale), softCap);
                    s[c][i] = v;
                    if (p >= from[h] && p <= to[h]) now[h] = fmaxf(now[h], v);
                }
            }
            float less[2];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 1));
                now[h] = fmaxf(now[h], __shfl_xor_sync(~0u, now[h], 2));
                less[h] = now[h] == most[h] ? 1.f : expf(most[h] - now[h]);
                most[h] = now[h];
                total[h] *= less[h];
            }
#pragma unroll
            for (int c = 0; c < 4; c++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int j = c * 8 + 2 * t + (i & 1), p = block * KV_BLOCK + j, h = i >> 1;
                    float e = p >= from[h] && p <= to[h] ? expf(s[c][i] - now[h]) : 0.f;
                    total[h] += e;
                    s[c][i] = Rows<T>::SCALED ? e * valueScale[j] : e;
                }
            }
#pragma unroll
            for (int c = 0; c < TILES; c++) {
                o[c][0] *= less[0], o[c][1] *= less[0];
                o[c][2] *= less[1], o[c][3] *= less[1];
            }
            if (clean) {
                // what a lane holds of the scores is what it needs as operand, if the keys' order is 0 2 4 6 1 3 5 7
#pragma unroll 1
                for (int c = 0; c < 4; c++) {
                    uint32_t high[4], low[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        Split a = split(pick(s, c, (i & 1) * 2 + (i >> 1)));
                        high[i] = a.high, low[i] = a.low;
                    }
#pragma unroll
                    for (int d = 0; d < TILES; d++) {
                        const float* b = value + (c * 8 + 2 * t) * LD + d * 8 + g;
                        if (EXACT) {
                            uint32_t b0 = __float_as_uint(b[0]), b1 = __float_as_uint(b[LD]);
                            mma_tf32(o[d], low, b0, b1);
                            mma_tf32(o[d], high, b0, b1);
                        } else {
                            Split b0 = split(b[0]), b1 = split(b[LD]);
                            mma_tf32(o[d], low, b0.high, b1.high);
                            mma_tf32(o[d], high, b0.low, b1.low);
                            mma_tf32(o[d], high, b0.high, b1.high);
                        }
                    }
                }
            } else {
                // a product with zero would carry a NaN to rows that do not see its position
#pragma unroll 1
                for (int c = 0; c < 4; c++) {
#pragma unroll 1
                    for (int j = 0; j < 8; j++) {
                        int source = (lane & ~3) + (j >> 1), p = block * KV_BLOCK + c * 8 + j;
                        float odd0 = __shfl_sync(~0u, pick(s, c, 1), source), even0 = __shfl_sync(~0u, pick(s, c, 0), source);
                        float odd1 = __shfl_sync(~0u, pick(s, c, 3), source), even1 = __shfl_sync(~0u, pick(s, c, 2), source);
                        float w0 = j & 1 ? odd0 : even0, w1 = j & 1 ? odd1 : even1;
                        const float* v = value + (c * 8 + j) * LD + 2 * t;
#pragma unroll
                        for (int d = 0; d < TILES; d++) {
                            if (p >= from[0] && p <= to[0]) o[d][0] += w0 * v[d * 8], o[d][1] += w0 * v[d * 8 + 1];
                            if (p >= from[1] && p <= to[1]) o[d][2] += w1 * v[d * 8], o[d][3] += w1 * v[d * 8 + 1];
                        }
                    }
                }
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int h = 0; h < 2; h++) {
        total[h] += __shfl_xor_sync(~0u, total[h], 1);
        total[h] += __shfl_xor_sync(~0u, total[h], 2);
        bool on = rowSeq[own[h]] >= 0;
#pragma unroll
        for (int c = 0; c < TILES; c++) {
            int d = Rows<T>::dim(c * 8 + 2 * t, LANES); // places in pairs are neighbours
            float2 v = {on ? o[c][2 * h] / total[h] : 0.f, on ? o[c][2 * h + 1] / total[h] : 0.f};
            *reinterpret_cast<float2*>(query + own[h] * LD + d) = v;
        }
    }
    __syncthreads();
    if (headSize % 32 == 0) {
        for (int i = tid; i < ROWS * headSize / 4; i += WARPS * 32) {
            int r = i / (headSize / 4), c = i % (headSize / 4) * 4;
            bool on = row0 + r < n;
            put4(*reinterpret_cast<float4*>(query + r * LD + c), on, row0 + r, ld, head * headSize + c, out, outQ, outS);
        }
    } else {
        for (int i = tid; i < ROWS * headSize; i += WARPS * 32) {
            int r = i / headSize, c = i % headSize;
            if (row0 + r < n) out[(i64) (row0 + r) * ld + head * headSize + c] = query[r * LD + c];
        }
    }
}
} // namespace

#define FLASH(NAME, T, SIZE, WARPS)                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, 1)                                                                                       \
            flash_##NAME##_##SIZE(const float* q, const T* kc, const T* vc, const float* ks, const float* vs, const int* pos, const int* seq,        \
                                  const int* blockTable, const int* groupStart, const int* groupHead, float* out, int8_t* outQ, BlockScale* outS,    \
                                  int n, int kvBlocks, int heads, int kvHeads, int headSize, float scale, int window, float softCap) {               \
        flash<T, SIZE, WARPS>(q, kc, vc, ks, vs, pos, seq, blockTable, groupStart, groupHead, out, outQ, outS, n, kvBlocks, heads, kvHeads, headSize, \
                              scale, window, softCap);                                                                                               \
    }

FLASH(F32, float, 64, 4)
FLASH(F16, __half, 64, 4)
FLASH(I8, int8_t, 64, 4)
FLASH(F32, float, 128, 4)
FLASH(F16, __half, 128, 4)
FLASH(I8, int8_t, 128, 4)
FLASH(F32, float, 256, 2)
FLASH(F16, __half, 256, 2)
FLASH(I8, int8_t, 256, 2)
