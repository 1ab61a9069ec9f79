// SPDX-License-Identifier: Apache-2.0
// Rotation and cache append behind separate projections.
#include "rope.cuh"

#define ROPE_APPEND(NAME, TYPE)                                                                                                                          \
    extern "C" __global__ void __launch_bounds__(128)                                                                                                 \
            rope_append_##NAME(float* q, float* k, const float* v, const float* qGain, const float* kGain, float eps, const float* table, int dims,   \
                               int interleaved, void* kc, void* vc, float* ks, float* vs, const int* pos, const int* seq, const int* blockTable,      \
                               int n, int kvBlocks, int qHeads, int kvHeads, int headSize) {                                                          \
        RopeArguments a = {qGain, kGain, eps, table, dims, interleaved, kc, vc, ks, vs, pos, seq, blockTable, n, kvBlocks, qHeads, kvHeads, headSize}; \
        int head = blockIdx.x * 4 + (threadIdx.x >> 5);                                                                                               \
        if (head < qHeads + 2 * kvHeads) rope_head(a, TYPE, q, k, v, blockIdx.y, head);                                                                  \
    }

ROPE_APPEND(F32, 0)
ROPE_APPEND(F16, 1)
ROPE_APPEND(I8, 2)
