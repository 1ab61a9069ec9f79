// SPDX-License-Identifier: Apache-2.0
#include "access.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <tuple>

namespace lacuna::emulator {

namespace {
std::string hex(Address a) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(a));
  return text;
}

const char* verb(Access kind) { return kind == Access::LOAD ? "load" : kind == Access::STORE ? "store" : "atomic access"; }

std::string sized(Access kind, unsigned bytes) { return std::string(verb(kind)) + " of " + std::to_string(bytes) + " bytes"; }

bool isLinear(const Address* a, unsigned bytes) {
  Address different = 0;
  for (unsigned l = 0; l < LANES; l++) different |= (a[l] - a[0]) ^ (Address{l} * bytes);
  return different == 0;
}

constexpr std::size_t MOST_LOGGED = 1 << 21;

/// Sorts by address and keeps one of the accesses of a warp to the same bytes.
void compact(std::vector<GlobalAccess>& log) {
  auto key = [](const GlobalAccess& a) { return std::tuple(a.first, a.end, a.warp, a.atomic); };
  std::sort(log.begin(), log.end(), [&](const GlobalAccess& a, const GlobalAccess& b) { return key(a) < key(b); });
  log.erase(std::unique(log.begin(), log.end(), [&](const GlobalAccess& a, const GlobalAccess& b) { return key(a) == key(b); }), log.end());
}

void logAccess(Warp& w, const Instr& i, Address first, Address end, unsigned lane, unsigned bytes, Access kind) {
  auto& log = kind == Access::LOAD ? w.block->reads : w.block->writes;
  auto instr = static_cast<std::uint32_t>(&i - w.block->program->code.data());
  if (!log.empty()) {
    // Iterations of one instruction read on where they stopped, or wait for the same word: one entry serves them.
    GlobalAccess& last = log.back();
    if (last.instr == instr && last.warp == w.index) {
      if (last.end == first) {
        last.end = end;
        return;
      }
      if (last.first == first && last.end == end) return;
    }
  }
  if (log.size() >= MOST_LOGGED) {
    compact(log);
    // What does not fit is forgotten: a race may be missed, none is invented.
    if (log.size() >= MOST_LOGGED / 2) log.clear();
  }
  log.push_back({first, end, instr, static_cast<std::uint16_t>(w.index), static_cast<std::uint8_t>(lane), static_cast<std::uint8_t>(bytes),
                 kind == Access::ATOMIC || i.strong});
}

void countTraffic(Counts::Traffic& t, const Address* addresses, unsigned bytes, std::uint32_t mask) {
  Address sorted[LANES];
  unsigned n = 0;
  for (std::uint32_t m = mask; m != 0; m &= m - 1) sorted[n++] = addresses[std::countr_zero(m)];
  std::sort(sorted, sorted + n);
  n = static_cast<unsigned>(std::unique(sorted, sorted + n) - sorted);
  unsigned sectors = 0;
  Address last = ~Address{0};
  for (unsigned k = 0; k < n; k++) {
    Address sector = sorted[k] / 32;
    sectors += sector != last;
    last = sector;
  }
  t.requests++;
  t.sectors += sectors;
  t.bytes += std::uint64_t{n} * bytes;
  t.idealSectors += (std::uint64_t{n} * bytes + 31) / 32;
}

[[noreturn]] void outside(Warp& w, const Instr& i, unsigned lane, Address a, unsigned bytes, Access kind) {
  w.fail(i, Fault::ILLEGAL_ADDRESS, lane, sized(kind, bytes) + " at " + hex(a) + ": " + w.block->worker->memory->explain(a));
}

void checkAligned(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask) {
  Address low = 0;
  for (std::uint32_t m = mask; m != 0; m &= m - 1) low |= addresses[std::countr_zero(m)];
  if ((low & (bytes - 1)) == 0) return;
  for (std::uint32_t m = mask; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    if (addresses[lane] & (bytes - 1)) {
      w.fail(i, Fault::MISALIGNED, lane, sized(kind, bytes) + " at " + hex(addresses[lane]) + " is not aligned to " + std::to_string(bytes) + " bytes");
    }
  }
}
}  // namespace

