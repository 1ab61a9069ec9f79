// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "../machine.h"

namespace lacuna::emulator {

struct Memory::State {
  struct Allocation {
    std::size_t bytes;
    bool host;
  };

  std::byte* arena = nullptr;        ///< reserved addresses; pages appear when touched
  std::size_t arenaBytes = 0;
  std::uint8_t* written = nullptr;   ///< one bit for each byte of the arena
  std::uint8_t* touched[2] = {};     ///< for loads and stores: the launch that last touched each sector of 32 bytes
  std::size_t used = 0;
  std::size_t top = 0;               ///< first never used byte of the arena
  std::map<Address, Allocation> live;
  std::map<Address, std::size_t> freed;
  mutable std::shared_mutex mutex;
  std::atomic<std::uint64_t> version{1};  ///< grows when a range ends, so that caches of ranges notice

  std::uint8_t launchMark = 0;

  ~State();
  bool reserveAll(std::size_t bytes);
  void release();
  /// A mark that no sector carries yet.
  std::uint8_t nextLaunch();
  /// How many of the sectors the launch had not touched before.
  unsigned touch(bool store, std::uint8_t mark, Address first, std::size_t bytes);
  bool inArena(Address a) const { return a - reinterpret_cast<Address>(arena) < arenaBytes; }
  void markWritten(Address a, std::size_t bytes);
  void clearWritten(Address a, std::size_t bytes);
  /// The first unwritten byte of the range, or 0.
  Address unwritten(Address a, std::size_t bytes) const;
  /// What lies at an address outside all live ranges, for a message.
  std::string explain(Address a) const;
  std::string check(Address a, std::size_t bytes, const char* what) const;
};

}  // namespace lacuna::emulator
