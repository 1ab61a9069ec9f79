// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <new>

namespace lacuna::emulator {

namespace {
constexpr std::size_t ALIGNMENT = 512;

std::size_t roundUp(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

void* reserve(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

std::string hex(Address a) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(a));
  return text;
}
}  // namespace

Memory::State::~State() { release(); }

void Memory::State::release() {
  if (arena != nullptr) munmap(arena, arenaBytes);
  if (written != nullptr) munmap(written, arenaBytes / 8);
  for (std::uint8_t* marks : touched) {
    if (marks != nullptr) munmap(marks, arenaBytes / 32);
  }
}

bool Memory::State::reserveAll(std::size_t bytes) {
  arena = static_cast<std::byte*>(reserve(bytes));
  written = static_cast<std::uint8_t*>(reserve(bytes / 8));
  touched[0] = static_cast<std::uint8_t*>(reserve(bytes / 32));
  touched[1] = static_cast<std::uint8_t*>(reserve(bytes / 32));
  arenaBytes = bytes;
  if (arena != nullptr && written != nullptr && touched[0] != nullptr && touched[1] != nullptr) return true;
  release();
  arena = nullptr;
  written = touched[0] = touched[1] = nullptr;
  return false;
}

std::uint8_t Memory::State::nextLaunch() {
  std::unique_lock lock(mutex);
  if (++launchMark == 0) {
    for (std::uint8_t* marks : touched) madvise(marks, arenaBytes / 32, MADV_DONTNEED);
    launchMark = 1;
  }
  return launchMark;
}

unsigned Memory::State::touch(bool store, std::uint8_t mark, Address first, std::size_t bytes) {
  std::size_t at = first - reinterpret_cast<Address>(arena);
  std::uint8_t* marks = touched[store];
  unsigned fresh = 0;
  for (std::size_t s = at / 32; s <= (at + bytes - 1) / 32; s++) {
    if (__atomic_load_n(&marks[s], __ATOMIC_RELAXED) != mark) fresh += __atomic_exchange_n(&marks[s], mark, __ATOMIC_RELAXED) != mark;
  }
  return fresh;
}

void Memory::State::markWritten(Address a, std::size_t bytes) {
  std::size_t first = a - reinterpret_cast<Address>(arena);
  std::size_t last = first + bytes;
  // Blocks on other threads may own neighbouring bits; a byte that is full already is the common case.
  auto set = [&](std::size_t byte, std::uint8_t bits) {
    if ((written[byte] & bits) != bits) __atomic_fetch_or(&written[byte], bits, __ATOMIC_RELAXED);
  };
  std::size_t firstByte = first / 8, lastByte = last / 8;
  auto head = static_cast<std::uint8_t>(0xff << (first % 8));
  auto tail = static_cast<std::uint8_t>((1u << (last % 8)) - 1);
  if (firstByte == lastByte) {
    set(firstByte, head & tail);
    return;
  }
  set(firstByte, head);
  if (lastByte > firstByte + 1) std::memset(written + firstByte + 1, 0xff, lastByte - firstByte - 1);
  if (tail != 0) set(lastByte, tail);
}

void Memory::State::clearWritten(Address a, std::size_t bytes) {
  std::size_t first = a - reinterpret_cast<Address>(arena);
  std::memset(written + first / 8, 0, roundUp(bytes, 8) / 8);
}

Address Memory::State::unwritten(Address a, std::size_t bytes) const {
  std::size_t first = a - reinterpret_cast<Address>(arena);
  std::size_t last = first + bytes;
  std::size_t i = first;
  while (i < last) {
    if (i % 64 == 0 && i + 64 <= last) {
      std::uint64_t word;
      std::memcpy(&word, written + i / 8, 8);
      if (~word == 0) {
        i += 64;
        continue;
      }
    }
    if (i % 8 == 0 && i + 8 <= last && written[i / 8] == 0xff) {
      i += 8;
      continue;
    }
    if (!(written[i / 8] >> (i % 8) & 1)) return reinterpret_cast<Address>(arena) + i;
    i++;
  }
  return 0;
}

std::string Memory::State::explain(Address a) const {
  std::shared_lock lock(mutex);
  auto after = live.upper_bound(a);
  auto old = freed.upper_bound(a);
  if (old != freed.begin()) {
    --old;
    if (a - old->first < old->second) {
      return "inside an allocation of " + std::to_string(old->second) + " bytes at " + hex(old->first) + " that was freed";
    }
  }
  if (after != live.begin()) {
    auto before = std::prev(after);
    Address end = before->first + before->second.bytes;
    if (a >= end && a - end < (1 << 20)) {
      return std::to_string(a - end) + " bytes past the end of the allocation of " + std::to_string(before->second.bytes) +
             " bytes at " + hex(before->first);
    }
    if (a < end) return std::to_string(end - a) + " bytes before the end of the allocation at " + hex(before->first);
  }
  if (after != live.end() && after->first - a < (1 << 20)) {
    return std::to_string(after->first - a) + " bytes before the allocation of " + std::to_string(after->second.bytes) +
           " bytes at " + hex(after->first);
  }
  return "in no allocation";
}

std::string Memory::State::check(Address a, std::size_t bytes, const char* what) const {
  {
    std::shared_lock lock(mutex);
    auto after = live.upper_bound(a);
    if (after != live.begin()) {
      auto range = std::prev(after);
      std::size_t at = a - range->first;
      if (at <= range->second.bytes && bytes <= range->second.bytes - at) return {};
    }
    if (bytes == 0) return {};
  }
  return std::string(what) + " of " + std::to_string(bytes) + " bytes at " + hex(a) + " leaves its allocation: it starts " + explain(a);
}

Memory::Memory(std::size_t capacity) : state_(std::make_unique<State>()) {
  // The arena is larger than the capacity, so that freed addresses stay unused for long and gaps cost nothing.
  for (std::size_t bytes = roundUp(capacity, 1 << 20) * 2; bytes >= (1 << 20); bytes /= 2) {
    if (state_->reserveAll(bytes)) return;
  }
  throw std::bad_alloc();
}

Memory::~Memory() = default;

std::size_t Memory::capacity() const { return state_->arenaBytes / 2; }

std::size_t Memory::used() const {
  std::shared_lock lock(state_->mutex);
  return state_->used;
}

Address Memory::allocate(std::size_t bytes) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  if (bytes == 0 || bytes > s.arenaBytes / 2 || s.used + bytes > s.arenaBytes / 2) return 0;
  std::size_t need = roundUp(bytes, ALIGNMENT) + ALIGNMENT;
  Address address = 0;
  if (s.top + need <= s.arenaBytes) {
    address = reinterpret_cast<Address>(s.arena) + s.top;
    s.top += need;
  } else {
    for (auto hole = s.freed.begin(); hole != s.freed.end(); ++hole) {
      if (roundUp(hole->second, ALIGNMENT) + ALIGNMENT < need) continue;
      address = hole->first;
      std::size_t rest = roundUp(hole->second, ALIGNMENT) + ALIGNMENT - need;
      s.freed.erase(hole);
      if (rest > ALIGNMENT) s.freed.emplace(address + need, rest - ALIGNMENT);
      break;
    }
    if (address == 0) return 0;
  }
  s.clearWritten(address, bytes);
  s.live.emplace(address, State::Allocation{bytes, false});
  s.used += bytes;
  return address;
}

