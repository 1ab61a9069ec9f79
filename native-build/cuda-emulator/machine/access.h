// SPDX-License-Identifier: Apache-2.0
// Every access to memory passes here: it is checked, counted and turned into host addresses.
#pragma once

#include "warp.h"

namespace lacuna::emulator {

enum class Access : std::uint8_t { LOAD, STORE, ATOMIC };

/// Host addresses of the active lanes' bytes.
struct Request {
  std::byte* at[LANES];
  bool linear = false;  ///< all lanes are active and lie one after another from at[0]
};

/// The addresses of the instruction's base register and offset; those of inactive lanes mean nothing.
void addressesOf(const Warp& w, const Instr& i, Address* out);

void accessGlobal(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask, Request& out);
void accessShared(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask, Request& out);
void accessLocal(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, std::uint32_t mask, Request& out);
void accessConstant(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, std::uint32_t mask, Request& out);
/// Sorts the lanes by window.
void accessGeneric(Warp& w, const Instr& i, const Address* addresses, unsigned bytes, Access kind, std::uint32_t mask, Request& out);

/// cp.async: the write that may happen from now on, and the one that has happened.
void sharedCopyIssued(Warp& w, const Instr& i, unsigned lane, std::uint32_t address, unsigned bytes);
void sharedCopyLanded(Warp& w, const Instr& i, unsigned lane, std::uint32_t address, unsigned bytes);

/// Bank cycles of one access to shared memory whose lanes ask for the same number of bytes.
void countBanks(Counts& counts, const Address* addresses, unsigned bytes, std::uint32_t mask);

/// Looks for accesses of two warps to the same global bytes since the last barrier, and forgets them.
void settleGlobal(Block& block);

}  // namespace lacuna::emulator
