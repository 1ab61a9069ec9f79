// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "warp.h"

namespace lacuna::emulator {

enum BarrierKind : std::uint32_t { BARRIER_SYNC, BARRIER_ARRIVE, BARRIER_POPC, BARRIER_AND, BARRIER_OR };

/// True when the warp must wait.
bool arriveAtBarrier(Warp& w, const Instr& i);
/// A barrier of the whole block no longer expects warps that have ended.
void warpEnded(Block& block);

}  // namespace lacuna::emulator
