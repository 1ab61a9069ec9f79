// SPDX-License-Identifier: Apache-2.0
// Lanes of a warp in lock-step, warps of a block between barriers.
#include <bit>
#include <cstring>

#include "access.h"
#include "barrier.h"
#include "warp.h"

namespace lacuna::emulator {

namespace {
constexpr std::uint64_t SLICE = 1 << 20;        ///< instructions a warp runs before another gets its turn
constexpr std::uint32_t PATIENCE = 1 << 12;     ///< blocks one split runs while others could

std::string laneList(std::uint32_t mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

struct Lockstep {
  Warp& w;
  const Program& program;
  std::uint32_t patience = 0;

  void add(std::uint32_t pc, std::uint32_t mask, bool waiting) {
    for (Split& s : w.splits) {
      if (s.pc == pc) {
        s.mask |= mask;
        return;
      }
    }
    w.splits.push_back({pc, mask, waiting});
  }

  /// Takes over the lanes of a split that stands where the running lanes stand.
  bool merge() {
    for (std::size_t k = 0; k < w.splits.size(); k++) {
      if (w.splits[k].pc != w.pc) continue;
      w.active |= w.splits[k].mask;
      w.splits.erase(w.splits.begin() + static_cast<std::ptrdiff_t>(k));
      return true;
    }
    return false;
  }

  int least() const {
    int best = -1;
    for (std::size_t k = 0; k < w.splits.size(); k++) {
      if (w.splits[k].waiting) continue;
      if (best < 0 || order(w.splits[k].pc) < order(w.splits[static_cast<std::size_t>(best)].pc)) best = static_cast<int>(k);
    }
    return best;
  }

  std::uint32_t order(std::uint32_t pc) const { return program.code[pc].order; }

  void resume(int k) {
    Split s = w.splits[static_cast<std::size_t>(k)];
    w.splits.erase(w.splits.begin() + k);
    w.pc = s.pc;
    w.active = s.mask;
    merge();
  }

  /// At the start of a basic block: the lanes that stand at the least place go on.
  void choose() {
    merge();
    int best = least();
    if (best < 0) return;
    bool impatient = ++patience % PATIENCE == 0;
    if (!impatient && order(w.splits[static_cast<std::size_t>(best)].pc) >= order(w.pc)) return;
    add(w.pc, w.active, false);
    resume(best);
  }

  /// False when no lane is left.
  bool next() {
    int best = least();
    if (best < 0) return false;
    resume(best);
    return true;
  }

  /// The instruction needs lanes that are elsewhere: they run first.
  void awaitLanes(const Instr& i, std::uint32_t missing) {
    if (missing & w.active) {
      auto lane = static_cast<unsigned>(std::countr_zero(missing & w.active));
      w.fail(i, Fault::DIVERGENT_BARRIER, lane, "lanes " + laneList(missing & w.active) + " of the warp skip by predicate what lanes " + laneList(w.mask) + " execute");
    }
    w.splits.push_back({w.pc, w.active, true});
    if (next()) return;
    std::string where;
    for (const Split& s : w.splits) {
      if (s.pc != w.pc) where += "; lanes " + laneList(s.mask) + " wait at PTX line " + std::to_string(program.code[s.pc].line);
    }
    for (const Split& s : w.splits) {
      if (s.pc == w.pc && s.mask == w.active) continue;
      if (where.empty()) where = "; lanes " + laneList(s.mask) + " wait elsewhere";
    }
    w.fail(i, Fault::DIVERGENT_BARRIER, static_cast<unsigned>(std::countr_zero(w.active)), "only lanes " + laneList(w.active) + " arrive, lanes " + laneList(missing) + " are elsewhere" + where);
  }

  void branch(const Instr& i) {
    std::uint32_t taken = w.mask, stay = w.active & ~taken;
    if (stay == 0) {
      w.pc = i.target;
    } else if (taken == 0) {
      w.pc++;
    } else {
      w.block->worker->counts.divergentBranches++;
      add(i.target, taken, false);
      w.active = stay;
      w.pc++;
      if (program.code[w.pc].leader) choose();
    }
  }

  void table(const Instr& i) {
    if (w.mask == 0) {
      w.pc++;
      return;
    }
    const auto* index = w.at<std::uint32_t>(i.a);
    std::uint32_t stay = w.active & ~w.mask;
    std::uint32_t from = w.pc;
    if (stay != 0) add(from + 1, stay, false);
    for (std::uint32_t m = w.mask; m != 0; m &= m - 1) {
      auto lane = static_cast<unsigned>(std::countr_zero(m));
      if (index[lane] >= i.flags) w.fail(i, Fault::ILLEGAL_INSTRUCTION, lane, "index " + std::to_string(index[lane]) + " of " + std::to_string(i.flags) + " targets");
      add(program.extras[i.target + index[lane]], 1u << lane, false);
    }
    if (w.splits.size() > 1) w.block->worker->counts.divergentBranches++;
    next();
  }
};
}  // namespace

Step runWarp(Warp& w) {
  Block& block = *w.block;
  const Program& program = *block.program;
  const Instr* code = program.code.data();
  Counts& counts = block.worker->counts;
  Lockstep step{w, program};
  for (std::uint64_t turn = 0;; turn++) {
    if (turn >= SLICE) {
      w.steps += turn;
      return Step::YIELD;
    }
    const Instr* i = &code[w.pc];
    if (!w.splits.empty() && i->leader) {
      step.choose();
      i = &code[w.pc];
    }
    w.mask = w.active;
    if (i->guard != NO_REF) {
      std::uint32_t p = w.predicate(i->guard);
      w.mask &= i->guardNegated ? ~p : p;
    }
    counts.instructions++;
    counts.byClass[i->cls]++;
    counts.threadInstructions += static_cast<unsigned>(std::popcount(w.mask));
    switch (i->control) {
      case Control::NONE:
        if (w.mask != 0) i->run(w, *i);
        w.pc++;
        break;
      case Control::BRANCH: step.branch(*i); break;
      case Control::TABLE: step.table(*i); break;
      case Control::EXIT:
        w.live &= ~w.mask;
        w.active &= ~w.mask;
        if (w.mask != 0) {
          for (Split& s : w.splits) s.waiting = false;
        }
        if (w.active != 0) {
          w.pc++;
        } else if (!step.next()) {
          return Step::DONE;
        }
        break;
      case Control::TRAP:
        if (w.mask != 0) w.fail(*i, Fault::TRAP, static_cast<unsigned>(std::countr_zero(w.mask)), i->flags != 0 ? "an assertion of the kernel failed" : "trap");
        w.pc++;
        break;
      case Control::BARRIER: {
        if (w.mask == 0) {
          w.pc++;
          break;
        }
        if (std::uint32_t missing = w.live & ~w.mask) {
          step.awaitLanes(*i, missing);
          break;
        }
        w.barrierPc = w.pc++;
        if (arriveAtBarrier(w, *i)) return Step::WAITING;
        break;
      }
      case Control::MEMBERS: {
        if (w.mask == 0) {
          w.pc++;
          break;
        }
        const auto* members = w.at<std::uint32_t>(i->target);
        std::uint32_t named = 0;
        for (std::uint32_t m = w.mask; m != 0; m &= m - 1) {
          auto lane = static_cast<unsigned>(std::countr_zero(m));
          if (!(members[lane] >> lane & 1)) w.fail(*i, Fault::ILLEGAL_INSTRUCTION, lane, "the lane is not in its own member mask " + laneList(members[lane]));
          named |= members[lane];
        }
        if (std::uint32_t missing = named & w.live & ~w.mask) {
          step.awaitLanes(*i, missing);
          break;
        }
        i->run(w, *i);
        w.pc++;
        break;
      }
      case Control::WARP: {
        if (w.mask == 0) {
          w.pc++;
          break;
        }
        if (std::uint32_t missing = w.live & ~w.mask) {
          step.awaitLanes(*i, missing);
          break;
        }
        if (w.mask != ALL_LANES) w.fail(*i, Fault::DIVERGENT_BARRIER, static_cast<unsigned>(std::countr_zero(w.mask)), "needs all 32 lanes of the warp, lanes " + laneList(~w.mask) + " have ended");
        i->run(w, *i);
        w.pc++;
        break;
      }
    }
  }
}

void Warp::fail(const Instr& i, Fault fault, unsigned lane, const std::string& what) const {
  auto at = static_cast<std::size_t>(&i - block->program->code.data());
  unsigned thread = index * LANES + lane;
  const Dim3& s = block->shape;
  auto triple = [](unsigned x, unsigned y, unsigned z) { return "(" + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ")"; };
  throw Stop{fault, "kernel " + block->program->name + ", PTX line " + std::to_string(i.line) + " (" + block->program->texts[at] + "), block " +
                        triple(block->index.x, block->index.y, block->index.z) + ", thread " +
                        triple(thread % s.x, thread / s.x % s.y, thread / (s.x * s.y)) + ": " + what};
}

void Block::start(Dim3 at) {
  index = at;
  const Launch& launch = *worker->launch;
  for (Warp& w : warps) {
    unsigned first = w.index * LANES;
    unsigned lanes = std::min(LANES, threads - first);
    w.live = w.active = lanes == LANES ? ALL_LANES : (1u << lanes) - 1;
    w.pc = 0;
    w.splits.clear();
    w.copies.clear();
    std::memset(w.copyGroup, 0, sizeof w.copyGroup);
    w.clock = 1;
    w.state = Warp::State::READY;
    w.steps = 0;
    auto* specials = reinterpret_cast<std::uint32_t*>(w.area[2]);
    auto set = [&](unsigned r, std::uint32_t value) { std::fill_n(specials + r * LANES, LANES, value); };
    set(special::CTAID_X, at.x);
    set(special::CTAID_Y, at.y);
    set(special::CTAID_Z, at.z);
  }
  sharedBytes = program->staticShared + launch.dynamicShared;
  std::size_t units = (sharedBytes + 3) >> shadowShift;
  shadow.assign(units + 4, ShadowUnit{});
  barriers.fill(Barrier{});
  std::memset(known, 0, sizeof known);
  reads.clear();
  writes.clear();
}

void Block::run() {
  unsigned done = 0;
  const Launch& launch = *worker->launch;
  while (done < warpCount) {
    bool ran = false;
    for (Warp& w : warps) {
      if (w.state != Warp::State::READY) continue;
      ran = true;
      switch (runWarp(w)) {
        case Step::DONE:
          w.state = Warp::State::DONE;
          done++;
          warpEnded(*this);
          break;
        case Step::WAITING: break;
        case Step::YIELD:
          if (launch.stopped.load(std::memory_order_relaxed)) throw Stop{Fault::NONE, {}};
          if (w.steps > launch.limit) w.fail(program->code[w.pc], Fault::HANG, static_cast<unsigned>(std::countr_zero(w.active)), "the warp has run " + std::to_string(w.steps) + " instructions without an end");
          break;
      }
    }
    if (!ran) {
      for (const Warp& w : warps) {
        if (w.state != Warp::State::WAITING) continue;
        w.fail(program->code[w.barrierPc], Fault::DIVERGENT_BARRIER, static_cast<unsigned>(std::countr_zero(w.live)),
               "warp " + std::to_string(w.index) + " waits at barrier " + std::to_string(w.barrier) + " where " + std::to_string(barriers[w.barrier].arrived) + " of " +
                   std::to_string(barriers[w.barrier].expected) + " threads arrive, and no other warp can go on");
      }
    }
  }
  settleGlobal(*this);
  worker->counts.blocks++;
  worker->counts.threads += threads;
}

}  // namespace lacuna::emulator
