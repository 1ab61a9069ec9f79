// SPDX-License-Identifier: Apache-2.0
// The file's rows become panels: a permutation of their bits.
#pragma once
#include "formats.cuh"

template <class F> __device__ void place(const uint8_t* raw, uint8_t* w, int firstRow, int rows, int cols, int P) {
    i64 i = (i64) blockIdx.x * blockDim.x + threadIdx.x;
    int blocks = ceil_div(cols, F::PLACE), perBlock = F::PLACE / F::UNIT, units = blocks * perBlock;
    if (i >= (i64) rows * blocks) return;
    int row = (int) (i / blocks), unit = (int) (i % blocks) * perBlock;
    i64 rowBytes = F::FLOAT ? F::raw_offset(1) / F::UNIT * cols
                            : (F::ROW_SCALE ? 4 : 0) + (F::ROW_SCALE && !F::PADS ? (i64) cols : F::raw_offset(units));
    int to = firstRow + row, items = units * P;
    i64 panelBytes = P == 1 ? panel_bytes<F, 1>(units) : panel_bytes<F, 16>(units);
    const uint8_t* from = raw + row * rowBytes;
    // a row's header is read by whoever places its first unit
    if constexpr (F::ROW_SCALE) {
        if (unit == 0) copy(w + to / P * panelBytes + item_bytes<F>(items) + 4 * (to % P), from, 4);
    }
    F::place(from + F::raw_offset(unit), w + to / P * panelBytes, items, P, unit * P + to % P, unit, cols - unit * F::UNIT);
}
