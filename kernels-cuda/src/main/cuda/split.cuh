// SPDX-License-Identifier: Apache-2.0
// A single-precision number as two of tf32's 11 bits: the second holds what the first loses, up to the last bit or two.
#pragma once
#include "common.cuh"

struct Split {
    uint32_t high, low;
};

__device__ __forceinline__ Split split(float v) {
    uint32_t high = (__float_as_uint(v) + 0x1000) & 0xffffe000;
    return {high, __float_as_uint(v - __uint_as_float(high))};
}