void addressesOf(const Warp& w, const Instr& i, Address* out) {
  if (i.address32) {
    const auto* a = w.at<std::uint32_t>(i.a);
    for (unsigned l = 0; l < LANES; l++) out[l] = static_cast<std::uint32_t>(a[l] + static_cast<std::uint32_t>(i.offset));
  } else {
    const auto* a = w.at<Address>(i.a);
    for (unsigned l = 0; l < LANES; l++) out[l] = a[l] + static_cast<Address>(i.offset);
  }
}

const CachedRange* Worker::find(Address a, std::size_t bytes) {
  std::uint64_t version = memory->version.load(std::memory_order_relaxed);
  if (version != rangesVersion) {
    ranges.fill(CachedRange{});
    rangesVersion = version;
  }
  for (const CachedRange& r : ranges) {
    if (a >= r.first && a < r.end && bytes <= r.end - a) return &r;
  }
  std::shared_lock lock(memory->mutex);
  auto after = memory->live.upper_bound(a);
  if (after == memory->live.begin()) return nullptr;
  auto range = std::prev(after);
  if (a - range->first >= range->second.bytes || bytes > range->second.bytes - (a - range->first)) return nullptr;
  CachedRange& r = ranges[nextRange++ % ranges.size()];
  r = {range->first, range->first + range->second.bytes, range->second.host};
  return &r;
}

void accessGlobal(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask, Request& out) {
  Worker& worker = *w.block->worker;
  const Options& options = worker.launch->options;
  Counts& counts = worker.counts;
  checkAligned(w, i, addresses, bytes, kind, mask);
  out.linear = mask == ALL_LANES && isLinear(addresses, bytes);
  if (out.linear) {
    Address first = addresses[0];
    std::size_t all = std::size_t{bytes} * LANES;
    const CachedRange* range = worker.find(first, all);
    if (range != nullptr) {
      bool arena = !range->host;
      if (kind != Access::STORE) {
        if (arena && options.initialised) {
          if (Address hole = worker.memory->unwritten(first, all)) {
            w.fail(i, Fault::UNINITIALISED, static_cast<unsigned>((hole - first) / bytes), sized(kind, bytes) + " reads " + hex(hole) + ", which nobody wrote");
          }
        }
      } else if (arena) {
        worker.memory->markWritten(first, all);
      }
      if (options.races) logAccess(w, i, first, first + all, 0, bytes, kind);
      Counts::Traffic& t = kind == Access::LOAD ? counts.load : counts.store;
      if (kind == Access::ATOMIC) {
        counts.atomics += LANES;
      }
      t.requests++;
      t.sectors += (first + all - 1) / 32 - first / 32 + 1;
      t.idealSectors += (all + 31) / 32;
      t.bytes += all;
      if (arena) t.distinctSectors += worker.memory->touch(kind != Access::LOAD, worker.launch->mark, first, all);
      for (unsigned l = 0; l < LANES; l++) out.at[l] = reinterpret_cast<std::byte*>(first + Address{l} * bytes);
      return;
    }
    out.linear = false;
  }
  const CachedRange* range = nullptr;
  Counts::Traffic& traffic = kind == Access::LOAD ? counts.load : counts.store;
  Address previous = 0;
  for (std::uint32_t m = mask; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    Address a = addresses[lane];
    out.at[lane] = reinterpret_cast<std::byte*>(a);
    if (range != nullptr && a == previous) continue;  // broadcasts are common
    previous = a;
    if (range == nullptr || a < range->first || a >= range->end || bytes > range->end - a) {
      range = worker.find(a, bytes);
      if (range == nullptr) outside(w, i, lane, a, bytes, kind);
    }
    if (!range->host) {
      traffic.distinctSectors += worker.memory->touch(kind != Access::LOAD, worker.launch->mark, a, bytes);
      if (kind == Access::STORE) {
        worker.memory->markWritten(a, bytes);
      } else if (options.initialised) {
        if (Address hole = worker.memory->unwritten(a, bytes)) {
          w.fail(i, Fault::UNINITIALISED, lane, sized(kind, bytes) + " reads " + hex(hole) + ", which nobody wrote");
        }
      }
    }
    if (options.races) logAccess(w, i, a, a + bytes, lane, bytes, kind);
  }
  if (kind == Access::ATOMIC) counts.atomics += static_cast<unsigned>(std::popcount(mask));
  countTraffic(traffic, addresses, bytes, mask);
}