bool Memory::free(Address address) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  auto range = s.live.find(address);
  if (range == s.live.end() || range->second.host) return false;
  std::size_t bytes = range->second.bytes;
  s.used -= bytes;
  s.live.erase(range);
  s.freed.emplace(address, bytes);
  s.version.fetch_add(1);
  std::size_t page = 4096;
  Address first = roundUp(address, page), last = (address + bytes) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  return true;
}

bool Memory::registerHost(const void* host, std::size_t bytes) {
  State& s = *state_;
  auto address = reinterpret_cast<Address>(host);
  std::unique_lock lock(s.mutex);
  if (address == 0 || bytes == 0 || s.inArena(address)) return false;
  auto after = s.live.upper_bound(address);
  if (after != s.live.end() && after->first - address < bytes) return false;
  if (after != s.live.begin()) {
    auto before = std::prev(after);
    if (address - before->first < before->second.bytes) return false;
  }
  s.live.emplace(address, State::Allocation{bytes, true});
  return true;
}

bool Memory::unregisterHost(const void* host) {
  State& s = *state_;
  std::unique_lock lock(s.mutex);
  auto range = s.live.find(reinterpret_cast<Address>(host));
  if (range == s.live.end() || !range->second.host) return false;
  s.live.erase(range);
  s.version.fetch_add(1);
  return true;
}

