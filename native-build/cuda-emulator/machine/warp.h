// SPDX-License-Identifier: Apache-2.0
// The state of a running block: its warps, its shared memory and what the checks remember.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <vector>

#include "memory.h"
#include "program.h"

namespace lacuna::emulator {

constexpr unsigned LANES = 32;
constexpr std::uint32_t ALL_LANES = ~0u;

/// Ends a launch; launch() turns it into a Result.
struct Stop {
  Fault fault;
  std::string message;
};

struct Block;
struct Worker;

/// Lanes of a warp that stand elsewhere than the running ones.
struct Split {
  std::uint32_t pc;
  std::uint32_t mask;
  bool waiting;  ///< at an instruction that needs lanes which are not there yet
};

/// One lane's cp.async that nobody waited for yet.
struct PendingCopy {
  std::uint32_t to;
  std::uint32_t group;
  std::uint8_t lane;
  std::uint8_t bytes;
  std::array<std::byte, 16> data;
};

struct Warp {
  std::byte* area[3];
  std::uint32_t mask = 0;    ///< lanes that execute the current instruction
  std::uint32_t active = 0;  ///< lanes that stand at pc
  std::uint32_t live = 0;    ///< lanes that have not ended
  std::uint32_t pc = 0;
  unsigned index = 0;
  std::vector<Split> splits;
  Block* block = nullptr;
  std::byte* local = nullptr;
  std::vector<PendingCopy> copies;
  std::uint32_t copyGroup[LANES];  ///< groups each lane has committed
  std::uint32_t carry = 0;         ///< the condition code of add.cc and its like
  std::uint32_t clock = 1;         ///< grows with every barrier the warp passes

  enum class State : std::uint8_t { READY, WAITING, DONE } state = State::READY;
  unsigned barrier = 0;  ///< the one it waits at
  std::uint32_t barrierPc = 0;
  std::uint64_t steps = 0;

  template <class T>
  T* at(Ref ref) const {
    return reinterpret_cast<T*>(area[ref >> 30] + (ref & REF_OFFSET));
  }
  std::uint32_t& predicate(Ref ref) const { return *at<std::uint32_t>(ref); }

  [[noreturn]] void fail(const Instr& i, Fault fault, unsigned lane, const std::string& what) const;
};

/// What the race and initialisation checks know of a unit (byte or word) of shared memory.
struct ShadowUnit {
  std::uint32_t written = 0;  ///< clock of the last write; 0: never written
  std::uint32_t read = 0;     ///< clock of the last read
  std::uint32_t readers = 0;  ///< warps that read at that clock
  std::uint8_t writer = 0;
  bool atomic = false;        ///< the last write was one
  std::uint16_t pending = 0;  ///< cp.async on their way here
};

struct GlobalAccess {
  Address first, end;
  std::uint32_t instr;
  std::uint16_t warp;
  std::uint8_t lane;
  std::uint8_t bytes;
  bool atomic;
};

struct Barrier {
  unsigned arrived = 0;   ///< threads
  unsigned expected = 0;
  bool whole = false;         ///< of all warps that have not ended, not of a number of threads
  std::uint32_t waiting = 0;  ///< warps that wait
  std::uint32_t taking = 0;   ///< warps that take part, also those that only arrived
  unsigned votes = 0, voters = 0;
};

struct Block {
  Worker* worker;
  const Program* program;
  Dim3 index, shape;
  unsigned threads = 0;
  unsigned warpCount = 0;
  std::vector<Warp> warps;
  std::vector<std::byte> shared;
  std::size_t sharedBytes = 0;
  std::vector<ShadowUnit> shadow;
  unsigned shadowShift = 2;
  std::array<Barrier, 16> barriers;
  /// known[w][u]: accesses of warp u up to this clock happened before what warp w does now
  std::uint32_t known[LANES][LANES];
  std::vector<GlobalAccess> reads, writes;

  void start(Dim3 at);
  /// Runs the block to its end; throws Stop.
  void run();

 private:
  friend struct Scheduler;
};

/// A range of memory found lately.
struct CachedRange {
  Address first = 1, end = 0;
  bool host = false;
};

struct Launch {
  Memory::State* memory;
  const Function* function;
  const Program* program;
  Dim3 grid, shape;
  std::size_t dynamicShared;
  const std::byte* parameters;
  Options options;
  std::uint64_t limit;
  std::uint8_t mark;  ///< of this launch on the sectors it touches
  std::atomic<std::uint64_t> nextBlock{0};
  std::atomic<bool> stopped{false};
};

/// What one host thread needs to run blocks one after another.
struct Worker {
  Launch* launch;
  Memory::State* memory;
  Counts counts;
  std::vector<std::byte> registers;
  std::vector<std::byte> specials;
  std::vector<std::byte> local;
  Block block;
  std::array<CachedRange, 8> ranges;
  unsigned nextRange = 0;
  std::uint64_t rangesVersion = 0;

  void prepare(Launch& l);
  /// Null when no live range holds all the bytes.
  const CachedRange* find(Address a, std::size_t bytes);
};

enum class Step { DONE, WAITING, YIELD };
/// Runs a warp until it ends, waits at a barrier or has run long enough.
Step runWarp(Warp& warp);

}  // namespace lacuna::emulator