void accessConstant(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, std::uint32_t mask, Request& out) {
  checkAligned(w, i, addresses, bytes, Access::LOAD, mask);
  out.linear = false;
  for (std::uint32_t m = mask; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    if (w.block->worker->find(addresses[lane], bytes) == nullptr) outside(w, i, lane, addresses[lane], bytes, Access::LOAD);
    out.at[lane] = reinterpret_cast<std::byte*>(addresses[lane]);
  }
}

void accessLocal(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, std::uint32_t mask, Request& out) {
  checkAligned(w, i, addresses, bytes, Access::LOAD, mask);
  out.linear = false;
  std::size_t size = w.block->program->localBytes;
  for (std::uint32_t m = mask; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    Address a = addresses[lane];
    if (a > size || bytes > size - a) {
      w.fail(i, Fault::ILLEGAL_ADDRESS, lane, "access of " + std::to_string(bytes) + " bytes at " + hex(a) + " of local memory, which has " + std::to_string(size) + " bytes");
    }
    out.at[lane] = w.local + lane * size + a;
  }
}

void accessGeneric(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask, Request& out) {
  std::uint32_t windowed = 0;
  for (unsigned l = 0; l < LANES; l++) windowed |= static_cast<std::uint32_t>(addresses[l] >= SHARED_WINDOW) << l;
  windowed &= mask;
  if (windowed == 0) return accessGlobal(w, i, addresses, bytes, kind, mask, out);
  std::uint32_t shared = 0, local = 0, param = 0;
  Address moved[LANES];
  for (std::uint32_t m = windowed; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    Address a = addresses[lane] - SHARED_WINDOW;
    moved[lane] = a % WINDOW_BYTES;
    switch (a / WINDOW_BYTES) {
      case 0: shared |= 1u << lane; break;
      case 1: local |= 1u << lane; break;
      case 2: param |= 1u << lane; break;
      default: outside(w, i, lane, addresses[lane], bytes, kind);
    }
  }
  if (mask & ~windowed) accessGlobal(w, i, addresses, bytes, kind, mask & ~windowed, out);
  if (shared != 0) accessShared(w, i, moved, bytes, kind, shared, out);
  if (local != 0) accessLocal(w, i, moved, bytes, local, out);
  for (std::uint32_t m = param; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    if (kind != Access::LOAD || moved[lane] + bytes > w.block->program->parameterBytes) outside(w, i, lane, addresses[lane], bytes, kind);
    out.at[lane] = const_cast<std::byte*>(w.block->worker->launch->parameters) + moved[lane];
  }
  out.linear = out.linear && shared == ALL_LANES;
}

// ---- shared memory -------------------------------------------------------------------------------------------------

void countBanks(Counts& counts, const Address* addresses, unsigned bytes, std::uint32_t mask) {
  unsigned perPhase = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
  counts.sharedAccesses++;
  for (unsigned first = 0; first < LANES; first += perPhase) {
    std::uint32_t part = perPhase == 32 ? mask : mask >> first & ((1u << perPhase) - 1);
    if (part == 0) continue;
    // A bank serves one word a cycle; lanes that ask for the same word share it.
    std::uint32_t words[LANES][LANES];
    std::uint8_t used[LANES] = {};
    unsigned cycles = 1;
    for (std::uint32_t m = part; m != 0; m &= m - 1) {
      Address a = addresses[first + static_cast<unsigned>(std::countr_zero(m))];
      for (unsigned k = 0; k < std::max(1u, bytes / 4); k++) {
        auto word = static_cast<std::uint32_t>(a / 4 + k);
        unsigned bank = word % 32, n = 0;
        while (n < used[bank] && words[bank][n] != word) n++;
        if (n < used[bank]) continue;
        words[bank][n] = word;
        used[bank]++;
        cycles = std::max(cycles, n + 1);
      }
    }
    counts.sharedWavefronts += cycles;
    counts.sharedIdeal++;
    counts.bankConflicts += cycles - 1;
  }
}