std::optional<Range> Memory::find(Address address) const {
  const State& s = *state_;
  std::shared_lock lock(s.mutex);
  auto after = s.live.upper_bound(address);
  if (after == s.live.begin()) return std::nullopt;
  auto range = std::prev(after);
  if (address - range->first >= range->second.bytes) return std::nullopt;
  return Range{range->first, range->second.bytes, range->second.host};
}

std::string Memory::copyIn(Address to, const void* from, std::size_t bytes) {
  std::string wrong = state_->check(to, bytes, "copy to device");
  if (!wrong.empty() || bytes == 0) return wrong;
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  if (state_->inArena(to)) state_->markWritten(to, bytes);
  return {};
}

std::string Memory::copyOut(void* to, Address from, std::size_t bytes) const {
  std::string wrong = state_->check(from, bytes, "copy from device");
  if (!wrong.empty() || bytes == 0) return wrong;
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  if (state_->inArena(from)) {
    auto* out = static_cast<std::byte*>(to);
    std::size_t base = from - reinterpret_cast<Address>(state_->arena);
    for (Address hole = state_->unwritten(from, bytes); hole != 0;) {
      std::size_t i = hole - from;
      while (i < bytes && !(state_->written[(base + i) / 8] >> ((base + i) % 8) & 1)) out[i++] = std::byte{0};
      hole = i < bytes ? state_->unwritten(from + i, bytes - i) : 0;
    }
  }
  return {};
}

std::string Memory::copy(Address to, Address from, std::size_t bytes) {
  State& s = *state_;
  std::string wrong = s.check(from, bytes, "copy from device");
  if (wrong.empty()) wrong = s.check(to, bytes, "copy to device");
  if (!wrong.empty() || bytes == 0) return wrong;
  std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  if (!s.inArena(to)) return {};
  if (!s.inArena(from) || s.unwritten(from, bytes) == 0) {
    s.markWritten(to, bytes);
    return {};
  }
  std::size_t source = from - reinterpret_cast<Address>(s.arena), target = to - reinterpret_cast<Address>(s.arena);
  for (std::size_t i = 0; i < bytes; i++) {
    if (s.written[(source + i) / 8] >> ((source + i) % 8) & 1) {
      s.markWritten(to + i, 1);
    } else {
      __atomic_fetch_and(&s.written[(target + i) / 8], static_cast<std::uint8_t>(~(1u << ((target + i) % 8))), __ATOMIC_RELAXED);
    }
  }
  return {};
}

std::string Memory::fill(Address to, std::uint32_t value, unsigned width, std::size_t count) {
  std::size_t bytes = count * width;
  std::string wrong = state_->check(to, bytes, "fill");
  if (wrong.empty() && to % width != 0) wrong = "fill at " + hex(to) + " is not aligned to " + std::to_string(width) + " bytes";
  if (!wrong.empty() || bytes == 0) return wrong;
  if (width == 1) {
    std::memset(reinterpret_cast<void*>(to), static_cast<int>(value), bytes);
  } else if (width == 2) {
    auto* p = reinterpret_cast<std::uint16_t*>(to);
    for (std::size_t i = 0; i < count; i++) p[i] = static_cast<std::uint16_t>(value);
  } else {
    auto* p = reinterpret_cast<std::uint32_t*>(to);
    for (std::size_t i = 0; i < count; i++) p[i] = value;
  }
  if (state_->inArena(to)) state_->markWritten(to, bytes);
  return {};
}

}  // namespace lacuna::emulator
