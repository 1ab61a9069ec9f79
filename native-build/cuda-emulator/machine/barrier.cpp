// SPDX-License-Identifier: Apache-2.0
#include "barrier.h"

#include <algorithm>
#include <bit>

#include "access.h"

namespace lacuna::emulator {

namespace {
unsigned liveThreads(const Block& block) {
  unsigned warps = 0;
  for (const Warp& w : block.warps) warps += w.state != Warp::State::DONE;
  return warps * LANES;
}

void release(Block& block, Barrier& barrier) {
  block.worker->counts.barriers++;
  settleGlobal(block);
  // Whatever a participant did or knew before the barrier, those that waited know now.
  std::uint32_t joined[LANES] = {};
  for (std::uint32_t p = barrier.taking; p != 0; p &= p - 1) {
    auto from = static_cast<unsigned>(std::countr_zero(p));
    for (unsigned u = 0; u < block.warpCount; u++) joined[u] = std::max(joined[u], block.known[from][u]);
    joined[from] = std::max(joined[from], block.warps[from].clock);
  }
  std::uint32_t taking = barrier.taking, waiting = barrier.waiting;
  for (std::uint32_t p = waiting; p != 0; p &= p - 1) {
    auto to = static_cast<unsigned>(std::countr_zero(p));
    std::copy_n(joined, block.warpCount, block.known[to]);
  }
  std::uint32_t top = 0;
  for (std::uint32_t p = taking; p != 0; p &= p - 1) top = std::max(top, block.warps[static_cast<unsigned>(std::countr_zero(p))].clock);
  for (std::uint32_t p = taking; p != 0; p &= p - 1) block.warps[static_cast<unsigned>(std::countr_zero(p))].clock = top + 1;
  for (std::uint32_t p = waiting; p != 0; p &= p - 1) {
    Warp& w = block.warps[static_cast<unsigned>(std::countr_zero(p))];
    w.state = Warp::State::READY;
    const Instr& i = block.program->code[w.barrierPc];
    w.mask = w.live;
    switch (i.flags) {
      case BARRIER_POPC:
        for (unsigned l = 0; l < LANES; l++) {
          if (w.live >> l & 1) w.at<std::uint32_t>(i.d)[l] = barrier.votes;
        }
        break;
      case BARRIER_AND: w.predicate(i.d) = barrier.votes == barrier.voters ? ALL_LANES : 0; break;
      case BARRIER_OR: w.predicate(i.d) = barrier.votes != 0 ? ALL_LANES : 0; break;
      default: break;
    }
  }
  barrier = Barrier{};
}
}  // namespace

bool arriveAtBarrier(Warp& w, const Instr& i) {
  Block& block = *w.block;
  auto lane = static_cast<unsigned>(std::countr_zero(w.mask));
  unsigned id = w.at<std::uint32_t>(i.a)[lane];
  if (id >= block.barriers.size()) w.fail(i, Fault::ILLEGAL_INSTRUCTION, lane, "barrier " + std::to_string(id) + " of 16");
  Barrier& barrier = block.barriers[id];
  unsigned all = block.warpCount * LANES;
  unsigned expected = i.b == NO_REF ? all : w.at<std::uint32_t>(i.b)[lane];
  if (expected == 0 || expected % LANES != 0 || expected > all) {
    w.fail(i, Fault::ILLEGAL_INSTRUCTION, lane, "barrier for " + std::to_string(expected) + " threads in a block of " + std::to_string(block.threads));
  }
  if (barrier.arrived != 0 && barrier.expected != expected) {
    w.fail(i, Fault::DIVERGENT_BARRIER, lane, "barrier " + std::to_string(id) + " is entered for " + std::to_string(expected) + " and for " + std::to_string(barrier.expected) + " threads");
  }
  barrier.expected = expected;
  barrier.whole |= i.b == NO_REF;
  barrier.arrived += LANES;
  barrier.taking |= 1u << w.index;
  if (i.flags >= BARRIER_POPC) {
    std::uint32_t votes = w.predicate(i.c);
    if (i.offset != 0) votes = ~votes;
    barrier.votes += static_cast<unsigned>(std::popcount(votes & w.mask));
    barrier.voters += static_cast<unsigned>(std::popcount(w.mask));
  }
  bool waits = i.flags != BARRIER_ARRIVE;
  if (waits) {
    barrier.waiting |= 1u << w.index;
    w.state = Warp::State::WAITING;
    w.barrier = id;
  }
  unsigned needed = barrier.whole ? liveThreads(block) : expected;
  if (barrier.arrived >= needed) release(block, barrier);
  return waits && w.state == Warp::State::WAITING;
}

void warpEnded(Block& block) {
  unsigned left = liveThreads(block);
  for (Barrier& barrier : block.barriers) {
    if (barrier.arrived != 0 && barrier.whole && barrier.arrived >= left && left != 0) release(block, barrier);
  }
}

}  // namespace lacuna::emulator