namespace {
std::string warpName(unsigned warp) { return "warp " + std::to_string(warp); }

[[noreturn]] void sharedRace(Warp& w, const Instr& i, unsigned lane, Address a, const char* doing, const char* done, unsigned other) {
  w.fail(i, Fault::RACE, lane, std::string(doing) + " of shared memory at " + hex(a) + " races with the " + done + " by " + warpName(other) + ": no barrier lies between them");
}

inline void readUnit(Warp& w, const Instr& i, unsigned lane, ShadowUnit& s, Address a, bool races, bool initialised) {
  if (s.pending != 0) w.fail(i, Fault::ASYNC_READ, lane, "load of shared memory at " + hex(a) + ", which a cp.async is still writing: wait for it first");
  if (s.written == 0 && initialised) w.fail(i, Fault::UNINITIALISED, lane, "load of shared memory at " + hex(a) + ", which nobody wrote");
  if (!races) return;
  if (s.writer != w.index && s.written > w.block->known[w.index][s.writer]) sharedRace(w, i, lane, a, "load", s.atomic ? "atomic write" : "store", s.writer);
  if (s.read != w.clock) {
    s.read = w.clock;
    s.readers = 0;
  }
  s.readers |= 1u << w.index;
}

inline void writeUnit(Warp& w, const Instr& i, unsigned lane, ShadowUnit& s, Address a, bool races, bool atomic, const char* doing) {
  if (s.pending != 0) w.fail(i, Fault::ASYNC_READ, lane, std::string(doing) + " of shared memory at " + hex(a) + ", which a cp.async is still writing: wait for it first");
  if (races) {
    const std::uint32_t* known = w.block->known[w.index];
    if (s.writer != w.index && s.written > known[s.writer] && !(atomic && s.atomic)) sharedRace(w, i, lane, a, doing, s.atomic ? "atomic write" : "store", s.writer);
    std::uint32_t others = s.readers & ~(1u << w.index);
    for (; others != 0; others &= others - 1) {
      auto reader = static_cast<unsigned>(std::countr_zero(others));
      if (s.read > known[reader]) sharedRace(w, i, lane, a, doing, "load", reader);
    }
  }
  s.written = w.clock;
  s.writer = static_cast<std::uint8_t>(w.index);
  s.atomic = atomic;
}
}  // namespace

void accessShared(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask, Request& out) {
  Block& block = *w.block;
  const Options& options = block.worker->launch->options;
  checkAligned(w, i, addresses, bytes, kind, mask);
  out.linear = mask == ALL_LANES && isLinear(addresses, bytes);
  Counts& counts = block.worker->counts;
  unsigned unit = 1u << block.shadowShift;
  bool atomic = kind == Access::ATOMIC;
  const char* doing = atomic ? "atomic access" : "store";
  for (std::uint32_t m = mask; m != 0; m &= m - 1) {
    auto lane = static_cast<unsigned>(std::countr_zero(m));
    Address a = addresses[lane];
    if (a > block.sharedBytes || bytes > block.sharedBytes - a) {
      w.fail(i, Fault::ILLEGAL_ADDRESS, lane, sized(kind, bytes) + " at " + hex(a) + " of shared memory, which has " + std::to_string(block.sharedBytes) + " bytes");
    }
    out.at[lane] = block.shared.data() + a;
    ShadowUnit* s = &block.shadow[a >> block.shadowShift];
    for (unsigned k = 0; k < bytes; k += unit, s++) {
      if (kind == Access::LOAD) {
        readUnit(w, i, lane, *s, a + k, options.races, options.initialised);
      } else {
        if (atomic && s->written == 0 && options.initialised) w.fail(i, Fault::UNINITIALISED, lane, "atomic access to shared memory at " + hex(a) + ", which nobody wrote");
        writeUnit(w, i, lane, *s, a + k, options.races, atomic, doing);
      }
    }
  }
  if (atomic) counts.atomics += static_cast<unsigned>(std::popcount(mask));
  if (out.linear) {
    unsigned phases = bytes <= 4 ? 1 : bytes / 4;
    counts.sharedAccesses++;
    counts.sharedWavefronts += phases;
    counts.sharedIdeal += phases;
  } else {
    countBanks(counts, addresses, bytes, mask);
  }
}

void sharedCopyIssued(Warp& w, const Instr& i, unsigned lane, std::uint32_t address, unsigned bytes) {
  Block& block = *w.block;
  if (address > block.sharedBytes || bytes > block.sharedBytes - address) {
    w.fail(i, Fault::ILLEGAL_ADDRESS, lane, "cp.async of " + std::to_string(bytes) + " bytes to " + hex(address) + " of shared memory, which has " + std::to_string(block.sharedBytes) + " bytes");
  }
  bool races = block.worker->launch->options.races;
  for (unsigned k = 0; k < bytes; k += 1u << block.shadowShift) {
    ShadowUnit& s = block.shadow[(address + k) >> block.shadowShift];
    writeUnit(w, i, lane, s, address + k, races, false, "cp.async write");
    s.pending++;
  }
}

void sharedCopyLanded(Warp& w, const Instr&, unsigned, std::uint32_t address, unsigned bytes) {
  Block& block = *w.block;
  for (unsigned k = 0; k < bytes; k += 1u << block.shadowShift) {
    ShadowUnit& s = block.shadow[(address + k) >> block.shadowShift];
    s.pending--;
    s.written = w.clock;
    s.writer = static_cast<std::uint8_t>(w.index);
  }
}

// ---- races on global memory ----------------------------------------------------------------------------------------

namespace {
[[noreturn]] void globalRace(Block& block, const GlobalAccess& write, const GlobalAccess& other, bool otherWrites) {
  Address at = std::max(write.first, other.first);
  const Instr& i = block.program->code[write.instr];
  const Instr& j = block.program->code[other.instr];
  auto lane = (write.lane + static_cast<unsigned>((at - write.first) / write.bytes)) % LANES;
  block.warps[write.warp].fail(i, Fault::RACE, lane,
                               "store to global memory at " + hex(at) + " races with the " + (otherWrites ? "store" : "load") + " by " + warpName(other.warp) + " at PTX line " +
                                   std::to_string(j.line) + ": no barrier lies between them");
}
}  // namespace

void settleGlobal(Block& block) {
  auto& writes = block.writes;
  auto& reads = block.reads;
  if (writes.empty()) {
    reads.clear();
    return;
  }
  compact(writes);
  Address high = 0, longest = 0;
  for (std::size_t k = 0; k < writes.size(); k++) {
    const GlobalAccess& write = writes[k];
    high = std::max(high, write.end);
    longest = std::max(longest, write.end - write.first);
    for (std::size_t n = k + 1; n < writes.size() && writes[n].first < write.end; n++) {
      if (writes[n].warp != write.warp && !(writes[n].atomic && write.atomic)) globalRace(block, write, writes[n], true);
    }
  }
  Address low = writes.front().first;
  std::erase_if(reads, [&](const GlobalAccess& a) { return a.end <= low || a.first >= high; });
  compact(reads);
  for (const GlobalAccess& read : reads) {
    Address from = read.first > longest ? read.first - longest : 0;
    auto write = std::lower_bound(writes.begin(), writes.end(), from, [](const GlobalAccess& a, Address v) { return a.first < v; });
    for (; write != writes.end() && write->first < read.end; ++write) {
      if (write->end > read.first && write->warp != read.warp && !(write->atomic && read.atomic)) globalRace(block, *write, read, false);
    }
  }
  writes.clear();
  reads.clear();
}

}  // namespace lacuna::emulator
